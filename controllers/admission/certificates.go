package admission

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/cert"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
)

const (
	// lifetime of a certificate; a third before its end it is renewed.
	lifetime = 90 * 24 * time.Hour
	renewal  = lifetime / 3
	// every is how often the certificate and its authority are looked at, and
	// soon how often until both are in their places.
	every = 10 * time.Minute
	soon  = 10 * time.Second
	// authorities is the key of the Secret with the authorities that the API
	// server is to trust.
	authorities = "ca.crt"
)

// Certificates keeps the certificate that the API server reaches Serin by: in a
// Secret, so that all replicas have the same one, and its authority in the
// webhook's configuration. It is made, renewed and put there by whichever replica
// comes first; the API server's refusal of an older object makes the others read
// it again. The authority of before is trusted for as long as it is valid, so
// that a replica that has not yet seen the new certificate is trusted too.
type Certificates struct {
	// Reader asks the API server, not a cache: neither Secrets nor configurations
	// are watched.
	Reader client.Reader
	Writer client.Writer
	// Secret that holds tls.crt, tls.key and ca.crt.
	Secret types.NamespacedName
	// Host is the name of the Service: NAME.NAMESPACE.svc.
	Host string
	// Configuration is the name of the ValidatingWebhookConfiguration.
	Configuration string
	// Now is the clock.
	Now func() time.Time

	current atomic.Pointer[tls.Certificate]
}

// Start keeps it until the context ends. No error of it ends the controller:
// without a certificate the API server takes what is written unasked.
func (c *Certificates) Start(ctx context.Context) error {
	logger := log.FromContext(ctx).WithName("admission")
	for {
		next := every
		if err := c.Ensure(ctx); err != nil {
			next = soon
			logger.Info("objects are not validated when they are written", "because", err.Error())
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(next):
		}
	}
}

// NeedLeaderElection implements manager.LeaderElectionRunnable: every replica is
// asked by the API server.
func (c *Certificates) NeedLeaderElection() bool { return false }

// Get gives the certificate to a server, as tls.Config.GetCertificate.
func (c *Certificates) Get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	if current := c.current.Load(); current != nil {
		return current, nil
	}
	return nil, errors.New("the certificate for admission is not made yet")
}

// Ensure makes or renews the certificate where that is due, loads it, and has
// the API server trust its authority. Where another replica does the same at the
// same time, its certificate is taken.
func (c *Certificates) Ensure(ctx context.Context) error {
	lost := func(err error) bool { return apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) }
	return retry.OnError(retry.DefaultRetry, lost, func() error { return c.ensure(ctx) })
}

// ensure reads the configuration before the Secret: then the API server refuses
// to put the authorities of an older Secret over those of one that another
// replica has renewed in between.
func (c *Certificates) ensure(ctx context.Context) error {
	var configuration admissionv1.ValidatingWebhookConfiguration
	if err := c.Reader.Get(ctx, types.NamespacedName{Name: c.Configuration}, &configuration); err != nil {
		return fmt.Errorf("ValidatingWebhookConfiguration %s: %w", c.Configuration, err)
	}
	trusted, err := c.load(ctx)
	if err != nil {
		return err
	}
	changed := false
	for i := range configuration.Webhooks {
		if config := &configuration.Webhooks[i].ClientConfig; !bytes.Equal(config.CABundle, trusted) {
			config.CABundle, changed = trusted, true
		}
	}
	if !changed {
		return nil
	}
	if err := c.Writer.Update(ctx, &configuration); err != nil {
		return fmt.Errorf("ValidatingWebhookConfiguration %s: caBundle: %w", c.Configuration, err)
	}
	return nil
}

// load gives the authorities of the certificate that is served from now on.
func (c *Certificates) load(ctx context.Context) ([]byte, error) {
	var secret corev1.Secret
	err := c.Reader.Get(ctx, c.Secret, &secret)
	if client.IgnoreNotFound(err) != nil {
		return nil, fmt.Errorf("the Secret %s: %w", c.Secret, err)
	}
	if apierrors.IsNotFound(err) || c.due(&secret) {
		if err := c.renew(ctx, &secret, apierrors.IsNotFound(err)); err != nil {
			return nil, fmt.Errorf("the Secret %s: %w", c.Secret, err)
		}
	}
	pair, err := tls.X509KeyPair(secret.Data[corev1.TLSCertKey], secret.Data[corev1.TLSPrivateKeyKey])
	if err != nil {
		return nil, fmt.Errorf("the Secret %s: %w", c.Secret, err)
	}
	c.current.Store(&pair)
	return secret.Data[authorities], nil
}

// due says whether there is no certificate for the host that is valid for long
// enough.
func (c *Certificates) due(secret *corev1.Secret) bool {
	pair, err := tls.X509KeyPair(secret.Data[corev1.TLSCertKey], secret.Data[corev1.TLSPrivateKeyKey])
	if err != nil || pair.Leaf == nil {
		return true
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(secret.Data[authorities])
	_, err = pair.Leaf.Verify(x509.VerifyOptions{DNSName: c.Host, Roots: roots, CurrentTime: c.Now().Add(renewal)})
	return err != nil
}

// renew writes a new certificate and its authority, beside the authorities of
// before.
func (c *Certificates) renew(ctx context.Context, secret *corev1.Secret, create bool) error {
	// The certificate comes first, then its authority.
	chain, key, err := cert.GenerateSelfSignedCertKeyWithOptions(cert.SelfSignedCertKeyOptions{Host: c.Host, MaxAge: lifetime})
	if err != nil {
		return err
	}
	_, authority := pem.Decode(chain)
	secret.Data = map[string][]byte{
		corev1.TLSCertKey: chain, corev1.TLSPrivateKeyKey: key,
		authorities: append(bytes.Clone(authority), c.stillValid(secret.Data[authorities])...),
	}
	if create {
		// The type of a Secret that is there cannot be changed.
		secret.Namespace, secret.Name, secret.Type = c.Secret.Namespace, c.Secret.Name, corev1.SecretTypeTLS
		return c.Writer.Create(ctx, secret)
	}
	return c.Writer.Update(ctx, secret)
}

// stillValid keeps the authorities that have not expired.
func (c *Certificates) stillValid(bundle []byte) []byte {
	var kept []byte
	for {
		var block *pem.Block
		if block, bundle = pem.Decode(bundle); block == nil {
			return kept
		}
		if authority, err := x509.ParseCertificate(block.Bytes); err == nil && c.Now().Before(authority.NotAfter) {
			kept = append(kept, pem.EncodeToMemory(block)...)
		}
	}
}
