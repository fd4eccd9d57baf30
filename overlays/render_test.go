package overlays_test

import (
	"encoding/base64"
	"io/fs"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/serin-gitops/serin/environments"
	"github.com/serin-gitops/serin/overlays"
)

// tree makes a file system of contents by path.
func tree(files map[string]string) fstest.MapFS {
	fsys := fstest.MapFS{}
	for name, content := range files {
		fsys[name] = &fstest.MapFile{Data: []byte(content)}
	}
	return fsys
}

// shop is a base with an overlay: a web Deployment, a nightly CronJob and a
// generated Secret.
func shop() map[string]string {
	return map[string]string{
		"base/kustomization.yaml": "resources: [web.yaml, nightly.yaml]\n",
		"base/web.yaml": `apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      initContainers:
      - {name: migrate, image: ghcr.io/acme/migrate:v1}
      containers:
      - {name: web, image: web:v0}
      - {name: proxy, image: "envoy:v1.30"}
`,
		"base/nightly.yaml": `apiVersion: batch/v1
kind: CronJob
metadata:
  name: nightly
spec:
  schedule: "0 0 * * *"
  jobTemplate: {spec: {template: {spec: {restartPolicy: Never, containers: [{name: job, image: web:v0}]}}}}
`,
		"overlays/dev/kustomization.yaml": `namespace: dev
resources: [../../base]
secretGenerator:
- name: key
  literals: [password=hunter2]
images:
- name: web
  newName: ghcr.io/acme/web
  newTag: v1
`,
	}
}

func mustRender(t *testing.T, files fs.FS, dir string) overlays.Manifests {
	t.Helper()
	manifests, err := overlays.Render(files, dir)
	if err != nil {
		t.Fatal(err)
	}
	return manifests
}

func TestRenderGivesWorkloads(t *testing.T) {
	got := mustRender(t, tree(shop()), "overlays/dev").Workloads()
	web := environments.Image{Repository: "ghcr.io/acme/web", Tag: "v1"}
	want := []overlays.Workload{
		{APIVersion: "apps/v1", Kind: "Deployment", Namespace: "dev", Name: "web", Containers: []overlays.Container{
			{Name: "migrate", Image: environments.Image{Repository: "ghcr.io/acme/migrate", Tag: "v1"}, Init: true},
			{Name: "web", Image: web},
			{Name: "proxy", Image: environments.Image{Repository: "envoy", Tag: "v1.30"}},
		}},
		{APIVersion: "batch/v1", Kind: "CronJob", Namespace: "dev", Name: "nightly", Containers: []overlays.Container{{Name: "job", Image: web}}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("workloads (-want +got):\n%s", diff)
	}
	if image, ok := got[0].Runs("ghcr.io/acme/web"); !ok || image != web {
		t.Errorf("Deployment runs %v, %v", image, ok)
	}
	if _, ok := got[1].Runs("envoy"); ok {
		t.Error("the CronJob does not run envoy")
	}
}

// TestRenderGivesObjects: the whole stream is what kustomize build prints, and
// each object knows its name.
func TestRenderGivesObjects(t *testing.T) {
	manifests := mustRender(t, tree(shop()), "overlays/dev")
	var names []string
	for _, o := range manifests.Objects {
		names = append(names, o.String())
	}
	if len(names) != 3 || names[1] != "Deployment/dev/web" && names[0] != "Deployment/dev/web" {
		t.Errorf("objects %v", names)
	}
	if got := strings.Count(string(manifests.YAML()), "\n---\n"); got != 2 {
		t.Errorf("%d separators in the stream, want 2:\n%s", got, manifests.YAML())
	}
}

func TestRenderRefuses(t *testing.T) {
	kustomization := func(content string) map[string]string {
		return map[string]string{"dev/kustomization.yaml": content}
	}
	tests := map[string]struct {
		files map[string]string
		want  []string
	}{
		"remote base":            {kustomization("resources:\n- https://github.com/acme/base?ref=v1\n"), []string{"dev/kustomization.yaml:2", "resources", "remote"}},
		"remote base, short":     {kustomization("resources:\n- github.com/acme/base\n"), []string{"dev/kustomization.yaml:2", "resources", "remote"}},
		"remote base by ssh":     {kustomization("resources:\n- git@example.com:acme/base\n"), []string{"resources", "remote"}},
		"remote component":       {kustomization("components:\n- ssh://git@example.com/acme/base\n"), []string{"components", "remote"}},
		"remote base in a base":  {map[string]string{"dev/kustomization.yaml": "resources: [../base]\n", "base/kustomization.yaml": "bases: ['git::file:///etc']\n"}, []string{"base/kustomization.yaml:1", "bases", "remote"}},
		"remote patch":           {kustomization("patches:\n- path: http://169.254.169.254/latest\n"), []string{"dev/kustomization.yaml:2", "patches", "remote"}},
		"remote file":            {kustomization("configMapGenerator:\n- name: x\n  files: [key=https://example.com/x]\n"), []string{"configMapGenerator", "remote"}},
		"remote in a plugin":     {kustomization("transformers:\n- |\n  apiVersion: builtin\n  kind: PatchTransformer\n  metadata: {name: x}\n  path: https://example.com/x\n"), []string{"transformers", "remote"}},
		"helm":                   {kustomization("helmCharts:\n- name: x\n  repo: https://example.com\n"), []string{"dev/kustomization.yaml:1", "helmCharts"}},
		"leaves the repository":  {kustomization("resources:\n- ../../../etc\n"), []string{"etc", "leaves the repository"}},
		"absolute path":          {kustomization("resources:\n- /etc/passwd\n"), []string{"etc/passwd", "leaves the repository"}},
		"file is missing":        {kustomization("resources:\n- none.yaml\n"), []string{"render dev", "none.yaml"}},
		"unknown field":          {kustomization("resourcez: []\n"), []string{"render dev", "resourcez"}},
		"not YAML":               {map[string]string{"dev/kustomization.yaml": "resources: [x.yaml]\n", "dev/x.yaml": "a: [\n"}, []string{"render dev", "x.yaml"}},
		"no kustomization":       {map[string]string{"dev/x.yaml": ""}, []string{"dev: no kustomization.yaml"}},
		"exec plugin":            {map[string]string{"dev/kustomization.yaml": "generators: [g.yaml]\n", "dev/g.yaml": "apiVersion: x/v1\nkind: G\nmetadata:\n  name: g\n  annotations:\n    config.kubernetes.io/function: \"exec: {path: /bin/true}\"\n"}, []string{"render dev"}},
		"directory that escapes": {map[string]string{"x": ""}, []string{"leaves the repository"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			dir := "dev"
			if name == "directory that escapes" {
				dir = "../dev"
			}
			_, err := overlays.Render(tree(test.files), dir)
			if err == nil {
				t.Fatal("want an error")
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("want an error with %q, got %v", want, err)
				}
			}
			if strings.Contains(err.Error(), "/repository") {
				t.Errorf("the error shows an inner path: %v", err)
			}
		})
	}
}

// TestRenderSendsNothing: kustomize would fetch what is named in these ways, from
// wherever Serin runs and its network lets it.
func TestRenderSendsNothing(t *testing.T) {
	asked := make(chan string, 100)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r.URL.Path
		_, _ = w.Write([]byte("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: fetched}\n"))
	}))
	t.Cleanup(server.Close)
	generator := func(file string) string {
		return "apiVersion: builtin\nkind: ConfigMapGenerator\nmetadata: {name: g}\nname: g\nfiles: [" + file + "]\n"
	}
	in64 := base64.StdEncoding.EncodeToString([]byte(server.URL + "/x"))
	for name, files := range map[string]map[string]string{
		"a field in another case":     {"dev/kustomization.yaml": "Resources: ['" + server.URL + "/x']\n"},
		"a field in odd letters":      {"dev/kustomization.yaml": "re\u017fources: ['" + server.URL + "/x']\n"},
		"a merged field":              {"dev/kustomization.yaml": "<<: {resources: ['" + server.URL + "/x']}\n"},
		"a field of merged maps":      {"dev/kustomization.yaml": "<<: [{}, {<<: {resources: ['" + server.URL + "/x']}}]\n"},
		"a value in base64":           {"dev/kustomization.yaml": "resources: [!!binary " + in64 + "]\n"},
		"a name in base64":            {"dev/kustomization.yaml": "!!binary cmVzb3VyY2Vz: ['" + server.URL + "/x']\n"},
		"a plug-in's file":            {"dev/kustomization.yaml": "generators: [g.yaml]\n", "dev/g.yaml": generator("'x=" + server.URL + "/x'")},
		"its second document":         {"dev/kustomization.yaml": "generators: [g.yaml]\n", "dev/g.yaml": generator("f.txt") + "---\n" + generator("'x="+server.URL+"/x'"), "dev/f.txt": "f"},
		"its value in base64":         {"dev/kustomization.yaml": "generators: [g.yaml]\n", "dev/g.yaml": generator("!!binary " + base64.StdEncoding.EncodeToString([]byte("x="+server.URL+"/x")))},
		"a plug-in of a base":         {"dev/kustomization.yaml": "resources: [../base]\n", "base/kustomization.yaml": "generators: [sub/g.yaml]\n", "base/sub/g.yaml": generator("'x=" + server.URL + "/x'")},
		"a transformer's file":        {"dev/kustomization.yaml": "resources: [c.yaml]\ntransformers: [t.yaml]\n", "dev/c.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\n", "dev/t.yaml": "apiVersion: builtin\nkind: PatchTransformer\nmetadata: {name: t}\npath: " + server.URL + "/x\n"},
		"a plug-in in place":          {"dev/kustomization.yaml": "generators:\n- |\n  " + strings.ReplaceAll(generator("f.txt")+"---\n"+generator("'x="+server.URL+"/x'"), "\n", "\n  ") + "\n", "dev/f.txt": "f"},
		"a plug-in in place, escaped": {"dev/kustomization.yaml": "generators: ['{apiVersion: builtin, kind: ConfigMapGenerator, metadata: {name: g}, files: [\"x=" + strings.ReplaceAll(server.URL, "/", `\/`) + "\"]}']\n"},
		"a plug-in that is patched":   {"dev/kustomization.yaml": "generators: [../g]\n", "g/kustomization.yaml": "resources: [g.yaml]\npatches:\n- patch: |\n    " + strings.ReplaceAll(generator("'x="+server.URL+"/x'"), "\n", "\n    ") + "\n", "g/g.yaml": generator("f.txt"), "g/f.txt": "f", "dev/f.txt": "f"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := overlays.Render(tree(files), "dev")
			select {
			case path := <-asked:
				t.Errorf("%s was asked for, and the rendering ended with %v", path, err)
			default:
			}
			if err == nil {
				t.Error("want an error")
			}
		})
	}
}

// TestRenderRunsPlugins: those that come with kustomize and load nothing from
// elsewhere.
func TestRenderRunsPlugins(t *testing.T) {
	got := mustRender(t, tree(map[string]string{
		"dev/kustomization.yaml": "generators: [g.yaml]\ntransformers:\n- t.yaml\n- |-\n  apiVersion: builtin\n  kind: PatchTransformer\n  metadata: {name: p}\n  patch: '- {op: add, path: /data/seen, value: \"http://example.com\"}'\n  target: {kind: ConfigMap}\n",
		"dev/g.yaml":             "apiVersion: builtin\nkind: ConfigMapGenerator\nmetadata: {name: g}\nname: g\nfiles: [f.txt]\nliterals: [home=https://example.com]\n",
		"dev/t.yaml":             "apiVersion: builtin\nkind: AnnotationsTransformer\nmetadata: {name: t}\nannotations: {about: \"https://example.com\"}\nfieldSpecs: [{path: metadata/annotations, create: true}]\n",
		"dev/f.txt":              "f",
	}), "dev")
	text := string(got.YAML())
	for _, want := range []string{"f.txt: f", "home: https://example.com", "about: https://example.com", "seen: http://example.com"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in:\n%s", want, text)
		}
	}
}

// TestRenderDoesNotFollowLinksOut: over a directory of the machine, os.Root
// keeps links inside.
func TestRenderDoesNotFollowLinksOut(t *testing.T) {
	outside := t.TempDir()
	if err := os.WriteFile(outside+"/secret.yaml", []byte("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: secret}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	root, err := os.OpenRoot(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = root.Close() }()
	if err := root.WriteFile("kustomization.yaml", []byte("resources: [link.yaml]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside+"/secret.yaml", root.Name()+"/link.yaml"); err != nil {
		t.Fatal(err)
	}
	if _, err := overlays.Render(root.FS(), "."); err == nil || !strings.Contains(err.Error(), "link.yaml") {
		t.Errorf("got %v, want an error that names the link", err)
	}
}

// TestRenderConcurrently: kustomize keeps its schema in package variables.
func TestRenderConcurrently(t *testing.T) {
	files := tree(shop())
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			if _, err := overlays.Render(files, "overlays/dev"); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
}

func TestVerify(t *testing.T) {
	web := environments.Image{Repository: "ghcr.io/acme/web", Tag: "v2"}
	const file = "overlays/dev/kustomization.yaml"
	edit := func(old, fresh string) func(map[string]string) {
		return func(files map[string]string) { files[file] = strings.Replace(files[file], old, fresh, 1) }
	}
	tests := map[string]struct {
		edit   func(files map[string]string)
		images []environments.Image
		want   []string
	}{
		"the image":        {edit("newTag: v1", "newTag: v2"), []environments.Image{web}, nil},
		"another version":  {edit("newTag: v1", "newTag: v3"), []environments.Image{web}, []string{"Deployment/dev/web", "spec.template.spec.containers[0].image", "web:v3", "only images may change"}},
		"also a namespace": {edit("namespace: dev", "namespace: prod"), []environments.Image{web}, []string{"Secret/dev/key-", "remove the object"}},
		"also replicas": {func(files map[string]string) {
			edit("newTag: v1", "newTag: v2\nreplicas: [{name: web, count: 5}]")(files)
		}, []environments.Image{web}, []string{"Deployment/dev/web", "spec.replicas", "from nothing to \"5\""}},
		"also a label": {func(files map[string]string) {
			edit("newTag: v1", "newTag: v2\nlabels: [{pairs: {version: v2}}]")(files)
		}, []environments.Image{web}, []string{"metadata.labels"}},
		"another image's place": {func(files map[string]string) {
			edit("newTag: v1", "newTag: v2\n- {name: envoy, newName: ghcr.io/acme/web, newTag: v2}")(files)
		}, []environments.Image{web}, []string{"Deployment/dev/web", "containers[1].image", "envoy:v1.30", "only images may change"}},
		"an object more": {func(files map[string]string) {
			edit("newTag: v1", "newTag: v2\nconfigMapGenerator: [{name: x, literals: [a=b]}]")(files)
		}, []environments.Image{web}, []string{"ConfigMap/dev/x", "add the object"}},
		"nobody uses it": {func(map[string]string) {}, []environments.Image{{Repository: "ghcr.io/acme/none", Tag: "v1"}}, []string{"none:v1", `"ghcr.io/acme/none"`, "no object of the overlay uses"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			files := shop()
			before := mustRender(t, tree(files), "overlays/dev")
			test.edit(files)
			err := overlays.Verify(before, mustRender(t, tree(files), "overlays/dev"), test.images)
			if test.want == nil && err != nil {
				t.Fatal(err)
			}
			for _, want := range test.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("want an error with %q, got %v", want, err)
				}
			}
		})
	}
}

func secretManifests(t *testing.T, password string) overlays.Manifests {
	t.Helper()
	m, err := overlays.ParseManifests([]byte("---\napiVersion: v1\nkind: Secret\nmetadata:\n  name: key\nstringData:\n  same: s4me\n  password: " + password + "\n"))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestVerifyShowsNoSecret(t *testing.T) {
	err := overlays.Verify(secretManifests(t, "hunter2"), secretManifests(t, "hunter3"), nil)
	if err == nil || !strings.Contains(err.Error(), "Secret/key") || strings.Contains(err.Error(), "hunter") {
		t.Errorf("got %v, want an error that names the Secret and not its value", err)
	}
}

func TestDiff(t *testing.T) {
	files := shop()
	before := mustRender(t, tree(files), "overlays/dev")
	changed := maps.Clone(files)
	changed["overlays/dev/kustomization.yaml"] = strings.Replace(files["overlays/dev/kustomization.yaml"], "newTag: v1", "newTag: v2", 1)
	after := mustRender(t, tree(changed), "overlays/dev")
	if got := overlays.Diff(before, before); got != "" {
		t.Errorf("diff of the same: %q", got)
	}
	got := overlays.Diff(before, after)
	for _, want := range []string{
		"--- Deployment/dev/web\n+++ Deployment/dev/web\n@@ ",
		"\n-      - image: ghcr.io/acme/web:v1\n+      - image: ghcr.io/acme/web:v2\n", "--- CronJob/dev/nightly\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in:\n%s", want, got)
		}
	}
	if strings.Contains(got, "Secret/") {
		t.Errorf("the Secret did not change:\n%s", got)
	}
}

func TestDiffMasksSecrets(t *testing.T) {
	got := overlays.Diff(secretManifests(t, "hunter2"), secretManifests(t, "hunter3"))
	for _, want := range []string{"-  password: '*** (before)'\n", "+  password: '*** (after)'\n", "   same: '***'\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in:\n%s", want, got)
		}
	}
	got += overlays.Diff(overlays.Manifests{}, secretManifests(t, "hunter3")) + overlays.Diff(secretManifests(t, "hunter2"), overlays.Manifests{})
	if strings.Contains(got, "hunter") || strings.Contains(got, "s4me") {
		t.Errorf("a Secret's value is shown:\n%s", got)
	}
	if strings.Count(got, "+kind: Secret") != 1 || strings.Count(got, "-kind: Secret") != 1 {
		t.Errorf("the added and the removed Secret are not both there:\n%s", got)
	}
}
