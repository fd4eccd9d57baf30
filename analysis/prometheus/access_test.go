package prometheus_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/client-go/util/cert"

	"github.com/serin-gitops/serin/analysis"
	"github.com/serin-gitops/serin/analysis/prometheus"
)

const (
	clientSecret = "the-clients-secret"
	seven        = `{"status":"success","data":{"resultType":"scalar","result":[1,"7"]}}`
)

// ask asks for one number.
func ask(t *testing.T, c *prometheus.Client) (float64, error) {
	t.Helper()
	return c.Value(t.Context(), analysis.ValueQuery{Expression: "scalar(x)", At: time.Unix(1, 0)})
}

// tokens is a token endpoint of the client credentials grant (RFC 6749, 4.4).
type tokens struct {
	server *httptest.Server
	given  atomic.Int64
}

func startTokens(t *testing.T) *tokens {
	t.Helper()
	end := &tokens{}
	end.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, secret, given := r.BasicAuth()
		if !given {
			// The client tries this form where the other is refused.
			id, secret = r.FormValue("client_id"), r.FormValue("client_secret")
		}
		w.Header().Set("Content-Type", "application/json")
		switch {
		case r.Method != http.MethodPost || r.FormValue("grant_type") != "client_credentials" || r.FormValue("scope") != "metrics read":
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, `{"error":"invalid_request"}`)
		case id != "serin" || secret != clientSecret:
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = fmt.Fprintf(w, `{"error":"invalid_client","error_description":"not %s"}`, secret)
		default:
			_ = json.NewEncoder(w).Encode(map[string]any{
				"access_token": fmt.Sprintf("token-%d", end.given.Add(1)), "token_type": "Bearer", "expires_in": 3600,
			})
		}
	}))
	t.Cleanup(end.server.Close)
	return end
}

func (e *tokens) grant(secret string) *prometheus.OAuth2 {
	return &prometheus.OAuth2{ClientID: "serin", ClientSecret: secret, TokenURL: e.server.URL, Scopes: []string{"metrics", "read"}}
}

// wanting is a server that answers only those who bring a header.
func wanting(t *testing.T, name, value string) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get(name) != value {
			http.Error(w, "not you", http.StatusUnauthorized)
			return
		}
		answer(seven)(w, r)
	}))
	t.Cleanup(server.Close)
	return server
}

// TestOAuth2 wants one token for many queries, and no secret in what is said
// where there is none.
func TestOAuth2(t *testing.T) {
	end := startTokens(t)
	server := wanting(t, "Authorization", "Bearer token-1")
	client := newClient(t, prometheus.Options{URL: server.URL, OAuth2: end.grant(clientSecret)})
	for i := range 3 {
		n, err := client.Value(t.Context(), analysis.ValueQuery{Expression: "scalar(x)", At: time.Unix(int64(i), 0)})
		if err != nil || n != 7 {
			t.Fatalf("got %v, %v; want 7", n, err)
		}
	}
	if got := end.given.Load(); got != 1 {
		t.Errorf("%d tokens were given, want 1", got)
	}
	gone := httptest.NewServer(http.NotFoundHandler())
	defer gone.Close()
	wrong, nowhere := end.grant("another-secret"), end.grant(clientSecret)
	nowhere.TokenURL = gone.URL
	for text, grant := range map[string]*prometheus.OAuth2{
		"invalid_client not (redacted); check clientID": wrong, "404 Not Found; check tokenURL": nowhere,
	} {
		_, err := ask(t, newClient(t, prometheus.Options{URL: server.URL, OAuth2: grant}))
		wantAbsence(t, err, analysis.Outage, text)
		if strings.Contains(err.Error(), "secret") {
			t.Errorf("the error holds the secret: %v", err)
		}
	}
}

// TestTokensHang wants an endpoint that never answers to be an outage, and only
// for as long as a query may take.
func TestTokensHang(t *testing.T) {
	hold := make(chan struct{})
	end := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-hold }))
	defer end.Close()
	defer close(hold)
	client := newClient(t, prometheus.Options{URL: "http://127.0.0.1:1", Timeout: 200 * time.Millisecond, OAuth2: &prometheus.OAuth2{
		ClientID: "serin", ClientSecret: clientSecret, TokenURL: end.URL,
	}})
	for range 2 {
		_, err := ask(t, client)
		wantAbsence(t, err, analysis.Outage, "prometheus http://127.0.0.1:1")
	}
}

// TestTokenStaysHome wants a token sent to the server it is for and not to
// where that one redirects.
func TestTokenStaysHome(t *testing.T) {
	var seen atomic.Value
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen.Store(r.Header.Get("Authorization"))
		answer(seven)(w, r)
	}))
	defer other.Close()
	server := httptest.NewServer(http.RedirectHandler(other.URL, http.StatusTemporaryRedirect))
	defer server.Close()
	client := newClient(t, prometheus.Options{URL: server.URL, OAuth2: startTokens(t).grant(clientSecret)})
	if n, err := ask(t, client); err != nil || n != 7 {
		t.Fatalf("got %v, %v; want 7", n, err)
	}
	if got := seen.Load(); got != "" {
		t.Errorf("the other server was sent %q", got)
	}
}

// pair is a self-signed certificate and its key in PEM.
func pair(t *testing.T, host string) (certificate, key []byte) {
	t.Helper()
	certificate, key, err := cert.GenerateSelfSignedCertKey(host, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return certificate, key
}

// TestMutualTLS wants the client's certificate shown to a server that requires
// it, and that server's own checked with the authority given.
func TestMutualTLS(t *testing.T) {
	certificate, key := pair(t, "serin")
	trusted := x509.NewCertPool()
	trusted.AppendCertsFromPEM(certificate)
	server := httptest.NewUnstartedServer(answer(seven))
	server.TLS = &tls.Config{MinVersion: tls.VersionTLS12, ClientAuth: tls.RequireAnyClientCert, VerifyPeerCertificate: func(raw [][]byte, _ [][]*x509.Certificate) error {
		leaf, err := x509.ParseCertificate(raw[0])
		if err == nil {
			_, err = leaf.Verify(x509.VerifyOptions{Roots: trusted, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
		}
		return err
	}}
	server.StartTLS()
	defer server.Close()
	ca := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
	stranger, strangersKey := pair(t, "stranger")
	for _, tc := range []struct {
		name, ca, certificate, key, says string
	}{
		{"with all", ca, string(certificate), string(key), ""},
		{"without a certificate", ca, "", "", "certificate required"},
		{"with a stranger's", ca, string(stranger), string(strangersKey), "bad certificate"},
		{"without the authority", "", string(certificate), string(key), "certificate signed by unknown authority"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			client := newClient(t, prometheus.Options{URL: server.URL, CA: tc.ca, Certificate: tc.certificate, Key: tc.key})
			n, err := ask(t, client)
			if tc.says == "" && (err != nil || n != 7) {
				t.Fatalf("got %v, %v; want 7", n, err)
			}
			if tc.says != "" {
				wantAbsence(t, err, analysis.Outage, tc.says)
			}
		})
	}
}

// TestProxy wants queries and tokens to go by a forward proxy, a real one.
func TestProxy(t *testing.T) {
	var mu sync.Mutex
	var asked []string
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		asked = append(asked, r.URL.Host)
		mu.Unlock()
		onward := r.Clone(r.Context())
		onward.RequestURI = ""
		response, err := http.DefaultTransport.RoundTrip(onward)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		defer func() { _ = response.Body.Close() }()
		w.Header().Set("Content-Type", response.Header.Get("Content-Type"))
		w.WriteHeader(response.StatusCode)
		_, _ = io.Copy(w, response.Body)
	}))
	defer proxy.Close()
	end, server := startTokens(t), wanting(t, "Authorization", "Bearer token-1")
	client := newClient(t, prometheus.Options{URL: server.URL, ProxyURL: proxy.URL, OAuth2: end.grant(clientSecret)})
	if n, err := ask(t, client); err != nil || n != 7 {
		t.Fatalf("got %v, %v; want 7", n, err)
	}
	mu.Lock()
	defer mu.Unlock()
	want := []string{strings.TrimPrefix(end.server.URL, "http://"), strings.TrimPrefix(server.URL, "http://")}
	if !slices.Equal(asked, want) {
		t.Errorf("the proxy was asked for %v, want %v", asked, want)
	}
}

func TestTenantHeader(t *testing.T) {
	server := wanting(t, "X-Scope-OrgID", "team-a|team-b")
	client := newClient(t, prometheus.Options{URL: server.URL, Headers: map[string]string{"X-Scope-OrgID": "team-a|team-b"}})
	if n, err := ask(t, client); err != nil || n != 7 {
		t.Errorf("got %v, %v; want 7", n, err)
	}
}

func TestOptionsAreRefused(t *testing.T) {
	certificate, key := pair(t, "serin")
	_, another := pair(t, "serin")
	for name, tc := range map[string]struct {
		options prometheus.Options
		says    string
	}{
		"no URL":              {prometheus.Options{URL: "prometheus:9090"}, "absolute URL"},
		"key without cert":    {prometheus.Options{Key: string(key)}, "together"},
		"not a pair":          {prometheus.Options{Certificate: string(certificate), Key: string(another)}, "certificate and key"},
		"no authority":        {prometheus.Options{CA: "nonsense"}, "CA"},
		"proxy":               {prometheus.Options{ProxyURL: "proxy"}, "proxy url"},
		"half an oauth2":      {prometheus.Options{OAuth2: &prometheus.OAuth2{ClientID: "serin"}}, "oauth2 needs"},
		"oauth2 and a bearer": {prometheus.Options{Token: "t0ken", OAuth2: &prometheus.OAuth2{ClientID: "a", ClientSecret: "b", TokenURL: "http://c"}}, "oauth2 excludes"},
		"basic and a bearer":  {prometheus.Options{Token: "t0ken", Username: "u"}, "at most one"},
	} {
		t.Run(name, func(t *testing.T) {
			if tc.options.URL == "" {
				tc.options.URL = "http://prometheus:9090"
			}
			_, err := prometheus.New(tc.options)
			if err == nil || !strings.Contains(err.Error(), tc.says) || strings.Contains(err.Error(), "t0ken") || strings.Contains(err.Error(), "PRIVATE") {
				t.Errorf("error %v, want one with %q and no secret", err, tc.says)
			}
		})
	}
}

// TestRotation wants other credentials used at once, and the client of those of
// before dropped when nobody asks for it any more.
func TestRotation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var pool prometheus.Pool
		get := func(token string) *prometheus.Client {
			t.Helper()
			client, err := pool.Get(prometheus.Options{URL: "http://prometheus:9090", Token: token})
			if err != nil {
				t.Fatal(err)
			}
			return client
		}
		before, after := get("before"), get("after")
		if before == after {
			t.Fatal("another token has the same client")
		}
		for range 10 {
			time.Sleep(time.Minute) // of the bubble's clock
			if get("after") != after {
				t.Fatal("a client in use is dropped")
			}
		}
		if get("before") == before {
			t.Error("the client of the old token is still there")
		}
	})
}

// TestPoolIsBounded wants the client that was used last to stay where there are
// very many.
func TestPoolIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var pool prometheus.Pool
		var first, last *prometheus.Client
		get := func(i int) *prometheus.Client {
			c, err := pool.Get(prometheus.Options{URL: "http://prometheus:9090", Token: fmt.Sprintf("token-%d", i)})
			if err != nil {
				t.Fatal(err)
			}
			return c
		}
		first = get(0)
		for i := 1; i <= 256; i++ {
			time.Sleep(time.Millisecond) // of the bubble's clock
			last = get(i)
		}
		if get(256) != last {
			t.Error("the newest client is dropped")
		}
		if get(0) == first {
			t.Error("the oldest of 257 clients is kept")
		}
	})
}
