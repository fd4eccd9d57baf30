package sandbox

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/serin-gitops/serin/e2e/progress"
)

func TestEnvironmentIsReadByAShell(t *testing.T) {
	l := testLayout(t)
	cluster := newCluster(l, Full)
	cluster.Gitea = Gitea{URL: "http://127.0.0.1:13000", User: "o'brien $HOME", Token: "t"}
	if err := writeEnvironment(l, cluster); err != nil {
		t.Fatal(err)
	}
	shell := exec.Command("sh", "-c", `. "$0" && printf '%s|%s|%s' "$SERIN_GITEA_USER" "$SERIN_GITEA_TOKEN" "$KUBECONFIG"`, environmentFile(l))
	out, err := shell.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if diff := cmp.Diff("o'brien $HOME|t|"+cluster.Kubeconfig, string(out)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	info, err := os.Stat(environmentFile(l))
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, want 0600: it holds a token", info.Mode())
	}
}

func TestEnvironmentLeavesOutWhatLightHasNot(t *testing.T) {
	text := string(environment(newCluster(testLayout(t), Light)))
	if !strings.Contains(text, "KUBECONFIG=") || strings.Contains(text, "GITEA") || strings.Contains(text, "GATEWAY") {
		t.Errorf("environment of profile light is\n%s", text)
	}
}

func TestLightStartsNoPartOfFull(t *testing.T) {
	c := newCluster(testLayout(t), Full)
	names := func(steps []progress.Part) map[string]bool {
		found := map[string]bool{}
		for _, one := range steps {
			found[one.Name] = true
		}
		return found
	}
	light, full := names(upSteps(c, Light)), names(upSteps(c, Full))
	for _, one := range fullParts(c.layout) {
		if light[one.name] || !full[one.name] {
			t.Errorf("%s starts in light: %t, in full: %t; want only in full", one.name, light[one.name], full[one.name])
		}
	}
}

func TestGiteaAccessIsKeptPrivately(t *testing.T) {
	l := testLayout(t)
	none, err := savedGitea(l)
	if err != nil {
		t.Fatal(err)
	}
	want := Gitea{URL: "u", ClusterURL: "c", NodeURL: "n", User: giteaAdmin, Password: "p", Token: "t"}
	if err := saveGitea(l, want); err != nil {
		t.Fatal(err)
	}
	got, err := savedGitea(l)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]Gitea{{}, want}, []Gitea{none, got}); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	info, err := os.Stat(giteaFile(l))
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, want 0600: it holds a password", info.Mode())
	}
}
