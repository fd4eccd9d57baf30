package tryout

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"strings"

	"github.com/spf13/pflag"

	"github.com/serin-gitops/serin/analysis/prometheus"
	"github.com/serin-gitops/serin/api/v1alpha1"
)

// sourceFlags say how the server of a backtest is entered. Secrets are in files,
// so that no list of processes and no shell's history has them.
type sourceFlags struct {
	given                prometheus.Options
	password, token      string
	ca, certificate, key string
	clientID, tokenURL   string
	clientSecret         string
	scopes               []string
}

func (f *sourceFlags) flags(flags *pflag.FlagSet) {
	flags.StringVar(&f.given.URL, "prometheus", "", "the URL of the server (default: that of the Rollout's analysis.source, whose headers, proxy and oauth2 are used too)")
	flags.StringVar(&f.given.Username, "username", "", "the user for basic authentication")
	flags.StringVar(&f.password, "password-file", "", "a file with the password")
	flags.StringVar(&f.token, "token-file", "", "a file with the bearer token")
	flags.StringVar(&f.clientID, "oauth2-client-id", "", "the client's identifier for oauth2")
	flags.StringVar(&f.clientSecret, "oauth2-client-secret-file", "", "a file with the client's secret for oauth2")
	flags.StringVar(&f.tokenURL, "oauth2-token-url", "", "where tokens come from (default: that of the Rollout's analysis.source)")
	flags.StringSliceVar(&f.scopes, "oauth2-scope", nil, "a scope to ask for (default: those of the Rollout's analysis.source)")
	flags.StringVar(&f.ca, "ca-file", "", "a file with the authority the server is checked with")
	flags.StringVar(&f.certificate, "cert-file", "", "a file with the client's certificate")
	flags.StringVar(&f.key, "key-file", "", "a file with the key of the client's certificate")
	flags.StringVar(&f.given.ProxyURL, "proxy", "", "the URL of an HTTP proxy (default: that of the Rollout's analysis.source, else of the environment)")
	flags.StringToStringVar(&f.given.Headers, "header", nil, "a header to send, such as X-Scope-OrgID=team-a")
}

// options are those of the flags, and for what they do not say those of the
// Rollout's own source. What its Secret holds is given by files.
func (f *sourceFlags) options(source *v1alpha1.MetricSource) (prometheus.Options, error) {
	o := f.given
	if source == nil {
		source = &v1alpha1.MetricSource{}
	}
	if o.URL == "" {
		o.URL = source.URL
	}
	if o.URL == "" {
		return o, errors.New("--prometheus is needed: the Rollout names no analysis.source")
	}
	if o.ProxyURL == "" {
		o.ProxyURL = source.ProxyURL
	}
	o.Headers = maps.Clone(source.Headers)
	if o.Headers == nil {
		o.Headers = map[string]string{}
	}
	maps.Copy(o.Headers, f.given.Headers)
	if err := f.oauth2(&o, source.OAuth2); err != nil {
		return o, err
	}
	for _, one := range []struct {
		flag, file string
		to         *string
	}{
		{"--token-file", f.token, &o.Token}, {"--password-file", f.password, &o.Password},
		{"--ca-file", f.ca, &o.CA}, {"--cert-file", f.certificate, &o.Certificate}, {"--key-file", f.key, &o.Key},
	} {
		if err := fromFile(one.flag, one.file, one.to); err != nil {
			return o, err
		}
	}
	return o, nil
}

func (f *sourceFlags) oauth2(o *prometheus.Options, of *v1alpha1.OAuth2) error {
	if f.token != "" || f.given.Username != "" {
		// Whoever tries may enter otherwise than the controller does.
		of = nil
	}
	if f.clientID == "" && f.clientSecret == "" && f.tokenURL == "" && of == nil {
		return nil
	}
	o.OAuth2 = &prometheus.OAuth2{ClientID: f.clientID, TokenURL: f.tokenURL, Scopes: f.scopes}
	if of != nil && o.OAuth2.TokenURL == "" {
		o.OAuth2.TokenURL = of.TokenURL
	}
	if of != nil && len(o.OAuth2.Scopes) == 0 {
		o.OAuth2.Scopes = of.Scopes
	}
	if o.OAuth2.TokenURL == "" || f.clientID == "" || f.clientSecret == "" {
		return errors.New("oauth2 needs --oauth2-client-id, --oauth2-client-secret-file and --oauth2-token-url, which the Rollout's analysis.source may give")
	}
	return fromFile("--oauth2-client-secret-file", f.clientSecret, &o.OAuth2.ClientSecret)
}

// fromFile reads a file that a flag names, if it names one.
func fromFile(flag, file string, to *string) error {
	if file == "" {
		return nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("%s: %w", flag, err)
	}
	if *to = strings.TrimSpace(string(text)); *to == "" {
		return fmt.Errorf("%s: %s is empty", flag, file)
	}
	return nil
}
