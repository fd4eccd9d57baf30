package access

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/client-go/util/cert"

	"github.com/serin-gitops/serin/api/v1alpha1"
)

func TestMetrics(t *testing.T) {
	certificate, key, err := cert.GenerateSelfSignedCertKey("serin", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, another, err := cert.GenerateSelfSignedCertKey("serin", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	oauth := &v1alpha1.OAuth2{TokenURL: "https://id/token", Scopes: []string{"read"}}
	for _, c := range []struct {
		name   string
		source v1alpha1.MetricSource
		data   map[string]string
		want   Metrics
		refuse string
	}{
		{"basic", v1alpha1.MetricSource{}, map[string]string{"username": "u", "password": hidden + "\n"}, Metrics{Username: "u", Password: hidden}, ""},
		{"bearer", v1alpha1.MetricSource{Headers: map[string]string{"X-Scope-OrgID": "a"}, ProxyURL: "http://proxy:3128"}, map[string]string{"token": hidden},
			Metrics{Bearer: hidden, Headers: map[string]string{"X-Scope-OrgID": "a"}, ProxyURL: "http://proxy:3128"}, ""},
		{"oauth2", v1alpha1.MetricSource{OAuth2: oauth}, map[string]string{"clientID": "serin\n", "clientSecret": hidden + "\n"},
			Metrics{OAuth2: &OAuth2{ClientID: "serin", ClientSecret: hidden, TokenURL: "https://id/token", Scopes: []string{"read"}}}, ""},
		{"client pair", v1alpha1.MetricSource{}, map[string]string{"tls.crt": string(certificate), "tls.key": string(key), "ca.crt": string(certificate)},
			Metrics{Certificate: certificate, Key: key, CA: certificate}, ""},
		{"no clientID", v1alpha1.MetricSource{OAuth2: oauth}, map[string]string{"clientSecret": hidden}, Metrics{}, "no key clientID, which oauth2 needs; add it"},
		{"no clientSecret", v1alpha1.MetricSource{OAuth2: oauth}, map[string]string{"clientID": hidden}, Metrics{}, "no key clientSecret, which oauth2 needs; add it"},
		{"two ways", v1alpha1.MetricSource{}, map[string]string{"username": "u", "password": hidden, "token": hidden}, Metrics{}, "more than one of"},
		{"oauth2 and a bearer", v1alpha1.MetricSource{OAuth2: oauth}, map[string]string{"clientID": "c", "clientSecret": hidden, "token": hidden}, Metrics{}, "more than one of"},
		{"no authority", v1alpha1.MetricSource{}, map[string]string{"ca.crt": hidden}, Metrics{}, "ca.crt holds no certificate"},
		{"half a pair", v1alpha1.MetricSource{}, map[string]string{"tls.crt": string(certificate)}, Metrics{}, "no tls.key"},
		{"the other half", v1alpha1.MetricSource{}, map[string]string{"tls.key": string(key)}, Metrics{}, "no tls.crt"},
		{"no pair", v1alpha1.MetricSource{}, map[string]string{"tls.crt": string(certificate), "tls.key": string(another)}, Metrics{}, "tls.crt and tls.key are no pair"},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.source.URL, c.source.SecretRef = "https://mimir/prometheus", &v1alpha1.LocalReference{Name: "s"}
			got, err := secrets(c.data).Metrics(t.Context(), "ns", c.source)
			if c.refuse != "" {
				refused(t, err, c.refuse)
				return
			}
			c.want.URL = c.source.URL
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
	_, err = secrets(nil).Metrics(t.Context(), "ns", v1alpha1.MetricSource{URL: "https://mimir", OAuth2: oauth})
	if err == nil || !strings.Contains(err.Error(), "secretRef is missing: oauth2 needs a Secret with clientID and clientSecret") {
		t.Errorf("oauth2 without a Secret: %v", err)
	}
}
