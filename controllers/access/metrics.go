package access

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"

	"github.com/serin-gitops/serin/api/v1alpha1"
)

// Metrics says how to enter a metric source.
type Metrics struct {
	URL                        string
	Username, Password, Bearer string
	// OAuth2 is nil where tokens are not asked for.
	OAuth2 *OAuth2
	// CA, Certificate and Key are PEM.
	CA, Certificate, Key []byte
	Headers              map[string]string
	// ProxyURL of an HTTP proxy; that of the environment where empty.
	ProxyURL string
}

// OAuth2 is what the client credentials grant needs (RFC 6749, 4.4).
type OAuth2 struct {
	ClientID, ClientSecret, TokenURL string
	Scopes                           []string
}

const metricsSecret = "spec.analysis.source.secretRef"

// Metrics reads a metric source's credentials: username and password, or token
// (bearer), or clientID and clientSecret where the source has oauth2; and
// ca.crt, tls.crt and tls.key in PEM. A *SecretError says what a Secret lacks.
func (s Secrets) Metrics(ctx context.Context, namespace string, source v1alpha1.MetricSource) (Metrics, error) {
	found, err := s.read(ctx, namespace, source.SecretRef, metricsSecret)
	if err != nil {
		return Metrics{}, err
	}
	enter := Metrics{
		URL:      source.URL,
		Username: found.text("username"), Password: found.text("password"), Bearer: found.text("token"),
		CA: found.Data["ca.crt"], Certificate: found.Data["tls.crt"], Key: found.Data["tls.key"],
		Headers: source.Headers, ProxyURL: source.ProxyURL,
	}
	if err := found.checkTLS(); err != nil {
		return Metrics{}, err
	}
	if enter.OAuth2, err = found.oauth2(source); err != nil {
		return Metrics{}, err
	}
	ways := 0
	for _, given := range []bool{enter.Username != "" || enter.Password != "", enter.Bearer != "", enter.OAuth2 != nil} {
		if given {
			ways++
		}
	}
	if ways > 1 {
		return Metrics{}, found.problem("it has more than one of username and password, token, and (for oauth2) clientID and clientSecret; keep one")
	}
	return enter, nil
}

// oauth2 is nil where the source does not ask for it.
func (s *secret) oauth2(source v1alpha1.MetricSource) (*OAuth2, error) {
	if source.OAuth2 == nil {
		return nil, nil
	}
	if source.SecretRef == nil {
		return nil, fmt.Errorf("%s is missing: oauth2 needs a Secret with clientID and clientSecret; create one and name it there", metricsSecret)
	}
	for _, key := range []string{"clientID", "clientSecret"} {
		if s.text(key) == "" {
			return nil, s.problem("it has no key %s, which oauth2 needs; add it", key)
		}
	}
	return &OAuth2{
		ClientID: s.text("clientID"), ClientSecret: s.text("clientSecret"),
		TokenURL: source.OAuth2.TokenURL, Scopes: source.OAuth2.Scopes,
	}, nil
}

// checkTLS says what is wrong with the certificates; the libraries' own errors
// would name neither the Secret nor the key.
func (s *secret) checkTLS() error {
	if ca := s.Data["ca.crt"]; len(ca) > 0 && !x509.NewCertPool().AppendCertsFromPEM(ca) {
		return s.problem("ca.crt holds no certificate in PEM; put the authority's there")
	}
	certificate, key := s.Data["tls.crt"], s.Data["tls.key"]
	switch {
	case len(certificate) == 0 && len(key) == 0:
		return nil
	case len(certificate) == 0:
		return s.problem("it has tls.key and no tls.crt; add the client's certificate in PEM")
	case len(key) == 0:
		return s.problem("it has tls.crt and no tls.key; add the client's private key in PEM")
	}
	if _, err := tls.X509KeyPair(certificate, key); err != nil {
		return s.problem("tls.crt and tls.key are no pair: %v", err)
	}
	return nil
}
