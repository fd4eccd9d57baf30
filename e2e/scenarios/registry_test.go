//go:build scenarios

package scenarios

import (
	"context"
	"errors"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/serin-gitops/serin/api/v1alpha1"
	"github.com/serin-gitops/serin/e2e/images"
	"github.com/serin-gitops/serin/e2e/sandbox"
	"github.com/serin-gitops/serin/e2e/world"
)

// troubledRegistry is where the Pipeline of TestRegistryTrouble looks for tags.
const troubledRegistry = sandbox.NodeAddress + ":5055"

// TestRegistryTrouble: the registry answers 429, then 500. The Pipeline says so,
// what is known already goes on its way, and what was pushed meanwhile is found
// afterwards.
func TestRegistryTrouble(t *testing.T) {
	l := beside(t, "registry")
	answer := lookThrough(t, l, troubledRegistry)
	version := l.push(t, images.Good)
	_, err := l.WaitPhase(t.Context(), "staging", version, long, v1alpha1.PromotionAwaitingApproval)
	must(t, err)

	answer.Store(http.StatusTooManyRequests)
	trouble(t, l, "RegistryLimited")
	must(t, l.Approve(t.Context(), "staging", version, long))
	must(t, l.WaitHealthy(t.Context(), "staging", version, long))

	answer.Store(http.StatusInternalServerError)
	newer := l.push(t, images.Good)
	trouble(t, l, "RegistryFailed")
	if found, err := l.Now().Release(t.Context(), newer); err != nil || found != nil {
		t.Errorf("release %s is there (%v), and the registry told of none", newer, err)
	}
	answer.Store(http.StatusOK)
	must(t, world.Eventually(t.Context(), long, "release "+newer+" to be found", func(ctx context.Context) (string, error) {
		found, err := l.Release(ctx, newer)
		if err != nil || found != nil {
			return "", err
		}
		return "there is none", nil
	}))
}

// lookThrough lets the Pipeline see the registry through a proxy at an address of
// the sandbox until the test ends. It answers with the status that is stored, and
// 200 leaves the answer to the registry.
func lookThrough(t *testing.T, l *line, address string) *atomic.Int32 {
	t.Helper()
	pipeline, err := l.ThePipeline(t.Context())
	must(t, err)
	direct := pipeline.Spec.Images[0].Endpoint
	answer := new(atomic.Int32)
	answer.Store(http.StatusOK)
	proxy := &httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(&url.URL{Scheme: "http", Host: direct}) },
		Transport: &http.Transport{DialContext: w.Dial},
	}
	listener, err := w.Listen(address)
	must(t, err)
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(response http.ResponseWriter, request *http.Request) {
		if status := int(answer.Load()); status != http.StatusOK {
			http.Error(response, "a test's trouble", status)
			return
		}
		proxy.ServeHTTP(response, request)
	})}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	t.Cleanup(func() {
		lookAt(t, l, direct)
		if err := server.Close(); err != nil {
			t.Error(err)
		}
		if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	lookAt(t, l, address)
	return answer
}

// lookAt names another endpoint for the Pipeline's image.
func lookAt(t *testing.T, l *line, endpoint string) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	pipeline, err := l.ThePipeline(ctx)
	must(t, err)
	next := pipeline.DeepCopy()
	next.Spec.Images[0].Endpoint = endpoint
	must(t, w.Client.Patch(ctx, next, client.MergeFrom(pipeline)))
}

// trouble waits until the Pipeline is not Ready for that reason.
func trouble(t *testing.T, l *line, reason string) {
	t.Helper()
	must(t, world.Eventually(t.Context(), long, "the Pipeline to say "+reason, func(ctx context.Context) (string, error) {
		pipeline, err := l.ThePipeline(ctx)
		if err != nil {
			return "", err
		}
		ready := meta.FindStatusCondition(pipeline.Status.Conditions, v1alpha1.ConditionReady)
		if ready == nil || ready.Reason != reason {
			return "it says something else", nil
		}
		t.Logf("%s: %s", ready.Reason, ready.Message)
		return "", nil
	}))
}
