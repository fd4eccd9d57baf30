//go:build integration

package sync

import (
	"context"
	"crypto/rand"
	"maps"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/serin-gitops/serin/embedded/gitserver"
	"github.com/serin-gitops/serin/overlays"
	"github.com/serin-gitops/serin/overlays/gitrepo"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"
)

const (
	password = "swordfish-4711"
	patience = 2 * time.Minute
)

// env is one source on a real Git server and a real API server, in a namespace
// of its own.
type env struct {
	t         *testing.T
	config    *rest.Config
	client    client.Client
	namespace string
	work      string
	syncer    *Syncer
	clock     time.Time
}

func newEnv(t *testing.T, onPush func(*env, gitserver.Push)) *env {
	t.Helper()
	e := &env{t: t, namespace: "sync-" + strings.ToLower(rand.Text())[:8], work: t.TempDir(), clock: time.Now()}
	path := os.Getenv("KUBECONFIG")
	if path == "" {
		t.Fatal("set KUBECONFIG (make sandbox-up writes .cache/sandbox/kubeconfig)")
	}
	var err error
	if e.config, err = clientcmd.BuildConfigFromFlags("", path); err != nil {
		t.Fatal(err)
	}
	git, err := gitserver.New(gitserver.Options{
		Dir:    t.TempDir(),
		Users:  []gitserver.User{{Name: "ci", Password: password}},
		OnPush: func(p gitserver.Push) { onPush(e, p) },
	})
	if err != nil {
		t.Fatal(err)
	}
	web := httptest.NewServer(git)
	t.Cleanup(func() {
		web.Close()
		if err := git.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	repositories := gitrepo.New(t.TempDir(), gitrepo.Options{})
	t.Cleanup(func() {
		if err := repositories.Close(); err != nil {
			t.Error(err)
		}
	})
	e.syncer, err = New(e.config, repositories, []Source{{
		Name:   "web",
		Remote: overlays.Remote{URL: web.URL + "/acme/deploy.git", Username: "ci", Password: password},
		Branch: "main", Path: "apps/web", Namespace: e.namespace,
		Poll: time.Hour, Interval: time.Hour,
	}})
	if err != nil {
		t.Fatal(err)
	}
	e.client = e.syncer.client
	e.syncer.now = func() time.Time { return e.clock }
	e.initGit(web.URL)
	e.makeNamespace()
	return e
}

func (e *env) makeNamespace() {
	e.t.Helper()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: e.namespace}}
	if err := e.client.Create(e.t.Context(), namespace); err != nil {
		e.t.Fatal(err)
	}
	e.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(e.t.Context()), patience)
		defer cancel()
		if err := e.client.Delete(ctx, namespace); err != nil {
			e.t.Errorf("delete namespace %s: %v", e.namespace, err)
		}
	})
}

func (e *env) initGit(address string) {
	e.t.Helper()
	remote, err := url.Parse(address + "/acme/deploy.git")
	if err != nil {
		e.t.Fatal(err)
	}
	remote.User = url.UserPassword("ci", password)
	e.git("init", "-q", "-b", "main")
	e.git("remote", "add", "origin", remote.String())
}

func (e *env) git(args ...string) string {
	e.t.Helper()
	command := exec.CommandContext(e.t.Context(), "git", args...)
	command.Dir = e.work
	command.Env = append(os.Environ(), "GIT_TERMINAL_PROMPT=0", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1",
		"GIT_AUTHOR_NAME=Ada", "GIT_AUTHOR_EMAIL=ada@example.com", "GIT_COMMITTER_NAME=Ada", "GIT_COMMITTER_EMAIL=ada@example.com")
	out, err := command.CombinedOutput()
	if err != nil {
		e.t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// push makes files, and a kustomization that lists them, the overlay's content.
func (e *env) push(files map[string]string) string {
	e.t.Helper()
	dir := filepath.Join(e.work, "apps", "web")
	if err := os.RemoveAll(dir); err != nil {
		e.t.Fatal(err)
	}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		e.t.Fatal(err)
	}
	list := "namespace: " + e.namespace + "\nresources:\n"
	for name, content := range files {
		list += "- " + name + "\n"
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			e.t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "kustomization.yaml"), []byte(list), 0o600); err != nil {
		e.t.Fatal(err)
	}
	e.git("add", "-A")
	e.git("commit", "-q", "-m", "Change the overlay")
	e.git("push", "-q", "origin", "main")
	return e.git("rev-parse", "HEAD")
}

func (e *env) reconcile() error {
	_, err := e.syncer.Reconcile(e.t.Context(), "web")
	return err
}

func (e *env) mustReconcile() {
	e.t.Helper()
	if err := e.reconcile(); err != nil {
		e.t.Fatal(err)
	}
}

func get[T client.Object](e *env, name string, into T) T {
	e.t.Helper()
	if err := e.client.Get(e.t.Context(), client.ObjectKey{Namespace: e.namespace, Name: name}, into); err != nil {
		e.t.Fatalf("get %T %s: %v", into, name, err)
	}
	return into
}

func (e *env) gone(name string, object client.Object) bool {
	e.t.Helper()
	err := e.client.Get(e.t.Context(), client.ObjectKey{Namespace: e.namespace, Name: name}, object)
	if err != nil && !apierrors.IsNotFound(err) {
		e.t.Fatal(err)
	}
	return err != nil || object.GetDeletionTimestamp() != nil
}

// report is the inventory's annotations but the time.
func (e *env) report() map[string]string {
	e.t.Helper()
	annotations := maps.Clone(get(e, "serin-sync-web", &corev1.ConfigMap{}).Annotations)
	delete(annotations, AnnotationTime)
	return annotations
}

func configMap(name, value string, annotations ...string) string {
	text := "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: " + name + "\n"
	if len(annotations) > 0 {
		text += "  annotations:\n    " + strings.Join(annotations, "\n    ") + "\n"
	}
	return text + "data:\n  key: " + value + "\n"
}

const deployment = `apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      nodeSelector: {serin.dev/none: such}
      containers:
      - name: web
        image: bootstrap.local:5001/none:1
`

const claim = `apiVersion: v1
kind: PersistentVolumeClaim
metadata:
  name: data
spec:
  accessModes: [ReadWriteOnce]
  storageClassName: none
  resources: {requests: {storage: 1Mi}}
`

func noHook(*env, gitserver.Push) {}

func TestIntegrationSyncAppliesAndPrunes(t *testing.T) {
	e := newEnv(t, noHook)
	first := e.push(map[string]string{
		"a.yaml": configMap("a", "one"), "b.yaml": configMap("b", "one"),
		"kept.yaml": configMap("kept", "one", `serin.dev/prune: disabled`), "claim.yaml": claim, "web.yaml": deployment,
	})
	e.mustReconcile()
	if got := get(e, "a", &corev1.ConfigMap{}).Data["key"]; got != "one" {
		t.Errorf("ConfigMap a holds %q", got)
	}
	if diff := cmp.Diff(map[string]string{AnnotationRevision: first}, e.report()); diff != "" {
		t.Errorf("report (-want +got):\n%s", diff)
	}
	second := e.push(map[string]string{"a.yaml": configMap("a", "two")})
	e.mustReconcile()
	if got := get(e, "a", &corev1.ConfigMap{}).Data["key"]; got != "two" {
		t.Errorf("ConfigMap a holds %q after the second commit", got)
	}
	if !e.gone("b", &corev1.ConfigMap{}) || !e.gone("web", &appsv1.Deployment{}) {
		t.Error("what left Git is still there")
	}
	if e.gone("kept", &corev1.ConfigMap{}) || e.gone("data", &corev1.PersistentVolumeClaim{}) {
		t.Error("what is never pruned was pruned")
	}
	if diff := cmp.Diff(map[string]string{AnnotationRevision: second}, e.report()); diff != "" {
		t.Errorf("report (-want +got):\n%s", diff)
	}
}

const definition = `apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: things.GROUP
spec:
  group: GROUP
  scope: Namespaced
  names: {kind: Thing, plural: things, singular: thing, listKind: ThingList}
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
`

// TestIntegrationSyncAppliesInOrder has a namespace, a definition and an object of it in
// one overlay, and then none of them.
func TestIntegrationSyncAppliesInOrder(t *testing.T) {
	e := newEnv(t, noHook)
	group := e.namespace + ".test.serin.dev"
	crd := &unstructured.Unstructured{}
	crd.SetAPIVersion("apiextensions.k8s.io/v1")
	crd.SetKind("CustomResourceDefinition")
	crd.SetName("things." + group)
	t.Cleanup(func() {
		if err := e.client.Delete(context.WithoutCancel(t.Context()), crd); err != nil {
			t.Errorf("delete %s: %v", crd.GetName(), err)
		}
	})
	e.push(map[string]string{
		"a-thing.yaml":    "apiVersion: " + group + "/v1\nkind: Thing\nmetadata: {name: one}\nspec: {size: 1}\n",
		"definition.yaml": strings.ReplaceAll(definition, "GROUP", group),
		"namespace.yaml":  "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: " + e.namespace + "\n  labels: {synced: \"yes\"}\n",
	})
	e.mustReconcile()
	thing := &unstructured.Unstructured{}
	thing.SetAPIVersion(group + "/v1")
	thing.SetKind("Thing")
	get(e, "one", thing)
	namespace := &corev1.Namespace{}
	if err := e.client.Get(t.Context(), client.ObjectKey{Name: e.namespace}, namespace); err != nil || namespace.Labels["synced"] != "yes" {
		t.Errorf("the namespace has labels %v, %v", namespace.Labels, err)
	}
	e.push(map[string]string{"a.yaml": configMap("a", "one")})
	e.mustReconcile()
	if !e.gone("one", thing) {
		t.Error("the object that left Git is still there")
	}
	if err := e.client.Get(t.Context(), client.ObjectKeyFromObject(crd), crd); err != nil || crd.GetDeletionTimestamp() != nil {
		t.Errorf("the definition was pruned: %v", err)
	}
	if err := e.client.Get(t.Context(), client.ObjectKey{Name: e.namespace}, namespace); err != nil || namespace.DeletionTimestamp != nil {
		t.Errorf("the namespace was pruned: %v", err)
	}
}

func TestIntegrationSyncLeavesForeignObjectsAndFields(t *testing.T) {
	e := newEnv(t, noHook)
	e.push(map[string]string{"a.yaml": configMap("a", "one"), "b.yaml": configMap("b", "one"), "web.yaml": deployment})
	e.mustReconcile()
	web := get(e, "web", &appsv1.Deployment{})
	patch := []byte(`{"spec":{"replicas":3,"paused":true}}`)
	if err := e.client.Patch(t.Context(), web, client.RawPatch("application/merge-patch+json", patch), client.FieldOwner("somebody")); err != nil {
		t.Fatal(err)
	}
	drift := []byte(`{"data":{"key":"drifted"}}`)
	if err := e.client.Patch(t.Context(), get(e, "a", &corev1.ConfigMap{}), client.RawPatch("application/merge-patch+json", drift), client.FieldOwner("somebody")); err != nil {
		t.Fatal(err)
	}
	// b now belongs to somebody else, who took its labels away.
	adopt := []byte(`{"metadata":{"labels":{"sync.serin.dev/name":"other"}}}`)
	if err := e.client.Patch(t.Context(), get(e, "b", &corev1.ConfigMap{}), client.RawPatch("application/merge-patch+json", adopt), client.FieldOwner("somebody")); err != nil {
		t.Fatal(err)
	}
	e.mustReconcile()
	if got := get(e, "a", &corev1.ConfigMap{}).Data["key"]; got != "drifted" {
		t.Errorf("ConfigMap a was corrected to %q before drift was due", got)
	}
	e.push(map[string]string{"a.yaml": configMap("a", "one"), "web.yaml": deployment})
	e.mustReconcile()
	if got := get(e, "a", &corev1.ConfigMap{}).Data["key"]; got != "one" {
		t.Errorf("ConfigMap a holds %q, want the drift corrected", got)
	}
	if e.gone("b", &corev1.ConfigMap{}) {
		t.Error("an object that another source owns was pruned")
	}
	web = get(e, "web", &appsv1.Deployment{})
	if *web.Spec.Replicas != 3 || !web.Spec.Paused {
		t.Errorf("the Deployment has %d replicas, paused %t; want 3 and true, as somebody set them", *web.Spec.Replicas, web.Spec.Paused)
	}
}

func TestIntegrationSyncAtRestWritesNothing(t *testing.T) {
	e := newEnv(t, noHook)
	e.push(map[string]string{"a.yaml": configMap("a", "one"), "web.yaml": deployment})
	e.mustReconcile()
	versions := func() []string {
		return []string{
			get(e, "serin-sync-web", &corev1.ConfigMap{}).ResourceVersion,
			get(e, "a", &corev1.ConfigMap{}).ResourceVersion,
		}
	}
	generation := get(e, "web", &appsv1.Deployment{}).Generation
	before := versions()
	e.mustReconcile()
	e.clock = e.clock.Add(2 * time.Hour)
	e.mustReconcile()
	// A restart forgets what was applied, and finds it again.
	clear(e.syncer.applied)
	e.mustReconcile()
	if diff := cmp.Diff(before, versions()); diff != "" {
		t.Errorf("resource versions changed at rest (-before +after):\n%s", diff)
	}
	if got := get(e, "web", &appsv1.Deployment{}).Generation; got != generation {
		t.Errorf("the Deployment's generation rose from %d to %d", generation, got)
	}
	// Drift is corrected once it is due.
	drift := []byte(`{"data":{"key":"drifted"}}`)
	if err := e.client.Patch(t.Context(), get(e, "a", &corev1.ConfigMap{}), client.RawPatch("application/merge-patch+json", drift)); err != nil {
		t.Fatal(err)
	}
	e.clock = e.clock.Add(2 * time.Hour)
	e.mustReconcile()
	if got := get(e, "a", &corev1.ConfigMap{}).Data["key"]; got != "one" {
		t.Errorf("ConfigMap a holds %q, want the drift corrected", got)
	}
}

func TestIntegrationSyncReportsErrors(t *testing.T) {
	tests := []struct {
		name  string
		files map[string]string
		says  string
	}{
		{"does not render", map[string]string{"a.yaml": "kind: ConfigMap\n"}, "a.yaml"},
		{"the API refuses it", map[string]string{"a.yaml": strings.Replace(deployment, "selector: {matchLabels: {app: web}}", "", 1)}, "selector"},
		{"a kind that is not there", map[string]string{"a.yaml": "apiVersion: none.example.com/v1\nkind: None\nmetadata: {name: a}\n"}, "None"},
		{"empty", nil, "renders no object"},
	}
	e := newEnv(t, noHook)
	good := map[string]string{"a.yaml": configMap("a", "one"), "b.yaml": configMap("b", "one")}
	first := e.push(good)
	e.mustReconcile()
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			e.push(test.files)
			if err := e.reconcile(); err == nil {
				t.Fatal("Reconcile reports no error")
			}
			report := e.report()
			if report[AnnotationRevision] != first || !strings.Contains(report[AnnotationError], test.says) {
				t.Errorf("report %v, want revision %s and an error that says %q", report, first, test.says)
			}
			if e.gone("b", &corev1.ConfigMap{}) {
				t.Error("an object was pruned although the sync failed")
			}
		})
	}
	last := e.push(map[string]string{"a.yaml": configMap("a", "good again")})
	e.mustReconcile()
	if diff := cmp.Diff(map[string]string{AnnotationRevision: last}, e.report()); diff != "" {
		t.Errorf("report after the cure (-want +got):\n%s", diff)
	}
	if !e.gone("b", &corev1.ConfigMap{}) {
		t.Error("what left Git is still there after the cure")
	}
}

// TestIntegrationSyncWakesOnPush runs the controller: with an hour between polls, only the
// push can have caused the sync.
func TestIntegrationSyncWakesOnPush(t *testing.T) {
	e := newEnv(t, func(e *env, p gitserver.Push) { e.syncer.Wake(p.URL, p.Branch()) })
	e.push(map[string]string{"a.yaml": configMap("a", "one")})
	mgr, err := ctrl.NewManager(e.config, ctrl.Options{Metrics: server.Options{BindAddress: "0"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.syncer.SetupWithManager(mgr); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- mgr.Start(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	e.eventually("one")
	e.push(map[string]string{"a.yaml": configMap("a", "two")})
	e.eventually("two")
}

// eventually waits until ConfigMap a holds value.
func (e *env) eventually(value string) {
	e.t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		found := &corev1.ConfigMap{}
		err := e.client.Get(e.t.Context(), client.ObjectKey{Namespace: e.namespace, Name: "a"}, found)
		if err == nil && found.Data["key"] == value {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			e.t.Fatalf("ConfigMap a never held %q: %v, %v", value, found.Data, err)
		}
	}
}
