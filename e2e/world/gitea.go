package world

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	sdk "code.gitea.io/sdk/gitea"
	"github.com/google/go-containerregistry/pkg/authn"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/serin-gitops/serin/api/v1alpha1"
	"github.com/serin-gitops/serin/e2e/images"
)

const webhookSecret = "a-webhook-secret-of-the-sandbox"

// fluxKinds are the objects by which Flux applies the deploy repository, in the
// order they are removed.
var fluxKinds = []schema.GroupVersionKind{
	{Group: "kustomize.toolkit.fluxcd.io", Version: "v1", Kind: "Kustomization"},
	{Group: "source.toolkit.fluxcd.io", Version: "v1", Kind: "GitRepository"},
}

// gitea is the full profile: Git, pull requests and images are Gitea's, Flux
// applies, and traffic to production goes through Traefik.
type gitea struct{ sandboxed }

// overlay is one of ours upon config/default, as a user would write it.
func (*gitea) overlay() string { return "../e2e/world/full" }

func (g *gitea) manifests() string {
	return fmt.Sprintf(`apiVersion: v1
kind: Secret
metadata: {name: serin-webhooks, namespace: %s}
stringData: {secrets: %s}
---
apiVersion: v1
kind: Namespace
metadata: {name: %s}
---
apiVersion: v1
kind: Secret
metadata: {name: deploy, namespace: %[3]s}
stringData: {username: %s, password: %q}
`, SerinNamespace, webhookSecret, Namespace, g.w.Gitea.User, g.w.Gitea.Token)
}

func (g *gitea) imageRepository(l *Line) string {
	return strings.TrimPrefix(g.w.Gitea.ClusterURL, "http://") + "/" + g.w.Gitea.User + "/" + l.image
}

func (g *gitea) push(ctx context.Context, reference string, image v1.Image) error {
	_, err := images.Push(ctx, reference, image, images.PushOptions{
		Transport:     g.w.Transport(),
		Authenticator: authn.FromConfig(authn.AuthConfig{Username: g.w.Gitea.User, Password: g.w.Gitea.Token}),
	})
	return err
}

// api is Gitea's, with the given right; it goes by the name that the cluster
// knows, which is then the one in webhooks.
func (g *gitea) api(ctx context.Context, right sdk.ClientOption) (*sdk.Client, error) {
	c, err := sdk.NewClient(g.w.Gitea.ClusterURL, sdk.SetContext(ctx), sdk.SetHTTPClient(&http.Client{Transport: g.w.Transport()}), right)
	if err != nil {
		return nil, fmt.Errorf("gitea: %w", err)
	}
	return c, nil
}

func (g *gitea) machine(ctx context.Context) (*sdk.Client, error) {
	return g.api(ctx, sdk.SetToken(g.w.Gitea.Token))
}

// clear removes what an earlier world left outside Serin's reach: Flux' objects,
// so that nothing is applied again, and the repository, images and webhooks.
func (g *gitea) clear(ctx context.Context) error {
	for _, kind := range fluxKinds {
		if err := g.clearFlux(ctx, kind); err != nil {
			return err
		}
	}
	api, err := g.machine(ctx)
	if err != nil {
		return err
	}
	if err := clearHooks(api); err != nil {
		return err
	}
	if response, err := api.DeleteRepo(g.w.Gitea.User, deployRepository); err != nil && !missing(response) {
		return fmt.Errorf("delete the repository %s: %w", deployRepository, err)
	}
	return g.clearImages(api)
}

func missing(response *sdk.Response) bool {
	return response != nil && response.Response != nil && response.StatusCode == http.StatusNotFound
}

func (g *gitea) clearFlux(ctx context.Context, kind schema.GroupVersionKind) error {
	one := &unstructured.Unstructured{}
	one.SetGroupVersionKind(kind)
	err := g.w.Client.DeleteAllOf(ctx, one, client.InNamespace(Namespace))
	if isNoKind(err) {
		return nil
	}
	if client.IgnoreNotFound(err) != nil {
		return err
	}
	list := &unstructured.UnstructuredList{}
	list.SetGroupVersionKind(kind.GroupVersion().WithKind(kind.Kind + "List"))
	return Eventually(ctx, time.Minute, "Flux to let go of each "+kind.Kind, func(ctx context.Context) (string, error) {
		if err := g.w.Client.List(ctx, list, client.InNamespace(Namespace)); err != nil {
			return "", err
		}
		return missingUnless(len(list.Items) == 0, "%d are left", len(list.Items)), nil
	})
}

func clearHooks(api *sdk.Client) error {
	hooks, _, err := api.ListMyHooks(sdk.ListHooksOptions{})
	if err != nil {
		return fmt.Errorf("list webhooks: %w", err)
	}
	for _, hook := range hooks {
		if response, err := api.DeleteMyHook(hook.ID); err != nil && !missing(response) {
			return fmt.Errorf("delete webhook %d: %w", hook.ID, err)
		}
	}
	return nil
}

// clearImages deletes until none is listed: a page at a time.
func (g *gitea) clearImages(api *sdk.Client) error {
	for {
		packages, _, err := api.ListPackages(g.w.Gitea.User, sdk.ListPackagesOptions{})
		if err != nil {
			return fmt.Errorf("list images: %w", err)
		}
		if len(packages) == 0 {
			return nil
		}
		for _, one := range packages {
			if response, err := api.DeletePackage(g.w.Gitea.User, one.Type, one.Name, one.Version); err != nil && !missing(response) {
				return fmt.Errorf("delete image %s:%s: %w", one.Name, one.Version, err)
			}
		}
	}
}

// gitURL makes the repository, and the webhook that tells Serin of pushes, pull
// requests and images: one of the owner's, since images have no repository.
func (g *gitea) gitURL(ctx context.Context, _ *Line) (string, error) {
	api, err := g.machine(ctx)
	if err != nil {
		return "", err
	}
	if _, _, err := api.CreateRepo(sdk.CreateRepoOption{Name: deployRepository, Private: true, DefaultBranch: "main"}); err != nil {
		return "", fmt.Errorf("create the repository %s: %w", deployRepository, err)
	}
	_, _, err = api.CreateMyHook(sdk.CreateHookOption{
		Type: sdk.HookTypeGitea, Active: true,
		Events: []string{"push", "delete", "pull_request", "package"},
		Config: map[string]string{
			"url":          "http://serin." + SerinNamespace + ".svc.cluster.local/hooks/gitea",
			"content_type": "json", "secret": webhookSecret,
		},
	})
	if err != nil {
		return "", fmt.Errorf("create the webhook: %w", err)
	}
	return fmt.Sprintf("http://%s:%s@%s", g.w.Gitea.User, g.w.Gitea.Token, strings.TrimPrefix(g.repository(g.w.Gitea.NodeURL), "http://")), nil
}

// repository is the deploy repository's address on a host.
func (g *gitea) repository(host string) string {
	return host + "/" + g.w.Gitea.User + "/" + deployRepository + ".git"
}

func (g *gitea) exampleOverlay(l *Line, environment string) images.Overlay {
	overlay := images.Overlay{Components: []string{"hostpath", "canary"}, NewName: g.imageRepository(l), Tag: firstVersion}
	if environment == "prod" {
		overlay.Components = append(overlay.Components, "canary-prod", "gateway", "canary-gateway")
	}
	return overlay
}

func (g *gitea) adapt(pipeline *v1alpha1.Pipeline) {
	pipeline.Spec.Source.URL = g.repository(g.w.Gitea.ClusterURL)
	pipeline.Spec.Source.Forge = "Gitea"
	image := &pipeline.Spec.Images[0]
	image.Repository, image.Endpoint = g.imageRepository(g.w.Line), ""
	for i := range pipeline.Spec.Environments {
		environment := &pipeline.Spec.Environments[i]
		environment.SyncRef = &v1alpha1.SyncReference{Name: environment.Name}
	}
}

// prepare lets Flux apply each overlay. Its objects are left in the cluster when
// a Kustomization is deleted: a world removes them by their namespaces.
func (g *gitea) prepare(ctx context.Context) error {
	manifests := fmt.Sprintf(`apiVersion: source.toolkit.fluxcd.io/v1
kind: GitRepository
metadata: {name: deploy, namespace: %s}
spec:
  url: %s
  ref: {branch: main}
  secretRef: {name: deploy}
  interval: 1m
`, Namespace, g.repository(g.w.Gitea.NodeURL))
	for _, environment := range Environments {
		manifests += fmt.Sprintf(`---
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: %[1]s, namespace: %[2]s}
spec:
  sourceRef: {kind: GitRepository, name: deploy}
  path: ./deploy/overlays/%[1]s
  interval: 1m
  retryInterval: 5s
  prune: true
  deletionPolicy: Orphan
`, environment, Namespace)
	}
	return g.w.Apply(ctx, manifests)
}

// merge is what a person does in Gitea, who knows a password and no token. Gitea
// refuses while it still looks for conflicts.
func (g *gitea) merge(ctx context.Context, _ *Line, promotion *v1alpha1.Promotion) error {
	number, err := strconv.ParseInt(promotion.Status.PullRequest.ID, 10, 64)
	if err != nil {
		return fmt.Errorf("promotion %s: pull request: %w", promotion.Name, err)
	}
	api, err := g.api(ctx, sdk.SetBasicAuth(g.w.Gitea.User, g.w.Gitea.Password))
	if err != nil {
		return err
	}
	return Eventually(ctx, time.Minute, fmt.Sprintf("pull request %d to be merged", number), func(context.Context) (string, error) {
		merged, response, err := api.MergePullRequest(g.w.Gitea.User, deployRepository, number, sdk.MergePullRequestOption{Style: sdk.MergeStyleMerge})
		if err != nil {
			return "", err
		}
		return missingUnless(merged, "Gitea answers %s", response.Status), nil
	})
}

func (g *gitea) loadURL(ctx context.Context, environment string) (string, error) {
	if environment == "prod" {
		return g.w.Gateway + "/work", nil
	}
	return g.w.serviceURL(ctx, environment)
}
