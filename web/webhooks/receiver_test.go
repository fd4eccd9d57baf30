package webhooks_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/serin-gitops/serin/web/webhooks"
)

// woken is what a receiver told.
type woken struct {
	Scope string
	Hint  webhooks.Hint
}

const body = `{"image":"host.example/web:1.0.0"}`

var told = webhooks.Hint{Kind: webhooks.Image, Repository: "host.example/web", Tag: "1.0.0"}

// newReceiver has one secret for all, and one for the pipeline team/web.
func newReceiver(t *testing.T, options webhooks.Options) (http.Handler, *[]woken, *prometheus.Registry) {
	t.Helper()
	var all []woken
	metrics := prometheus.NewPedanticRegistry()
	options.Secrets = func(scope string) []string {
		switch scope {
		case "":
			return []string{"", "install-secret", "older-secret"}
		case "team/web":
			return []string{"web-secret"}
		}
		return nil
	}
	options.Wake = func(scope string, hint webhooks.Hint) { all = append(all, woken{scope, hint}) }
	options.Registerer = metrics
	r, err := webhooks.New(options)
	if err != nil {
		t.Fatal(err)
	}
	return r, &all, metrics
}

func post(handler http.Handler, path, body string, header ...string) *httptest.ResponseRecorder {
	req := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, req)
	return w
}

func sign(secret, body string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(body))
	return hex.EncodeToString(mac.Sum(nil))
}

func TestAuthentication(t *testing.T) {
	cases := []struct {
		name, path string
		header     []string
		scope      string
		code       int
	}{
		{"GitHub's signature", "/hooks/team/web", []string{"X-Hub-Signature-256", "sha256=" + sign("web-secret", body)}, "team/web", 202},
		{"Gitea's signature", "/hooks/team/web", []string{"X-Gitea-Signature", sign("web-secret", body)}, "team/web", 202},
		{"JFrog's signature", "/hooks/team/web", []string{"X-JFrog-Event-Auth", sign("web-secret", body)}, "team/web", 202},
		{"JFrog's token", "/hooks/team/web", []string{"X-JFrog-Event-Auth", "web-secret"}, "team/web", 202},
		{"GitLab's token", "/hooks/team/web", []string{"X-Gitlab-Token", "web-secret"}, "team/web", 202},
		{"bearer", "/hooks/team/web", []string{"Authorization", "Bearer web-secret"}, "team/web", 202},
		{"bare authorization", "/hooks/team/web", []string{"Authorization", "web-secret"}, "team/web", 202},
		{"basic", "/hooks/team/web", []string{"Authorization", "Basic c2VyaW46d2ViLXNlY3JldA=="}, "team/web", 202},
		{"the installation's, for any path", "/hooks/team/other", []string{"X-Serin-Token", "install-secret"}, "", 202},
		{"the older of two, while they change", "/hooks/any", []string{"X-Serin-Token", "older-secret"}, "", 202},
		{"token in the path", "/hooks/install-secret", nil, "", 202},
		{"nothing", "/hooks/team/web", nil, "", 401},
		{"an empty signature", "/hooks/team/web", []string{"X-Hub-Signature-256", "sha256="}, "", 401},
		{"signature of another body", "/hooks/team/web", []string{"X-Hub-Signature-256", "sha256=" + sign("web-secret", body+" ")}, "", 401},
		{"signature with another secret", "/hooks/team/web", []string{"X-Hub-Signature-256", "sha256=" + sign("", body)}, "", 401},
		{"a weak signature", "/hooks/team/web", []string{"X-Hub-Signature", "sha1=" + sign("web-secret", body)[:40]}, "", 401},
		{"another pipeline's secret", "/hooks/team/other", []string{"X-Serin-Token", "web-secret"}, "", 401},
		{"a pipeline's secret in the path", "/hooks/web-secret", nil, "", 401},
		{"an unknown token in the path", "/hooks/guess", nil, "", 401},
		{"an empty bearer", "/hooks/team/web", []string{"Authorization", "Bearer "}, "", 401},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			handler, all, _ := newReceiver(t, webhooks.Options{})
			w := post(handler, c.path, body, c.header...)
			if w.Code != c.code {
				t.Fatalf("got %d %s, want %d", w.Code, w.Body, c.code)
			}
			if c.code == 401 {
				if got := strings.TrimSpace(w.Body.String()); got != "unauthorized" || len(*all) > 0 {
					t.Errorf("said %q, woke %v", got, *all)
				}
				return
			}
			if diff := cmp.Diff([]woken{{c.scope, told}}, *all); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestWhatIsNotTakenIn(t *testing.T) {
	handler, all, _ := newReceiver(t, webhooks.Options{})
	auth := []string{"X-Serin-Token", "install-secret"}
	cases := []struct {
		name, method, path, body string
		code                     int
	}{
		{"another path", http.MethodPost, "/", body, 404},
		{"no scope", http.MethodPost, "/hooks/", body, 404},
		{"another method", http.MethodGet, "/hooks/x", "", 405},
		{"too large", http.MethodPost, "/hooks/x", `{"image":"` + strings.Repeat("a", 1<<20) + `"}`, 413},
		{"no JSON", http.MethodPost, "/hooks/x", "image=web", 400},
		{"no object", http.MethodPost, "/hooks/x", "[]", 400},
		{"a field of another type", http.MethodPost, "/hooks/x", `{"image":7}`, 400},
		{"of no interest", http.MethodPost, "/hooks/x", `{"zen":"calm"}`, 202},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			req := httptest.NewRequest(c.method, c.path, strings.NewReader(c.body))
			req.Header.Set(auth[0], auth[1])
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, req)
			if w.Code != c.code {
				t.Errorf("got %d %s, want %d", w.Code, w.Body, c.code)
			}
		})
	}
	if len(*all) > 0 {
		t.Errorf("woke %v", *all)
	}
}

func TestEachAddressIsLimited(t *testing.T) {
	// So slow a rate that no test is long enough for another request.
	handler, all, _ := newReceiver(t, webhooks.Options{Rate: 1e-6, Burst: 2})
	var codes []int
	for _, address := range []string{"192.0.2.1:1", "192.0.2.1:2", "192.0.2.1:3", "192.0.2.2:1"} {
		req := httptest.NewRequest(http.MethodPost, "/hooks/install-secret", strings.NewReader(body))
		req.RemoteAddr = address
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, req)
		codes = append(codes, w.Code)
	}
	if diff := cmp.Diff([]int{202, 202, 429, 202}, codes); diff != "" || len(*all) != 3 {
		t.Errorf("woke %d times; %s", len(*all), diff)
	}
}

func TestOutcomesAreCounted(t *testing.T) {
	handler, _, metrics := newReceiver(t, webhooks.Options{})
	post(handler, "/hooks/install-secret", body)
	post(handler, "/hooks/install-secret", body)
	post(handler, "/hooks/install-secret", `{"zen":"calm"}`)
	post(handler, "/hooks/install-secret", `{"docker_url":7}`)
	post(handler, "/hooks/guess", body)
	families, err := metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			key := family.GetName()
			for _, label := range metric.GetLabel() {
				key += " " + label.GetValue()
			}
			got[key] = metric.GetCounter().GetValue()
		}
	}
	want := map[string]float64{
		"serin_webhooks_total accepted generic":     2,
		"serin_webhooks_total ignored unknown":      1,
		"serin_webhooks_total malformed quay":       1,
		"serin_webhooks_total unauthorized unknown": 1,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
