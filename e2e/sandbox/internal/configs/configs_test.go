package configs

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/serin-gitops/serin/e2e/sandbox/internal/layout"

	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/yaml"
)

func testLayout(t *testing.T) layout.Layout {
	t.Helper()
	cache := t.TempDir()
	return layout.Layout{Root: t.TempDir(), Cache: cache, Dir: filepath.Join(cache, "sandbox")}
}

func TestConfigsAreWhole(t *testing.T) {
	l := testLayout(t)
	if err := WritePKI(l, time.Now()); err != nil {
		t.Fatal(err)
	}
	if err := WriteConfigs(Settings{Layout: l, Full: true, GiteaSources: "/gitea"}); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"kubelet.yaml", "prometheus.yml"} {
		text, err := os.ReadFile(l.Path("config", file))
		if err != nil {
			t.Fatal(err)
		}
		var anything map[string]any
		if err := yaml.UnmarshalStrict(text, &anything); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
	text, err := os.ReadFile(l.Path("config", "cni", "10-serin.conflist"))
	if err != nil {
		t.Fatal(err)
	}
	if !json.Valid(text) {
		t.Errorf("the CNI configuration is not JSON:\n%s", text)
	}
	mirror, err := os.ReadFile(l.Path("config", "registries", "registry.local:5000", "hosts.toml"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(mirror, []byte(`"http://10.77.0.10:5000"`)) {
		t.Errorf("registry.local does not lead to the node:\n%s", mirror)
	}
}

func TestCredentialsAreMadeOnceAndPrivate(t *testing.T) {
	l := testLayout(t)
	if err := WritePKI(l, time.Now()); err != nil {
		t.Fatal(err)
	}
	first, err := clientcmd.BuildConfigFromFlags("", l.Kubeconfig(layout.IdentityAdmin))
	if err != nil {
		t.Fatal(err)
	}
	if first.Host != "https://127.0.0.1:16443" {
		t.Errorf("the kubeconfig's server is %s", first.Host)
	}
	for _, file := range []string{l.Kubeconfig(layout.IdentityAdmin), l.Path("pki", "server.key"), l.Path("pki", "service-account.key")} {
		info, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", file, info.Mode())
		}
	}
	if err := WritePKI(l, time.Now()); err != nil {
		t.Fatal(err)
	}
	second, err := clientcmd.BuildConfigFromFlags("", l.Kubeconfig(layout.IdentityAdmin))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(first.CertData, second.CertData) {
		t.Error("a second call replaced the credentials")
	}
}
