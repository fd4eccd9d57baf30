package prometheus_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/serin-gitops/serin/analysis"
	"github.com/serin-gitops/serin/analysis/prometheus"
)

// failing answers with an error of the API that says a text.
func failing(text func(r *http.Request) string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusUnprocessableEntity)
		_, _ = fmt.Fprintf(w, `{"status":"error","errorType":"execution","error":%q}`, text(r))
	}
}

// TestCredentialsInAddresses wants nothing that stands in the address of a
// source, of a proxy, of the tokens, or of where one of them redirects, in what
// is said of it.
func TestCredentialsInAddresses(t *testing.T) {
	t.Parallel()
	const secret = "s3cr3t/of=ours"
	userinfo, parameter := "http://"+url.UserPassword("a-long-user-name", secret).String()+"@", "?api_key="+url.QueryEscape(secret)+"#frag-"+url.PathEscape(secret)
	away := freeAddress(t)
	for _, tc := range []struct {
		name    string
		handler http.HandlerFunc
		change  func(o *prometheus.Options)
		says    string
	}{
		{"away", nil, func(o *prometheus.Options) { o.URL = userinfo + away + "/path" + parameter }, "prometheus http://" + away + "/path: "},
		{"hangs", func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body) // only then is it seen that the client hangs up
			<-r.Context().Done()
		}, func(o *prometheus.Options) { o.Timeout = time.Second }, "/path: "},
		{"sends its address back", failing(func(r *http.Request) string { return "cannot do " + r.URL.String() }), nil, "cannot do"},
		{"sends headers back", failing(func(r *http.Request) string { return "who is " + r.Header.Get("Authorization") }), nil, "who is Basic (redacted)"},
		{"redirects to what is away", http.RedirectHandler("http://user:"+"else-"+"wh3re@"+away+"/x?key=else-wh3re", http.StatusTemporaryRedirect).ServeHTTP, nil, "refused"},
		{"redirects to what is no address", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "http://user:else-wh3re@[::1/x?key=else-wh3re")
			w.WriteHeader(http.StatusTemporaryRedirect)
		}, nil, "Location"},
		{"redirects for ever", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, r.URL.String(), http.StatusTemporaryRedirect)
		}, nil, "redirects"},
		{"proxy is away", answer(seven), func(o *prometheus.Options) { o.ProxyURL = userinfo + away + parameter }, "refused"},
		{"tokens are away", answer(seven), func(o *prometheus.Options) {
			o.URL, _, _ = strings.Cut(o.URL, "?")
			o.URL = strings.Replace(o.URL, userinfo, "http://", 1)
			o.OAuth2 = &prometheus.OAuth2{ClientID: "serin", ClientSecret: secret, TokenURL: userinfo + away + parameter}
		}, "refused"},
		{"warns", func(w http.ResponseWriter, r *http.Request) {
			answer(fmt.Sprintf(`{"status":"success","warnings":[%q],"data":{"resultType":"scalar","result":[1,"7"]}}`, strings.Repeat("x", 100)+" the key is "+secret))(w, r)
		}, nil, "xxx"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(tc.handler)
			defer server.Close()
			o := prometheus.Options{URL: strings.Replace(server.URL, "http://", userinfo, 1) + "/path" + parameter, Timeout: patience}
			if tc.change != nil {
				tc.change(&o)
			}
			_, err := ask(t, newClient(t, o))
			if err == nil || !strings.Contains(err.Error(), tc.says) {
				t.Fatalf("got %v, want an error with %q", err, tc.says)
			}
			for _, part := range []string{"s3cr3t", "a-long-user-name", "else-wh3re"} {
				if strings.Contains(err.Error(), part) {
					t.Errorf("the error holds %s: %v", part, err)
				}
			}
		})
	}
}

// TestLongRefusal wants of what a server says no more than a person reads, and of
// a secret not its first half.
func TestLongRefusal(t *testing.T) {
	const secret = "0123456789abcdef"
	server := httptest.NewServer(failing(func(*http.Request) string { return strings.Repeat(secret, 10_000) }))
	defer server.Close()
	_, err := ask(t, newClient(t, prometheus.Options{URL: server.URL, Token: secret}))
	wantAbsence(t, err, analysis.BadQuery, "(redacted)")
	if len(err.Error()) > 1100 || strings.Contains(err.Error(), secret[:4]) {
		t.Errorf("%d bytes: %v", len(err.Error()), err)
	}
}

// TestRefusedAddresses wants an address that is refused named without what may
// be secret in it.
func TestRefusedAddresses(t *testing.T) {
	for text, says := range map[string]string{
		"prometheus:9090?key=s3cr3t":      `"prometheus:9090"`,
		"user:s3cr3t@prometheus:9090":     "unreadable",
		"//user:s3cr3t@[prometheus":       "unreadable",
		"/path?key=s3cr3t":                `"/path"`,
		"http://user:s3cr3t@/path":        `"http:///path"`,
		"http://[::1?key=s3cr3t":          "unreadable",
		"https://user:s3cr3t@prom:x/path": "unreadable",
	} {
		_, err := prometheus.New(prometheus.Options{URL: text})
		if err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "s3cr3t") {
			t.Errorf("%s: %v, want an error with %s and no secret", text, err, says)
		}
	}
}
