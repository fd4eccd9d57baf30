package tryout

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"

	"github.com/serin-gitops/serin/analysis/prometheus"
	"github.com/serin-gitops/serin/api/v1alpha1"
)

func TestSource(t *testing.T) {
	dir := t.TempDir()
	secret, empty := filepath.Join(dir, "secret"), filepath.Join(dir, "empty")
	write(t, secret, "swordfish\n")
	write(t, empty, "\n")
	of := &v1alpha1.MetricSource{
		URL: "https://mimir/prometheus", ProxyURL: "http://proxy:3128", Headers: map[string]string{"X-Scope-OrgID": "team-a", "X-Two": "2"},
		OAuth2: &v1alpha1.OAuth2{TokenURL: "https://id/token", Scopes: []string{"read"}},
	}
	ofRollout := prometheus.Options{URL: "https://mimir/prometheus", ProxyURL: "http://proxy:3128", Headers: of.Headers}
	for name, test := range map[string]struct {
		args   []string
		source *v1alpha1.MetricSource
		want   func(*prometheus.Options)
		err    string
	}{
		"the Rollout's with the client's secret": {[]string{"--oauth2-client-id", "serin", "--oauth2-client-secret-file", secret}, of, func(o *prometheus.Options) {
			o.OAuth2 = &prometheus.OAuth2{ClientID: "serin", ClientSecret: "swordfish", TokenURL: "https://id/token", Scopes: []string{"read"}}
		}, ""},
		"the Rollout's with another token": {[]string{"--token-file", secret, "--header", "X-Scope-OrgID=team-b"}, of, func(o *prometheus.Options) {
			o.Token, o.Headers = "swordfish", map[string]string{"X-Scope-OrgID": "team-b", "X-Two": "2"}
		}, ""},
		"flags alone": {[]string{"--prometheus", "http://p:9090", "--username", "u", "--password-file", secret, "--proxy", "http://q:1",
			"--ca-file", secret, "--cert-file", secret, "--key-file", secret}, nil, func(o *prometheus.Options) {
			*o = prometheus.Options{URL: "http://p:9090", Username: "u", Password: "swordfish", ProxyURL: "http://q:1",
				CA: "swordfish", Certificate: "swordfish", Key: "swordfish", Headers: map[string]string{}}
		}, ""},
		"oauth2 by flags": {[]string{"--prometheus", "http://p:9090", "--oauth2-client-id", "serin", "--oauth2-client-secret-file", secret,
			"--oauth2-token-url", "http://id", "--oauth2-scope", "a,b"}, nil, func(o *prometheus.Options) {
			*o = prometheus.Options{URL: "http://p:9090", Headers: map[string]string{},
				OAuth2: &prometheus.OAuth2{ClientID: "serin", ClientSecret: "swordfish", TokenURL: "http://id", Scopes: []string{"a", "b"}}}
		}, ""},
		"the Rollout's without the secret": {nil, of, nil, "oauth2 needs --oauth2-client-id"},
		"an empty file":                    {[]string{"--prometheus", "http://p:9090", "--token-file", empty}, nil, nil, "is empty"},
		"no source":                        {nil, nil, nil, "--prometheus is needed"},
	} {
		t.Run(name, func(t *testing.T) {
			var flags sourceFlags
			set := pflag.NewFlagSet("backtest", pflag.ContinueOnError)
			flags.flags(set)
			if err := set.Parse(test.args); err != nil {
				t.Fatal(err)
			}
			got, err := flags.options(test.source)
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) {
					t.Errorf("error %v, want one with %q", err, test.err)
				}
				return
			}
			want := ofRollout
			test.want(&want)
			if diff := cmp.Diff(want, got); diff != "" || err != nil {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
		})
	}
	if of.Headers["X-Scope-OrgID"] != "team-a" {
		t.Error("the Rollout itself was changed")
	}
}
