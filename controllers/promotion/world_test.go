//go:build integration

package promotion_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/yaml"

	"github.com/serin-gitops/serin/api/v1alpha1"
	"github.com/serin-gitops/serin/controllers/access"
	"github.com/serin-gitops/serin/controllers/hints"
	"github.com/serin-gitops/serin/controllers/pipeline"
	"github.com/serin-gitops/serin/controllers/promotion"
	"github.com/serin-gitops/serin/embedded/gitserver"
	ociserver "github.com/serin-gitops/serin/embedded/registry"
	syncer "github.com/serin-gitops/serin/embedded/sync"
	"github.com/serin-gitops/serin/forge"
	"github.com/serin-gitops/serin/forge/branch"
	"github.com/serin-gitops/serin/overlays"
	"github.com/serin-gitops/serin/overlays/gitrepo"
	"github.com/serin-gitops/serin/registry/oci"
)

// patience is how long anything may take on a busy machine.
const patience = 4 * time.Minute

const (
	password   = "swordfish-4711"
	repository = "registry.test/app"
)

// world is Serin's two controllers, a Git server, a registry and the built-in
// sync in this process, and a namespace of the sandbox's cluster.
type world struct {
	t         *testing.T
	client    client.Client
	namespace string
	// other is a namespace that lets no Pipelines in.
	other    string
	git      *gitserver.Server
	gitURL   string
	work     string
	registry string
	// broken is the status that the registry answers with, 0 for its own.
	broken atomic.Int32
	// lists counts how often the registry was asked for tags.
	lists atomic.Int32
	// conflicts that the promotion controller meets next at Releases.
	conflicts atomic.Int32
	hub       *hints.Hub
	sync      *syncer.Syncer
	// stop ends what run started.
	stop func()
}

func kubeconfig(t *testing.T) *rest.Config {
	t.Helper()
	path := os.Getenv("KUBECONFIG")
	if path == "" {
		path = filepath.Join("..", "..", ".cache", "sandbox", "kubeconfig")
	}
	config, err := clientcmd.BuildConfigFromFlags("", path)
	if err != nil {
		t.Fatalf("kubeconfig %s: %v; start the sandbox with \"make sandbox-up\"", path, err)
	}
	config.QPS, config.Burst = 200, 400
	return config
}

func newScheme(t *testing.T) *runtime.Scheme {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme, apiextensionsv1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	return scheme
}

// newWorld starts everything, with v1.0.0 in Git for the environments. Worlds share
// nothing but the cluster, so that tests run beside each other.
func newWorld(t *testing.T, environments ...string) *world {
	t.Helper()
	t.Parallel()
	config, scheme := kubeconfig(t), newScheme(t)
	c, err := client.New(config, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, client: c, hub: &hints.Hub{}}
	w.applyDefinitions()
	w.makeNamespace()
	w.serve()
	w.seed(environments)
	w.commitImages("Start with v1.0.0", "v1.0.0", w.push("v1.0.0"), environments...)
	w.run(config, scheme, environments)
	t.Cleanup(func() { w.stop() })
	return w
}

// applyDefinitions installs the custom resource definitions as they are now.
func (w *world) applyDefinitions() {
	files, err := filepath.Glob(filepath.Join("..", "..", "config", "crd", "serin.dev_*.yaml"))
	if err != nil || len(files) == 0 {
		w.t.Fatalf("no definitions: %v", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			w.t.Fatal(err)
		}
		object := &unstructured.Unstructured{}
		if err := yaml.Unmarshal(text, &object.Object); err != nil {
			w.t.Fatal(err)
		}
		if err := w.client.Apply(w.t.Context(), client.ApplyConfigurationFromUnstructured(object), client.FieldOwner("serin-test"), client.ForceOwnership); err != nil {
			w.t.Fatalf("apply %s: %v", file, err)
		}
		w.eventually("definition "+object.GetName(), func() (bool, string) {
			var definition apiextensionsv1.CustomResourceDefinition
			if err := w.client.Get(w.t.Context(), client.ObjectKey{Name: object.GetName()}, &definition); err != nil {
				return false, err.Error()
			}
			for _, condition := range definition.Status.Conditions {
				if condition.Type == apiextensionsv1.Established && condition.Status == apiextensionsv1.ConditionTrue {
					return true, ""
				}
			}
			return false, "not established"
		})
	}
}

func (w *world) makeNamespace() {
	for _, name := range []*string{&w.namespace, &w.other} {
		namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "serin-promotion-"}}
		if err := w.client.Create(w.t.Context(), namespace); err != nil {
			w.t.Fatal(err)
		}
		*name = namespace.Name
		w.t.Cleanup(func() {
			if err := w.client.Delete(context.WithoutCancel(w.t.Context()), namespace); err != nil {
				w.t.Errorf("delete namespace: %v", err)
			}
		})
	}
}

// serve starts the Git server and the registry.
func (w *world) serve() {
	var err error
	w.git, err = gitserver.New(gitserver.Options{
		Dir: w.t.TempDir(),
		Users: []gitserver.User{
			{Name: "serin", Password: password},
			{Name: "ann", Password: password, PushProtected: true},
		},
		OnPush: func(push gitserver.Push) {
			if w.sync != nil {
				w.sync.Wake(w.gitURL, push.Branch())
			}
			w.hub.Send(hints.Hint{Git: w.gitURL, Branch: push.Branch()})
		},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	web := httptest.NewServer(w.git)
	w.gitURL = web.URL + "/acme/deploy.git"
	images, err := ociserver.Open(ociserver.Options{Dir: w.t.TempDir(), OnPush: func(string, string, string) {
		w.hub.Send(hints.Hint{Image: repository})
	}})
	if err != nil {
		w.t.Fatal(err)
	}
	registry := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		if strings.HasSuffix(req.URL.Path, "/tags/list") {
			w.lists.Add(1)
		}
		if status := int(w.broken.Load()); status != 0 && req.Method == http.MethodGet {
			http.Error(rw, "broken on purpose", status)
			return
		}
		images.ServeHTTP(rw, req)
	}))
	w.registry = strings.TrimPrefix(registry.URL, "http://")
	w.t.Cleanup(func() {
		web.Close()
		registry.Close()
		if err := w.git.Close(context.WithoutCancel(w.t.Context())); err != nil {
			w.t.Error(err)
		}
	})
}

// run starts the controllers and the sync for this namespace alone.
func (w *world) run(config *rest.Config, scheme *runtime.Scheme, environments []string) {
	repositories := gitrepo.New(w.t.TempDir(), gitrepo.Options{})
	var sources []syncer.Source
	for _, e := range environments {
		sources = append(sources, syncer.Source{
			Name: e, Remote: overlays.Remote{URL: w.gitURL, Username: "serin", Password: password},
			Branch: "main", Path: "overlays/" + e, Namespace: w.namespace, Poll: 5 * time.Second,
		})
	}
	var err error
	if w.sync, err = syncer.New(config, repositories, sources); err != nil {
		w.t.Fatal(err)
	}
	unique := true
	mgr, err := ctrl.NewManager(config, ctrl.Options{
		Scheme: scheme, Logger: w.logger(),
		Cache:   cache.Options{DefaultNamespaces: map[string]cache.Config{w.namespace: {}, w.other: {}}},
		Metrics: server.Options{BindAddress: "0"},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	secrets := access.Secrets{Reader: mgr.GetAPIReader()}
	git := &access.Git{Secrets: secrets, Repositories: repositories, Hints: w.hub, Now: time.Now}
	options := controller.Options{SkipNameValidation: &unique}
	ctx, stop := context.WithCancel(w.t.Context())
	if err := (&pipeline.Reconciler{
		Client: mgr.GetClient(), Uncached: mgr.GetAPIReader(), Git: git, Secrets: secrets, Catalog: oci.New(),
		Hints: w.hub, Recorder: mgr.GetEventRecorder("pipeline"), Now: time.Now,
	}).SetupWithManager(ctx, mgr, options); err != nil {
		w.t.Fatal(err)
	}
	if err := (&promotion.Reconciler{
		Client: contended{mgr.GetClient(), &w.conflicts}, Uncached: mgr.GetAPIReader(), Git: git, Hosts: branchHosts{}, Signers: noSigners{}, Syncer: w.sync,
		Hints: w.hub, Recorder: mgr.GetEventRecorder("promotion"), Now: time.Now,
	}).SetupWithManager(ctx, mgr, options); err != nil {
		w.t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() {
		if err := mgr.Start(ctx); err != nil {
			w.t.Errorf("manager: %v", err)
		}
	})
	running.Go(func() { w.keepSynced(ctx, environments) })
	w.stop = func() {
		stop()
		running.Wait()
		if err := repositories.Close(); err != nil {
			w.t.Error(err)
		}
	}
}

// lose ends Serin, deletes all its objects, and starts it anew on an empty disk.
func (w *world) lose(p *v1alpha1.Pipeline) {
	w.t.Helper()
	w.stop()
	for _, object := range []client.Object{&v1alpha1.Promotion{}, &v1alpha1.Release{}, &v1alpha1.Pipeline{}} {
		w.must(w.client.DeleteAllOf(w.t.Context(), object, client.InNamespace(w.namespace)))
	}
	w.eventually("nothing is left", func() (bool, string) {
		var releases v1alpha1.ReleaseList
		w.must(w.client.List(w.t.Context(), &releases, client.InNamespace(w.namespace)))
		return len(w.promotions())+len(releases.Items) == 0, ""
	})
	var names []string
	for _, e := range p.Spec.Environments {
		names = append(names, e.Name)
	}
	w.run(kubeconfig(w.t), newScheme(w.t), names)
	w.must(w.client.Create(w.t.Context(), p))
}

// keepSynced is the sync's loop for this test: the controller of the same name
// can be registered once in a process, so its Reconcile is called instead.
func (w *world) keepSynced(ctx context.Context, environments []string) {
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for {
		for _, e := range environments {
			if _, err := w.sync.Reconcile(ctx, e); err != nil && ctx.Err() == nil {
				w.t.Logf("sync %s: %v", e, err)
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// setLogger keeps controller-runtime from complaining that nobody did.
var setLogger sync.Once

// logger keeps what the controllers log for a test that fails. (They may log
// after the test's end, which testing.T does not bear.)
func (w *world) logger() logr.Logger {
	setLogger.Do(func() { ctrl.SetLogger(logr.Discard()) })
	var mu sync.Mutex
	var lines []string
	w.t.Cleanup(func() {
		mu.Lock()
		defer mu.Unlock()
		if w.t.Failed() {
			w.t.Log(strings.Join(lines, "\n"))
		}
	})
	return funcr.New(func(prefix, args string) {
		mu.Lock()
		defer mu.Unlock()
		lines = append(lines, time.Now().Format("15:04:05.000 ")+prefix+args)
	}, funcr.Options{})
}

type branchHosts struct{}

func (branchHosts) Host(_ context.Context, source v1alpha1.Source, repository overlays.Repository, _ overlays.Remote) (forge.Host, error) {
	return branch.New(repository, branch.Options{Target: source.Branch, Author: overlays.Identity{Name: "Serin", Email: "serin@example.com"}}), nil
}

type noSigners struct{}

func (noSigners) Signer([]byte, []byte) (overlays.Signer, error) {
	return nil, fmt.Errorf("no signing here")
}

// seed makes the deploy repository, the workloads (with no pods, so that no image
// is needed) and the credentials.
func (w *world) seed(environments []string) {
	w.work = w.t.TempDir()
	w.sh("git", "init", "-q", "-b", "main")
	w.sh("git", "config", "user.name", "Ann")
	w.sh("git", "config", "user.email", "ann@example.com")
	w.sh("git", "remote", "add", "origin", strings.Replace(w.gitURL, "http://", "http://ann:"+password+"@", 1))
	for _, e := range environments {
		w.file("overlays/"+e+"/deployment.yaml", fmt.Sprintf(`apiVersion: apps/v1
kind: Deployment
metadata:
  name: app-%[1]s
  namespace: %[2]s
spec:
  selector:
    matchLabels: {app: app-%[1]s}
  template:
    metadata:
      labels: {app: app-%[1]s}
    spec:
      containers:
      - name: app
        image: app
`, e, w.namespace))
		w.deployment(w.namespace, "app-"+e)
	}
	w.must(w.client.Create(w.t.Context(), &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "git"},
		StringData: map[string]string{"username": "serin", "password": password},
	}))
}

// deployment makes a workload without pods. Where it gets some, their image is on
// no node and may not be pulled, which no waiting mends.
func (w *world) deployment(namespace, name string) {
	w.t.Helper()
	none := int32(0)
	labels := map[string]string{"app": name}
	w.must(w.client.Create(w.t.Context(), &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: appsv1.DeploymentSpec{
			Replicas: &none, Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: repository + ":none", ImagePullPolicy: corev1.PullNever}}},
			},
		},
	}))
}

// pipelineOf makes a Pipeline over environments: the first by commit, the others
// by approval branch.
func (w *world) pipelineOf(environments ...string) *v1alpha1.Pipeline {
	p := &v1alpha1.Pipeline{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "app"},
		Spec: v1alpha1.PipelineSpec{
			Source:   v1alpha1.Source{URL: w.gitURL, Branch: "main", Forge: "Branch", SecretRef: &v1alpha1.LocalReference{Name: "git"}},
			Interval: metav1.Duration{Duration: 5 * time.Second},
			Images: []v1alpha1.ImageSource{{
				Repository: repository, Endpoint: w.registry, Insecure: true,
				Policy: v1alpha1.ImagePolicy{Type: "Semver", Range: ">=1.0.0"},
			}},
		},
	}
	for i, e := range environments {
		entry := "PullRequest"
		if i == 0 {
			entry = "Commit"
		}
		p.Spec.Environments = append(p.Spec.Environments, v1alpha1.Environment{Name: e, Path: "overlays/" + e, Promotion: entry})
	}
	return p
}

// start creates the Pipeline and waits until what is there is recorded.
func (w *world) start(p *v1alpha1.Pipeline) {
	w.t.Helper()
	w.must(w.client.Create(w.t.Context(), p))
	for _, e := range p.Spec.Environments {
		w.phase(e.Name, "v1.0.0", v1alpha1.PromotionSucceeded)
	}
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// eventually waits for a condition, and says what was seen last where it does
// not come.
func (w *world) eventually(what string, met func() (bool, string)) {
	w.t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for {
		ok, seen := met()
		if ok {
			return
		}
		select {
		case <-tick.C:
		case <-deadline.C:
			w.t.Fatalf("%s: not within %s; last seen: %s\n%s", what, patience, seen, w.record())
		}
	}
}

// record is all Promotions, the Pipeline and the warnings, for a failed test.
func (w *world) record() string {
	var text strings.Builder
	for _, p := range w.promotions() {
		fmt.Fprintf(&text, "%s: %s: %s\n", p.Name, p.Status.Phase, p.Status.Message)
	}
	var p v1alpha1.Pipeline
	if err := w.client.Get(w.t.Context(), client.ObjectKey{Namespace: w.namespace, Name: "app"}, &p); err == nil {
		out, _ := yaml.Marshal(p.Status)
		text.Write(out)
	}
	var events corev1.EventList
	if err := w.client.List(w.t.Context(), &events, client.InNamespace(w.namespace)); err == nil {
		for _, event := range events.Items {
			if event.Type == corev1.EventTypeWarning {
				fmt.Fprintf(&text, "%s %s: %s\n", event.InvolvedObject.Name, event.Reason, event.Message)
			}
		}
	}
	return text.String()
}

func (w *world) promotions() []v1alpha1.Promotion {
	var list v1alpha1.PromotionList
	if err := w.client.List(w.t.Context(), &list, client.InNamespace(w.namespace)); err != nil && !apierrors.IsNotFound(err) {
		w.t.Fatal(err)
	}
	return list.Items
}

// phase waits for the newest Promotion of a version into an environment to be in
// a phase.
func (w *world) phase(environment, version string, want v1alpha1.PromotionPhase) v1alpha1.Promotion {
	w.t.Helper()
	var found v1alpha1.Promotion
	w.eventually(fmt.Sprintf("%s in %s is %s", version, environment, want), func() (bool, string) {
		found = v1alpha1.Promotion{}
		for _, p := range w.promotions() {
			mine := p.Spec.Environment == environment && strings.Contains(p.Spec.Release, strings.ReplaceAll(version, ".", "-"))
			if mine && p.Spec.Number >= found.Spec.Number {
				found = p
			}
		}
		return found.Status.Phase == want, fmt.Sprintf("%s: %s", found.Status.Phase, found.Status.Message)
	})
	return found
}

// push pushes an image whose content depends on its tag.
func (w *world) push(tag string) string {
	w.t.Helper()
	configuration, err := empty.Image.ConfigFile()
	w.must(err)
	configuration = configuration.DeepCopy()
	configuration.OS, configuration.Architecture = "linux", "amd64"
	configuration.Config.Labels = map[string]string{
		"org.opencontainers.image.version": tag, "org.opencontainers.image.revision": "rev-" + tag,
		"org.opencontainers.image.source": "https://git.example.com/acme/app",
	}
	image, err := mutate.ConfigFile(empty.Image, configuration)
	w.must(err)
	reference, err := name.ParseReference(w.registry+"/app:"+tag, name.Insecure)
	w.must(err)
	w.must(remote.Write(reference, image, remote.WithContext(w.t.Context())))
	digest, err := image.Digest()
	w.must(err)
	return digest.String()
}

// What a person does with git.

func (w *world) sh(command string, args ...string) string {
	w.t.Helper()
	cmd := exec.CommandContext(w.t.Context(), command, args...)
	cmd.Dir = w.work
	cmd.Env = append(os.Environ(), "GIT_TERMINAL_PROMPT=0")
	out, err := cmd.CombinedOutput()
	if err != nil {
		w.t.Fatalf("%s %s: %v\n%s", command, strings.Join(args, " "), err, out)
	}
	return string(out)
}

func (w *world) file(path, content string) {
	w.t.Helper()
	full := filepath.Join(w.work, path)
	w.must(os.MkdirAll(filepath.Dir(full), 0o755))
	w.must(os.WriteFile(full, []byte(content), 0o600))
}

func (w *world) read(path string) string {
	w.t.Helper()
	file, err := os.Open(filepath.Join(w.work, path))
	w.must(err)
	defer func() { w.must(file.Close()) }()
	text, err := io.ReadAll(file)
	w.must(err)
	return string(text)
}

// pull brings the work copy to what main is.
func (w *world) pull() {
	w.t.Helper()
	w.sh("git", "fetch", "-q", "--prune", "origin")
	w.sh("git", "reset", "-q", "--hard", "origin/main")
}

// commitImages pins the image in these environments.
func (w *world) commitImages(subject, tag, digest string, environments ...string) {
	w.t.Helper()
	for _, e := range environments {
		w.file("overlays/"+e+"/kustomization.yaml", fmt.Sprintf(
			"resources:\n- deployment.yaml\nimages:\n- name: app # the one image\n  newName: %s\n  newTag: %s\n  digest: %s\n", repository, tag, digest))
	}
	w.sh("git", "add", "-A")
	w.sh("git", "commit", "-q", "-m", subject)
	w.sh("git", "push", "-q", "origin", "HEAD:main")
}

// overlay is an environment's kustomization on main.
func (w *world) overlay(environment string) string {
	w.t.Helper()
	w.pull()
	return w.read("overlays/" + environment + "/kustomization.yaml")
}

// head is the commit that main is at.
func (w *world) head() string {
	w.t.Helper()
	w.sh("git", "fetch", "-q", "origin")
	return strings.TrimSpace(w.sh("git", "rev-parse", "origin/main"))
}

// annotate asks for something as the command line does.
func (w *world) annotate(object client.Object, value string) {
	w.t.Helper()
	w.eventually("annotate "+object.GetName(), func() (bool, string) {
		if err := w.client.Get(w.t.Context(), client.ObjectKeyFromObject(object), object); err != nil {
			return false, err.Error()
		}
		object.SetAnnotations(map[string]string{v1alpha1.AnnotationRequest: value, v1alpha1.AnnotationBy: "ann"})
		if err := w.client.Update(w.t.Context(), object); err != nil {
			return false, err.Error()
		}
		return true, ""
	})
}
