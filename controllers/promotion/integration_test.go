//go:build integration

package promotion_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/serin-gitops/serin/api/v1alpha1"
	"github.com/serin-gitops/serin/environments"
)

func (w *world) getPipeline() v1alpha1.Pipeline {
	w.t.Helper()
	var p v1alpha1.Pipeline
	w.must(w.client.Get(w.t.Context(), client.ObjectKey{Namespace: w.namespace, Name: "app"}, &p))
	return p
}

// ready waits for the Pipeline's Ready condition to be as wanted.
func (w *world) ready(status, reason, says string) v1alpha1.Pipeline {
	w.t.Helper()
	var p v1alpha1.Pipeline
	w.eventually("Pipeline is Ready="+status+" "+reason, func() (bool, string) {
		p = w.getPipeline()
		condition := meta.FindStatusCondition(p.Status.Conditions, v1alpha1.ConditionReady)
		if condition == nil {
			return false, "no condition"
		}
		return string(condition.Status) == status && condition.Reason == reason && strings.Contains(condition.Message, says),
			fmt.Sprintf("%s %s: %s", condition.Status, condition.Reason, condition.Message)
	})
	return p
}

func (w *world) environment(name string) v1alpha1.EnvironmentStatus {
	for _, e := range w.getPipeline().Status.Environments {
		if e.Name == name {
			return e
		}
	}
	return v1alpha1.EnvironmentStatus{}
}

func TestIntegrationReleaseTravels(t *testing.T) {
	w := newWorld(t, "dev", "staging")
	w.start(w.pipelineOf("dev", "staging"))
	w.push("v1.1.0")
	pushed := time.Now()
	w.eventually("dev's overlay has v1.1.0", func() (bool, string) {
		text := w.overlay("dev")
		return strings.Contains(text, "v1.1.0"), text
	})
	t.Logf("push to dev commit, as seen by git fetch: %s", time.Since(pushed))
	dev := w.phase("dev", "v1.1.0", v1alpha1.PromotionSucceeded)
	staging := w.phase("staging", "v1.1.0", v1alpha1.PromotionAwaitingApproval)

	if text := w.overlay("dev"); !strings.Contains(text, "newTag: v1.1.0") || !strings.Contains(text, "digest: sha256:") || !strings.Contains(text, "# the one image") {
		t.Errorf("dev's overlay is\n%s", text)
	}
	if strings.Contains(w.overlay("staging"), "v1.1.0") {
		t.Error("staging was changed before approval")
	}
	commit := w.sh("git", "show", "-s", "--format=%s%n%B", dev.Status.Commit)
	for _, says := range []string{"Promote app:v1.1.0 to dev", "Serin-Pipeline: " + w.namespace + "/app", "Serin-Environment: dev", "Serin-Promotion: " + dev.Name, "rev-v1.1.0"} {
		if !strings.Contains(commit, says) {
			t.Errorf("the commit does not say %q:\n%s", says, commit)
		}
	}
	// The person merges with git, by a commit of their own, and leaves the branch.
	w.pull()
	w.sh("git", "merge", "-q", "--no-ff", "-m", "Approve", "origin/"+staging.Status.PullRequest.Branch)
	w.sh("git", "push", "-q", "origin", "HEAD:main")
	w.phase("staging", "v1.1.0", v1alpha1.PromotionSucceeded)
	w.eventually("the merged branch is removed", func() (bool, string) {
		branches := w.sh("git", "ls-remote", "--heads", "origin")
		return !strings.Contains(branches, "serin/"), branches
	})
	w.ready("True", "UpToDate", "dev v1.1.0, staging v1.1.0")

	// The next one is approved by "serin approve".
	w.push("v1.2.0")
	waits := w.phase("staging", "v1.2.0", v1alpha1.PromotionAwaitingApproval)
	w.annotate(&waits, environments.NewRequest(environments.Approve, time.Now()))
	done := w.phase("staging", "v1.2.0", v1alpha1.PromotionSucceeded)
	if done.Status.ApprovedBy != "ann" {
		t.Errorf("approved by %q", done.Status.ApprovedBy)
	}
	var release v1alpha1.Release
	w.eventually("the Release shows its way", func() (bool, string) {
		w.must(w.client.Get(t.Context(), client.ObjectKey{Namespace: w.namespace, Name: done.Spec.Release}, &release))
		return release.Status.Summary == "dev ok, staging ok", release.Status.Summary
	})
	if image := release.Spec.Images[0]; image.Revision != "rev-v1.2.0" || image.Source == "" {
		t.Errorf("the Release does not say where it is from: %+v", image)
	}
}

func TestIntegrationClosedIsRejected(t *testing.T) {
	w := newWorld(t, "dev", "staging")
	w.start(w.pipelineOf("dev", "staging"))
	w.push("v1.1.0")
	waits := w.phase("staging", "v1.1.0", v1alpha1.PromotionAwaitingApproval)
	w.sh("git", "push", "-q", "origin", "--delete", waits.Status.PullRequest.Branch)
	w.phase("staging", "v1.1.0", v1alpha1.PromotionRejected)
	// A person wants another attempt after all, and closes that too.
	p := w.getPipeline()
	w.annotate(&p, environments.NewRequest(environments.Retry, time.Now(), "staging"))
	again := w.phase("staging", "v1.1.0", v1alpha1.PromotionAwaitingApproval)
	if again.Spec.Attempt != 2 || again.Spec.RequestedBy != "ann" {
		t.Errorf("the attempt that was asked for is %+v", again.Spec)
	}
	w.annotate(&again, environments.NewRequest(environments.Reject, time.Now()))
	w.phase("staging", "v1.1.0", v1alpha1.PromotionRejected)
	// A newer Release is proposed; the rejected one was not, meanwhile.
	w.push("v1.2.0")
	w.phase("staging", "v1.2.0", v1alpha1.PromotionAwaitingApproval)
	attempts := 0
	for _, p := range w.promotions() {
		if p.Spec.Environment == "staging" && strings.Contains(p.Spec.Release, "v1-1-0") {
			attempts++
		}
	}
	if attempts != 2 {
		t.Errorf("%d attempts of the rejected Release, want the two that were asked for", attempts)
	}
	// A newer one takes the place of one that waits, on the same branch.
	w.push("v1.3.0")
	newer := w.phase("staging", "v1.3.0", v1alpha1.PromotionAwaitingApproval)
	w.phase("staging", "v1.2.0", v1alpha1.PromotionSuperseded)
	if newer.Status.PullRequest.Branch != waits.Status.PullRequest.Branch {
		t.Errorf("branch %s, and before %s", newer.Status.PullRequest.Branch, waits.Status.PullRequest.Branch)
	}
}

func TestIntegrationRevertHolds(t *testing.T) {
	w := newWorld(t, "dev")
	w.start(w.pipelineOf("dev"))
	w.push("v1.1.0")
	w.phase("dev", "v1.1.0", v1alpha1.PromotionSucceeded)
	w.pull()
	w.sh("git", "revert", "--no-edit", "HEAD")
	w.sh("git", "push", "-q", "origin", "HEAD:main")
	reverted := w.head()
	w.eventually("dev is held", func() (bool, string) {
		e := w.environment("dev")
		return e.Held != "", fmt.Sprintf("%+v", e)
	})
	w.ready("True", "UpToDate", "(held)")
	if w.head() != reverted {
		t.Error("something was written while dev was held")
	}
	w.push("v1.2.0")
	w.phase("dev", "v1.2.0", v1alpha1.PromotionSucceeded)
	if e := w.environment("dev"); e.Held != "" {
		t.Errorf("still held: %s", e.Held)
	}
	// Held again, and a person resumes: what was reverted comes back.
	w.pull()
	w.sh("git", "revert", "--no-edit", "HEAD")
	w.sh("git", "push", "-q", "origin", "HEAD:main")
	w.eventually("dev is held again", func() (bool, string) {
		e := w.environment("dev")
		return e.Held != "", fmt.Sprintf("%+v", e)
	})
	p := w.getPipeline()
	w.annotate(&p, environments.NewRequest(environments.Resume, time.Now(), "dev"))
	w.eventually("dev has v1.2.0 again", func() (bool, string) {
		text := w.overlay("dev")
		return strings.Contains(text, "newTag: v1.2.0"), text
	})
}

// A rejected image is not promoted again after the loss of all objects, though
// others have written to the branch since its rollback.
func TestIntegrationQuarantineSurvivesTheLossOfAll(t *testing.T) {
	w := newWorld(t, "dev")
	w.start(w.pipelineOf("dev"))
	before := w.overlay("dev")
	w.pods("dev", 1)
	w.push("v1.1.0")
	w.phase("dev", "v1.1.0", v1alpha1.PromotionRolledBack)
	for i := range 3 {
		w.pull()
		w.file("README.md", fmt.Sprintf("edition %d\n", i))
		w.sh("git", "add", "README.md")
		w.sh("git", "commit", "-qm", "Write something else")
		w.sh("git", "push", "-q", "origin", "HEAD:main")
	}
	// Promoted again, it would succeed now.
	w.pods("dev", 0)
	w.lose(w.pipelineOf("dev"))
	w.eventually("the Release that is made anew is quarantined, with its reason", func() (bool, string) {
		var releases v1alpha1.ReleaseList
		w.must(w.client.List(t.Context(), &releases, client.InNamespace(w.namespace)))
		for _, release := range releases.Items {
			if q := release.Status.Quarantined; q != nil && release.Spec.Images[0].Tag == "v1.1.0" {
				return q.Environment == "dev" && strings.Contains(q.Reason, "ErrImageNeverPull"), fmt.Sprintf("%+v", q)
			}
		}
		return false, fmt.Sprintf("%d Releases", len(releases.Items))
	})
	w.eventually("dev says why it has not got it", func() (bool, string) {
		waiting := w.environment("dev").Waiting
		return strings.Contains(waiting, "quarantined"), waiting
	})
	if after := w.overlay("dev"); after != before || len(w.promotions()) > 0 {
		t.Errorf("the rejected image was promoted again: %s\n%s", w.record(), after)
	}
	w.push("v1.2.0")
	w.phase("dev", "v1.2.0", v1alpha1.PromotionSucceeded)
}

// pods sets how many pods an Environment's workload has.
func (w *world) pods(environment string, n int32) {
	w.t.Helper()
	w.eventually(fmt.Sprintf("%s has %d pods", environment, n), func() (bool, string) {
		var d appsv1.Deployment
		w.must(w.client.Get(w.t.Context(), client.ObjectKey{Namespace: w.namespace, Name: "app-" + environment}, &d))
		d.Spec.Replicas = &n
		if err := w.client.Update(w.t.Context(), &d); err != nil {
			return false, err.Error()
		}
		return true, ""
	})
}

// A workload whose pods a quota refuses holds its Promotion, which says so, and
// is judged by its pods as soon as there is room.
func TestIntegrationLackOfRoomHolds(t *testing.T) {
	w := newWorld(t, "dev")
	w.start(w.pipelineOf("dev"))
	quota := &corev1.ResourceQuota{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "none"},
		Spec:       corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{corev1.ResourcePods: resource.MustParse("0")}},
	}
	w.must(w.client.Create(t.Context(), quota))
	w.eventually("the quota is in force", func() (bool, string) {
		w.must(w.client.Get(t.Context(), client.ObjectKeyFromObject(quota), quota))
		return len(quota.Status.Hard) > 0, fmt.Sprintf("%+v", quota.Status)
	})
	w.pods("dev", 1)
	w.push("v1.1.0")
	var held v1alpha1.Promotion
	w.eventually("the Promotion is held", func() (bool, string) {
		held = w.phase("dev", "v1.1.0", v1alpha1.PromotionRollingOut)
		stalled := meta.FindStatusCondition(held.Status.Conditions, v1alpha1.ConditionStalled)
		return stalled != nil && stalled.Reason == "PodsRefused", fmt.Sprintf("%+v", held.Status)
	})
	if !strings.Contains(held.Status.Message, "exceeded quota: none") {
		t.Errorf("the Promotion says %q", held.Status.Message)
	}
	w.must(w.client.Delete(t.Context(), quota))
	back := w.phase("dev", "v1.1.0", v1alpha1.PromotionRolledBack)
	if !strings.Contains(back.Status.Failure, "ErrImageNeverPull") {
		t.Errorf("with room it failed by %q", back.Status.Failure)
	}
}

func TestIntegrationFailedWorkloadIsRolledBack(t *testing.T) {
	w := newWorld(t, "dev", "staging")
	w.start(w.pipelineOf("dev", "staging"))
	before := w.overlay("dev")
	// From now on there is a pod, and its image may not be pulled.
	w.pods("dev", 1)
	w.conflicts.Store(2)
	w.push("v1.1.0")
	back := w.phase("dev", "v1.1.0", v1alpha1.PromotionRolledBack)
	w.silentOnConflicts()
	if !strings.Contains(back.Status.Failure, "ErrImageNeverPull") {
		t.Errorf("failure %q", back.Status.Failure)
	}
	if after := w.overlay("dev"); after != before {
		t.Errorf("dev's overlay is\n%s, and was\n%s", after, before)
	}
	commit := w.sh("git", "show", "-s", "--format=%B", back.Status.RollbackCommit)
	for _, says := range []string{"Roll dev back to app:v1.0.0", "Serin-Rejected: sha256:", "Serin-Reason: "} {
		if !strings.Contains(commit, says) {
			t.Errorf("the commit does not say %q:\n%s", says, commit)
		}
	}
	var release v1alpha1.Release
	w.must(w.client.Get(t.Context(), client.ObjectKey{Namespace: w.namespace, Name: back.Spec.Release}, &release))
	if q := release.Status.Quarantined; q == nil || q.Environment != "dev" || len(q.Images) != 1 {
		t.Errorf("quarantine %+v", q)
	}
	w.eventually("staging says why it has not got it", func() (bool, string) {
		e := w.environment("staging")
		return strings.Contains(e.Waiting, "quarantined"), e.Waiting
	})
	// The rollback commit's trailers outlive the Release object.
	lost := release.UID
	w.must(w.client.Delete(t.Context(), &release))
	w.eventually("the Release that is made anew is quarantined", func() (bool, string) {
		var anew v1alpha1.Release
		if err := w.client.Get(t.Context(), client.ObjectKeyFromObject(&release), &anew); err != nil {
			return false, err.Error()
		}
		return anew.UID != lost && anew.Status.Quarantined != nil, fmt.Sprintf("%+v", anew.Status)
	})
	if after := w.overlay("dev"); after != before {
		t.Errorf("the lost Release was promoted again:\n%s", after)
	}
}

// Where the branch refuses Serin's commit, a pull request asks for the rollback.
func TestIntegrationProtectedRollback(t *testing.T) {
	w := newWorld(t, "dev")
	w.start(w.pipelineOf("dev"))
	w.eventually("dev gets a pod", func() (bool, string) {
		var d appsv1.Deployment
		w.must(w.client.Get(t.Context(), client.ObjectKey{Namespace: w.namespace, Name: "app-dev"}, &d))
		one := int32(1)
		d.Spec.Replicas = &one
		if err := w.client.Update(t.Context(), &d); err != nil {
			return false, err.Error()
		}
		return true, ""
	})
	w.push("v1.1.0")
	w.eventually("main has v1.1.0", func() (bool, string) {
		text := w.overlay("dev")
		return strings.Contains(text, "v1.1.0"), text
	})
	w.git.Protect("main")
	w.eventually("the rollback is asked for", func() (bool, string) {
		p := w.phase("dev", "v1.1.0", v1alpha1.PromotionRollingBack)
		return p.Status.PullRequest != nil && p.Status.PullRequest.Purpose == "Rollback", p.Status.Message
	})
	w.pull()
	w.sh("git", "merge", "-q", "--no-edit", "origin/serin/"+w.namespace+"/app/dev")
	w.sh("git", "push", "-q", "origin", "HEAD:main")
	w.phase("dev", "v1.1.0", v1alpha1.PromotionRolledBack)
}

func TestIntegrationOverlayThatDoesNotRender(t *testing.T) {
	w := newWorld(t, "dev")
	w.start(w.pipelineOf("dev"))
	w.pull()
	w.file("overlays/dev/deployment.yaml", "kind: [Deployment\n")
	w.sh("git", "commit", "-qam", "Break dev")
	w.sh("git", "push", "-q", "origin", "HEAD:main")
	broken := w.head()
	w.push("v1.1.0")
	w.eventually("the Promotion names the file", func() (bool, string) {
		for _, p := range w.promotions() {
			condition := meta.FindStatusCondition(p.Status.Conditions, v1alpha1.ConditionStalled)
			if condition != nil && condition.Reason == "OverlayInvalid" && strings.Contains(condition.Message, "deployment.yaml") {
				return true, ""
			}
		}
		return false, "no such condition"
	})
	if w.head() != broken {
		t.Error("something was written")
	}
	w.sh("git", "revert", "--no-edit", "HEAD")
	w.sh("git", "push", "-q", "origin", "HEAD:main")
	w.phase("dev", "v1.1.0", v1alpha1.PromotionSucceeded)
}

func TestIntegrationWrongCredentials(t *testing.T) {
	const wrong = "guess-0815"
	w := newWorld(t, "dev")
	var secret corev1.Secret
	key := client.ObjectKey{Namespace: w.namespace, Name: "git"}
	w.must(w.client.Get(t.Context(), key, &secret))
	secret.StringData = map[string]string{"password": wrong}
	w.must(w.client.Update(t.Context(), &secret))
	w.must(w.client.Create(t.Context(), w.pipelineOf("dev")))
	p := w.ready("False", "Unauthorized", "spec.source.secretRef")
	for _, condition := range p.Status.Conditions {
		if strings.Contains(condition.Message, wrong) || strings.Contains(condition.Message, password) {
			t.Errorf("the condition %s holds a secret: %s", condition.Type, condition.Message)
		}
	}
	w.must(w.client.Get(t.Context(), key, &secret))
	secret.StringData = map[string]string{"password": password}
	w.must(w.client.Update(t.Context(), &secret))
	w.phase("dev", "v1.0.0", v1alpha1.PromotionSucceeded)
	w.ready("True", "UpToDate", "dev v1.0.0")
}

// A registry that is down stops nothing that is known already.
func TestIntegrationRegistryDown(t *testing.T) {
	t.Parallel()
	for _, status := range []int32{500, 429} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			w := newWorld(t, "dev", "staging")
			w.start(w.pipelineOf("dev", "staging"))
			w.push("v1.1.0")
			waits := w.phase("staging", "v1.1.0", v1alpha1.PromotionAwaitingApproval)
			w.broken.Store(status)
			reason := map[int32]string{500: "RegistryFailed", 429: "RegistryLimited"}[status]
			w.ready("False", reason, "What runs stays")
			w.annotate(&waits, environments.NewRequest(environments.Approve, time.Now()))
			w.phase("staging", "v1.1.0", v1alpha1.PromotionSucceeded)
			w.broken.Store(0)
			w.ready("True", "UpToDate", "staging v1.1.0")
		})
	}
}

// At rest the registry and Git are looked at once an interval, and nothing is
// written to the API server.
func TestIntegrationAtRest(t *testing.T) {
	w := newWorld(t, "dev", "staging")
	w.start(w.pipelineOf("dev", "staging"))
	w.ready("True", "UpToDate", "dev v1.0.0, staging v1.0.0")
	versions := func() string {
		var text strings.Builder
		p := w.getPipeline()
		fmt.Fprintln(&text, p.Name, p.ResourceVersion)
		var releases v1alpha1.ReleaseList
		w.must(w.client.List(t.Context(), &releases, client.InNamespace(w.namespace)))
		for _, release := range releases.Items {
			fmt.Fprintln(&text, release.Name, release.ResourceVersion)
		}
		for _, promotion := range w.promotions() {
			fmt.Fprintln(&text, promotion.Name, promotion.ResourceVersion)
		}
		return text.String()
	}
	looks := func(n int32) {
		until := w.lists.Load() + n
		w.eventually("the registry is looked at again", func() (bool, string) {
			return w.lists.Load() >= until, fmt.Sprint(w.lists.Load())
		})
	}
	looks(2)
	before, was := versions(), w.record()
	looks(3)
	if after := versions(); after != before {
		t.Errorf("objects were written at rest:\n%s\nand before\n%s\nthey say\n%s\nand said\n%s", after, before, w.record(), was)
	}
}

func TestIntegrationImageMissing(t *testing.T) {
	w := newWorld(t, "dev")
	p := w.pipelineOf("dev")
	p.Spec.Images[0].Policy = v1alpha1.ImagePolicy{Type: "Semver", Range: ">=1.0.0"}
	p.Spec.Images = append(p.Spec.Images, v1alpha1.ImageSource{
		Repository: "registry.test/nothing", Endpoint: w.registry, Insecure: true, Policy: v1alpha1.ImagePolicy{Type: "Semver", Range: "*"},
	})
	start := w.head()
	w.must(w.client.Create(t.Context(), p))
	w.ready("False", "ImageNotFound", "registry.test/nothing")
	if w.head() != start || len(w.promotions()) != 0 {
		t.Error("something was promoted")
	}
}

// An approval works though the branch has moved since the pull request was
// written, without a webhook having told of it: the change is written anew upon
// the newest tip.
func TestIntegrationApproveAfterTheBranchMoved(t *testing.T) {
	w := newWorld(t, "dev", "staging")
	w.start(w.pipelineOf("dev", "staging"))
	w.push("v1.1.0")
	p := w.phase("staging", "v1.1.0", v1alpha1.PromotionAwaitingApproval)
	w.pull()
	w.file("README.md", "meanwhile\n")
	w.sh("git", "add", "README.md")
	w.sh("git", "commit", "-qm", "Write something else")
	w.sh("git", "push", "-q", "origin", "HEAD:main")
	w.annotate(&p, environments.NewRequest(environments.Approve, time.Now()))
	w.phase("staging", "v1.1.0", v1alpha1.PromotionSucceeded)
	w.pull()
	if got := w.read("README.md"); got != "meanwhile\n" {
		t.Errorf("README.md is %q", got)
	}
}

// An approval merges what Serin wrote, and nothing that somebody pushed beside it.
func TestIntegrationForeignCommitIsNotApproved(t *testing.T) {
	w := newWorld(t, "dev", "staging")
	w.start(w.pipelineOf("dev", "staging"))
	w.push("v1.1.0")
	p := w.phase("staging", "v1.1.0", v1alpha1.PromotionAwaitingApproval)
	w.pull()
	main := w.head()
	w.sh("git", "checkout", "-q", "-B", "proposal", "origin/"+p.Status.PullRequest.Branch)
	w.file("backdoor", "x\n")
	w.sh("git", "add", "backdoor")
	w.sh("git", "commit", "-qm", "Add something")
	w.sh("git", "push", "-q", "origin", "HEAD:refs/heads/"+p.Status.PullRequest.Branch)
	w.annotate(&p, environments.NewRequest(environments.Approve, time.Now()))
	w.eventually("the approval is refused", func() (bool, string) {
		p := w.phase("staging", "v1.1.0", v1alpha1.PromotionAwaitingApproval)
		return strings.Contains(p.Status.Message, "not merged for you"), p.Status.Message
	})
	if w.head() != main {
		t.Error("the branch moved")
	}
}

// A branch that cannot be removed after its merge keeps nobody from watching the
// Release.
func TestIntegrationProposalBranchCannotBeRemoved(t *testing.T) {
	w := newWorld(t, "dev", "staging")
	w.start(w.pipelineOf("dev", "staging"))
	w.push("v1.1.0")
	p := w.phase("staging", "v1.1.0", v1alpha1.PromotionAwaitingApproval)
	w.git.Protect(p.Status.PullRequest.Branch)
	w.pull()
	w.sh("git", "merge", "-q", "--no-ff", "--no-edit", "origin/"+p.Status.PullRequest.Branch)
	w.sh("git", "push", "-q", "origin", "HEAD:main")
	w.phase("staging", "v1.1.0", v1alpha1.PromotionSucceeded)
}

// A person's no while the cluster takes a Release takes it back as one that
// failed; a word after the end is refused, and says so.
func TestIntegrationRejectTakesBack(t *testing.T) {
	w := newWorld(t, "dev")
	w.start(w.pipelineOf("dev"))
	before := w.overlay("dev")
	w.eventually("dev does not get to an end by itself", func() (bool, string) {
		var d appsv1.Deployment
		w.must(w.client.Get(t.Context(), client.ObjectKey{Namespace: w.namespace, Name: "app-dev"}, &d))
		one := int32(1)
		d.Spec.Replicas, d.Spec.Paused = &one, true
		if err := w.client.Update(t.Context(), &d); err != nil {
			return false, err.Error()
		}
		return true, ""
	})
	w.push("v1.1.0")
	p := w.phase("dev", "v1.1.0", v1alpha1.PromotionRollingOut)
	w.annotate(&p, environments.NewRequest(environments.Reject, time.Now()))
	back := w.phase("dev", "v1.1.0", v1alpha1.PromotionRolledBack)
	if back.Status.Failure != "rejected by ann" {
		t.Errorf("failure %q", back.Status.Failure)
	}
	if after := w.overlay("dev"); after != before {
		t.Errorf("dev's overlay is\n%s, and was\n%s", after, before)
	}
	w.eventually("the Release is quarantined", func() (bool, string) {
		waiting := w.environment("dev").Waiting
		return strings.Contains(waiting, "quarantined"), waiting
	})
	w.annotate(&back, environments.NewRequest(environments.Approve, time.Now()))
	w.eventually("the approval is refused", func() (bool, string) {
		after := w.phase("dev", "v1.1.0", v1alpha1.PromotionRolledBack)
		return after.Status.HandledRequest == back.Annotations[v1alpha1.AnnotationRequest], after.Status.HandledRequest
	})
	w.eventually("an event says so", func() (bool, string) {
		var events corev1.EventList
		w.must(w.client.List(t.Context(), &events, client.InNamespace(w.namespace)))
		for _, event := range events.Items {
			if event.Reason == "RequestRefused" && strings.Contains(event.Message, "it has ended (RolledBack)") {
				return true, ""
			}
		}
		return false, fmt.Sprintf("%d other events", len(events.Items))
	})
}

// A Pipeline reads no workload of a namespace that does not let it in, and
// writes nothing that it could not watch.
func TestIntegrationOtherNamespace(t *testing.T) {
	w := newWorld(t, "dev")
	w.start(w.pipelineOf("dev"))
	w.deployment(w.other, "app-dev")
	w.pull()
	w.file("overlays/dev/kustomization.yaml", "namespace: "+w.other+"\n"+w.read("overlays/dev/kustomization.yaml"))
	w.sh("git", "commit", "-qam", "Move dev to another namespace")
	w.sh("git", "push", "-q", "origin", "HEAD:main")
	moved := w.head()
	w.push("v1.1.0")
	var refused v1alpha1.Promotion
	w.eventually("the Promotion says that the namespace does not let it in", func() (bool, string) {
		for _, p := range w.promotions() {
			stalled := meta.FindStatusCondition(p.Status.Conditions, v1alpha1.ConditionStalled)
			if stalled != nil && stalled.Reason == "NamespaceNotAllowed" {
				refused = p
				return strings.Contains(stalled.Message, "annotate it with serin.dev/allow-pipelines-from"), stalled.Message
			}
		}
		return false, "no such condition"
	})
	if refused.Status.Phase != v1alpha1.PromotionWriting || w.head() != moved {
		t.Errorf("phase %s, and main is at %s, which was at %s", refused.Status.Phase, w.head(), moved)
	}
	w.eventually("the namespace lets Pipelines in", func() (bool, string) {
		var namespace corev1.Namespace
		w.must(w.client.Get(t.Context(), client.ObjectKey{Name: w.other}, &namespace))
		namespace.Annotations = map[string]string{v1alpha1.AnnotationAllowPipelines: w.namespace}
		if err := w.client.Update(t.Context(), &namespace); err != nil {
			return false, err.Error()
		}
		return true, ""
	})
	w.phase("dev", "v1.1.0", v1alpha1.PromotionSucceeded)
}
