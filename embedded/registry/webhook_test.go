package registry_test

import (
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/serin-gitops/serin/embedded/registry"
	"github.com/serin-gitops/serin/web/webhooks"
)

// TestReceiverUnderstandsTheNotifications sends a push all the way to Serin's
// own receiver.
func TestReceiverUnderstandsTheNotifications(t *testing.T) {
	woken := make(chan webhooks.Hint, 8)
	receiver, err := webhooks.New(webhooks.Options{
		Secrets: func(string) []string { return []string{"s3cret"} },
		Wake:    func(_ string, hint webhooks.Hint) { woken <- hint },
	})
	if err != nil {
		t.Fatal(err)
	}
	endpoint := httptest.NewServer(receiver)
	t.Cleanup(endpoint.Close)
	r, server := serve(t, registry.Options{Endpoints: []registry.Endpoint{{
		URL: endpoint.URL + webhooks.Prefix + "registry", Authorization: "Bearer s3cret",
	}}})
	go r.Run(t.Context(), func(err error) { t.Error(err) })
	digest := push(t, server, "acme/web:1.0.0")
	select {
	case got := <-woken:
		want := webhooks.Hint{
			Kind: webhooks.Image, Repository: strings.TrimPrefix(server.URL, "http://") + "/acme/web", Tag: "1.0.0", Digest: digest.String(),
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	case <-time.After(60 * time.Second):
		t.Fatal("nobody was woken")
	}
}
