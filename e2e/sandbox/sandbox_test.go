package sandbox

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/serin-gitops/serin/e2e/sandbox/internal/layout"

	"github.com/serin-gitops/serin/e2e/sandbox/internal/configs"
)

func testLayout(t *testing.T) layout.Layout {
	t.Helper()
	cache := t.TempDir()
	return layout.Layout{Root: t.TempDir(), Cache: cache, Dir: filepath.Join(cache, "sandbox")}
}

func TestOptionsRefuseAnUnknownProfile(t *testing.T) {
	if _, _, err := (Options{Profile: "huge"}).complete(); err == nil || !strings.Contains(err.Error(), `"huge"`) {
		t.Errorf("error %v does not name the profile", err)
	}
}

func TestExistingClusterHasNoParts(t *testing.T) {
	cluster := &Cluster{Kubeconfig: "/some/file"}
	if err := cluster.KillPart(t.Context(), "etcd"); !errors.Is(err, errExisting) {
		t.Errorf("KillPart: %v", err)
	}
	if _, err := cluster.Dial(t.Context(), "tcp", "10.78.0.1:80"); !errors.Is(err, errExisting) {
		t.Errorf("Dial: %v", err)
	}
}

func TestProbeWantsOK(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	l := testLayout(t)
	if err := configs.WritePKI(l, time.Now()); err != nil {
		t.Fatal(err)
	}
	client, err := newCluster(l, layout.Light).probeClient()
	if err != nil {
		t.Fatal(err)
	}
	client.HTTPClient = server.Client()
	if err := probe(t.Context(), client, server.URL); err == nil || !strings.Contains(err.Error(), "404") {
		t.Errorf("error %v does not tell the status", err)
	}
}
