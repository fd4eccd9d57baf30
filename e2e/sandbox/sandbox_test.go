package sandbox

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/yaml"
)

func testLayout(t *testing.T) layout {
	t.Helper()
	cache := t.TempDir()
	return layout{root: t.TempDir(), cache: cache, dir: filepath.Join(cache, "sandbox")}
}

func TestParseStat(t *testing.T) {
	tests := map[string]struct {
		line  string
		start uint64
		state string
		fails bool
	}{
		"plain":                  {"7 (etcd) S 1 7 7 0 -1 4194560 1 0 0 0 5 3 0 0 20 0 9 0 4242 1 2", 4242, "S", false},
		"parentheses and spaces": {"7 (a) b) (c) Z 1 7 7 0 -1 4194560 1 0 0 0 5 3 0 0 20 0 9 0 4242 1 2", 4242, "Z", false},
		"no name":                {"7 etcd S 1", 0, "", true},
		"too short":              {"7 (etcd) S 1 7", 0, "", true},
	}
	for title, test := range tests {
		t.Run(title, func(t *testing.T) {
			start, state, err := parseStat(test.line)
			if (err != nil) != test.fails {
				t.Fatalf("error = %v, want one: %t", err, test.fails)
			}
			if start != test.start || state != test.state {
				t.Errorf("got start %d state %q, want %d %q", start, state, test.start, test.state)
			}
		})
	}
}

func TestPartIsRememberedUntilItEnds(t *testing.T) {
	l := testLayout(t)
	if err := os.MkdirAll(l.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, ok := l.running("sleeper"); ok {
		t.Fatal("a part runs before it was started")
	}
	started, err := l.spawn("sleeper", []string{"sleep", "600"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if found, ok := l.running("sleeper"); !ok || found != started {
		t.Errorf("running = %v, %t; want %v", found, ok, started)
	}
	reused := started
	reused.Start++
	if reused.alive() {
		t.Error("a process with the same pid and another start time is taken for the part")
	}
	if err := l.stop(t.Context(), "sleeper", false); err != nil {
		t.Fatal(err)
	}
	if started.alive() {
		t.Error("the process lives after stop")
	}
	if err := l.stop(t.Context(), "sleeper", false); err != nil {
		t.Errorf("a second stop: %v", err)
	}
}

func TestStampChangesWithSourcesSumsFlagsAndCompiler(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("main.go", "package main")
	write("go.sum", "a")
	stamp := func(one tool, compiler string) string {
		text, err := one.stamp(dir, compiler)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	base := tool{name: "x"}
	seen := map[string]string{stamp(base, "go1"): "base"}
	if seen[stamp(base, "go1")] == "" {
		t.Error("the stamp of the same input differs")
	}
	expectNew := func(what string, one tool, compiler string) {
		t.Helper()
		text := stamp(one, compiler)
		if before := seen[text]; before != "" {
			t.Errorf("%s: same stamp as %s", what, before)
		}
		seen[text] = what
	}
	expectNew("compiler", base, "go2")
	expectNew("cgo", tool{name: "x", cgo: true}, "go1")
	expectNew("tags", tool{name: "x", tags: "sqlite"}, "go1")
	write("go.sum", "b")
	expectNew("go.sum", base, "go1")
	write("main.go", "package main // changed")
	expectNew("source", base, "go1")
}

func TestMountsBelow(t *testing.T) {
	mountinfo := strings.Join([]string{
		"22 27 0:21 / /proc rw - proc proc rw",
		"90 27 0:50 / /cache/sandbox/kubelet-root/pods/a/volumes rw - tmpfs tmpfs rw",
		"91 27 0:51 / /cache/sandbox-other/x rw - tmpfs tmpfs rw",
		`92 27 0:52 / /cache/sandbox/with\040space rw - tmpfs tmpfs rw`,
		"short line", "",
	}, "\n")
	want := []string{"/cache/sandbox/kubelet-root/pods/a/volumes", "/cache/sandbox/with space"}
	if diff := cmp.Diff(want, mountsBelow(mountinfo, "/cache/sandbox")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestIsShim(t *testing.T) {
	const socket = "/c/sandbox/run/containerd/containerd.sock"
	line := func(argv ...string) string { return strings.Join(argv, "\x00") + "\x00" }
	tests := map[string]struct {
		cmdline string
		want    bool
	}{
		"ours":          {line("/usr/bin/containerd-shim-runc-v2", "-id", "1", "-address", socket), true},
		"another's":     {line("/usr/bin/containerd-shim-runc-v2", "-id", "1", "-address", "/run/containerd/containerd.sock"), false},
		"not a shim":    {line("vi", socket), false},
		"kernel thread": {"", false},
	}
	for title, test := range tests {
		if got := isShim(test.cmdline, socket); got != test.want {
			t.Errorf("%s: %t, want %t", title, got, test.want)
		}
	}
}

func TestMissingPackages(t *testing.T) {
	none := missingPackages(Full, func(string) bool { return true })
	missing := func(file string) bool { return !slices.Contains([]string{"/usr/sbin/nft", "/usr/bin/gcc"}, file) }
	light, full := missingPackages(Light, missing), missingPackages(Full, missing)
	if diff := cmp.Diff([][]string{nil, {"nftables"}, {"nftables", "gcc"}}, [][]string{none, light, full}); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestConfigsAreWhole(t *testing.T) {
	l := testLayout(t)
	if err := writePKI(l, time.Now()); err != nil {
		t.Fatal(err)
	}
	if err := writeConfigs(settings{layout: l, Full: true, GiteaSources: "/gitea"}); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"kubelet.yaml", "prometheus.yml"} {
		text, err := os.ReadFile(l.path("config", file))
		if err != nil {
			t.Fatal(err)
		}
		var anything map[string]any
		if err := yaml.UnmarshalStrict(text, &anything); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
	text, err := os.ReadFile(l.path("config", "cni", "10-serin.conflist"))
	if err != nil {
		t.Fatal(err)
	}
	if !json.Valid(text) {
		t.Errorf("the CNI configuration is not JSON:\n%s", text)
	}
	mirror, err := os.ReadFile(l.path("config", "registries", "registry.local:5000", "hosts.toml"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(mirror, []byte(`"http://10.77.0.10:5000"`)) {
		t.Errorf("registry.local does not lead to the node:\n%s", mirror)
	}
}

func TestCredentialsAreMadeOnceAndPrivate(t *testing.T) {
	l := testLayout(t)
	if err := writePKI(l, time.Now()); err != nil {
		t.Fatal(err)
	}
	first, err := clientcmd.BuildConfigFromFlags("", l.kubeconfig(identityAdmin))
	if err != nil {
		t.Fatal(err)
	}
	if first.Host != "https://127.0.0.1:16443" {
		t.Errorf("the kubeconfig's server is %s", first.Host)
	}
	for _, file := range []string{l.kubeconfig(identityAdmin), l.path("pki", "server.key"), l.path("pki", "service-account.key")} {
		info, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", file, info.Mode())
		}
	}
	if err := writePKI(l, time.Now()); err != nil {
		t.Fatal(err)
	}
	second, err := clientcmd.BuildConfigFromFlags("", l.kubeconfig(identityAdmin))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(first.CertData, second.CertData) {
		t.Error("a second call replaced the credentials")
	}
}

func TestRegistryKeepsImagesOverARestart(t *testing.T) {
	dir := t.TempDir()
	serve := func() *httptest.Server {
		handler, err := newRegistry(dir)
		if err != nil {
			t.Fatal(err)
		}
		server := httptest.NewServer(handler)
		t.Cleanup(server.Close)
		return server
	}
	reference := func(server *httptest.Server) name.Reference {
		parsed, err := name.ParseReference(strings.TrimPrefix(server.URL, "http://")+"/team/web:v1", name.Insecure)
		if err != nil {
			t.Fatal(err)
		}
		return parsed
	}
	image, err := BuildImage([]ImageFile{{Path: "/web", Data: []byte("binary"), Mode: 0o755}}, []string{"/web"})
	if err != nil {
		t.Fatal(err)
	}
	first := serve()
	if err := remote.Write(reference(first), image, remote.WithContext(t.Context())); err != nil {
		t.Fatal(err)
	}
	first.Close()
	found, err := remote.Get(reference(serve()), remote.WithContext(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	want, err := image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	if found.Digest != want {
		t.Errorf("digest %s after the restart, pushed %s", found.Digest, want)
	}
}

func TestTargetGroups(t *testing.T) {
	pod := func(name, ip string, phase corev1.PodPhase, annotations map[string]string) *corev1.Pod {
		return &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "shop", Annotations: annotations, Labels: map[string]string{
				"app": "web", "pod-template-hash": "abc", "serin.dev/role": "canary", "team": "x",
			}},
			Spec:   corev1.PodSpec{NodeName: "serin", Containers: []corev1.Container{{Ports: []corev1.ContainerPort{{ContainerPort: 80}, {ContainerPort: 81}}}}},
			Status: corev1.PodStatus{PodIP: ip, Phase: phase},
		}
	}
	scrape := map[string]string{annotationScrape: "true", annotationPort: "9102", annotationPath: "/m"}
	pods := []*corev1.Pod{
		pod("b", "10.78.0.2", corev1.PodRunning, scrape),
		pod("a", "10.78.0.1", corev1.PodRunning, map[string]string{annotationScrape: "true"}),
		pod("pending", "", corev1.PodPending, scrape),
		pod("silent", "10.78.0.3", corev1.PodRunning, nil),
	}
	services := []*corev1.Service{{ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "shop", Annotations: map[string]string{annotationScrape: "true"}}}}
	port := int32(80)
	endpoints := []*discoveryv1.EndpointSlice{{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Labels: map[string]string{discoveryv1.LabelServiceName: "web"}},
		Ports:      []discoveryv1.EndpointPort{{Port: &port}},
		Endpoints:  []discoveryv1.Endpoint{{Addresses: []string{"10.78.0.3"}, TargetRef: &corev1.ObjectReference{Kind: "Pod", Namespace: "shop", Name: "silent"}}},
	}}
	with := func(pod, job string, more map[string]string) map[string]string {
		all := map[string]string{"job": job, "namespace": "shop", "pod": pod, "node": "serin", "app": "web", "pod_template_hash": "abc", "serin_dev_role": "canary"}
		for key, value := range more {
			all[key] = value
		}
		return all
	}
	want := []targetGroup{
		{Targets: []string{"10.78.0.1:80", "10.78.0.1:81"}, Labels: with("a", "pods", nil)},
		{Targets: []string{"10.78.0.2:9102"}, Labels: with("b", "pods", map[string]string{"__metrics_path__": "/m"})},
		{Targets: []string{"10.78.0.3:80"}, Labels: with("silent", "services", map[string]string{"service": "web"})},
	}
	if diff := cmp.Diff(want, targetGroups(pods, services, endpoints)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestRunStepsNamesWhatFailed(t *testing.T) {
	var progress bytes.Buffer
	why := errors.New("no space")
	later := false
	err := runSteps(t.Context(), &progress, []step{
		{"first", func(context.Context) error { return nil }},
		{"second", func(context.Context) error { return why }},
		{"third", func(context.Context) error { later = true; return nil }},
	})
	if !errors.Is(err, why) || !strings.Contains(err.Error(), "part 2 of 3: second") {
		t.Errorf("error %q does not name part and cause", err)
	}
	if !strings.HasPrefix(progress.String(), "part 1 of 3: first, ") || later {
		t.Errorf("progress %q, a later step ran: %t", progress.String(), later)
	}
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
	if err := writePKI(l, time.Now()); err != nil {
		t.Fatal(err)
	}
	client, err := newCluster(l, Light).probeClient()
	if err != nil {
		t.Fatal(err)
	}
	client.HTTPClient = server.Client()
	if err := probe(t.Context(), client, server.URL); err == nil || !strings.Contains(err.Error(), "404") {
		t.Errorf("error %v does not tell the status", err)
	}
}
