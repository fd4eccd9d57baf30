//go:build scenarios

package scenarios

import (
	"context"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/serin-gitops/serin/api/v1alpha1"
	"github.com/serin-gitops/serin/e2e/images"
	"github.com/serin-gitops/serin/e2e/world"
)

// TestRejected: a person deletes the proposal's branch; the promotion is
// Rejected and the branch is not made again for that Release.
func TestRejected(t *testing.T) {
	l := beside(t, "rejected")
	ctx := t.Context()
	version := l.push(t, images.Good)
	promotion, err := l.WaitPhase(ctx, "staging", version, long, v1alpha1.PromotionAwaitingApproval)
	must(t, err)
	must(t, l.Git.DeleteBranch(ctx, promotion.Status.PullRequest.Branch))
	_, err = l.WaitPhase(ctx, "staging", version, long, v1alpha1.PromotionRejected)
	must(t, err)
	// The Pipeline looks again and again; the branch must stay away.
	observed := time.Now()
	must(t, world.Eventually(ctx, long, "20 s without a new branch", func(ctx context.Context) (string, error) {
		branches, err := l.Git.Branches(ctx)
		if err != nil {
			return "", err
		}
		for _, branch := range branches {
			if branch == promotion.Status.PullRequest.Branch {
				t.Fatalf("branch %s was made again", branch)
			}
		}
		if time.Since(observed) < 20*time.Second {
			return "still watching", nil
		}
		return "", nil
	}))
	// A newer Release is proposed again.
	_, err = l.WaitPhase(ctx, "staging", l.push(t, images.Good), long, v1alpha1.PromotionAwaitingApproval)
	must(t, err)
}

// TestHeld: a person's revert is respected until a newer Release comes.
func TestHeld(t *testing.T) {
	l := beside(t, "held")
	ctx := t.Context()
	version := l.push(t, images.Good)
	_, err := l.WaitPhase(ctx, "dev", version, long, v1alpha1.PromotionSucceeded)
	must(t, err)
	must(t, l.Git.Revert(ctx, overlayPath("dev")))
	must(t, world.Eventually(ctx, long, "dev to be held", func(ctx context.Context) (string, error) {
		pipeline, err := l.ThePipeline(ctx)
		if err != nil {
			return "", err
		}
		for _, e := range pipeline.Status.Environments {
			if e.Name == "dev" && e.Held != "" {
				t.Logf("held: %s", e.Held)
				return "", nil
			}
		}
		return "it is not", nil
	}))
	if text := l.overlay(t, "dev"); strings.Contains(text, version) {
		t.Errorf("the revert was not respected:\n%s", text)
	}
	must(t, l.WaitHealthy(ctx, "dev", l.push(t, images.Good), long))
}

// TestBrokenOverlay: an overlay that does not render stops the promotion with
// the file's name, and nothing is written.
func TestBrokenOverlay(t *testing.T) {
	l := beside(t, "broken")
	ctx := t.Context()
	good := l.overlay(t, "dev")
	must(t, l.Git.Commit(ctx, "A file that is not there", overlayPath("dev"), func(text []byte) []byte {
		return []byte(strings.Replace(string(text), "../../components/hostpath", "../../components/missing-file.yaml", 1))
	}))
	tip, err := l.Git.Tip(ctx)
	must(t, err)
	version := l.push(t, images.Good)
	must(t, world.Eventually(ctx, long, "the promotion to name the file", func(ctx context.Context) (string, error) {
		promotion, err := l.Promotion(ctx, "dev", version)
		if err != nil || promotion == nil {
			return "there is no promotion", err
		}
		if strings.Contains(promotion.Status.Message, "missing-file.yaml") {
			t.Logf("%s: %s", promotion.Status.Phase, promotion.Status.Message)
			return "", nil
		}
		return "it says: " + promotion.Status.Message, nil
	}))
	now, err := l.Git.Tip(ctx)
	must(t, err)
	if now != tip {
		t.Errorf("the branch moved from %s to %s although the overlay does not render", tip, now)
	}
	must(t, l.Git.Commit(ctx, "Without that file", overlayPath("dev"), func([]byte) []byte { return []byte(good) }))
	must(t, l.WaitHealthy(ctx, "dev", l.push(t, images.Good), long))
}

// TestWrongCredentials: the Pipeline says so, without the secret, and others go
// on.
func TestWrongCredentials(t *testing.T) {
	l := beside(t, "credentials")
	ctx := t.Context()
	const secret = "not-the-password-4711"
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "wrong-", Labels: map[string]string{world.DemoLabel: "true"}}}
	must(t, w.Client.Create(ctx, namespace))
	t.Cleanup(func() {
		if err := w.Client.Delete(context.WithoutCancel(ctx), namespace); err != nil {
			t.Error(err)
		}
	})
	must(t, w.Client.Create(ctx, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace.Name, Name: "deploy"},
		StringData: map[string]string{"username": "deploy", "password": secret},
	}))
	original, err := l.ThePipeline(ctx)
	must(t, err)
	pipeline := &v1alpha1.Pipeline{ObjectMeta: metav1.ObjectMeta{Namespace: namespace.Name, Name: "wrong"}, Spec: original.Spec}
	must(t, w.Client.Create(ctx, pipeline))
	must(t, world.Eventually(ctx, long, "the Pipeline to say what is wrong", func(ctx context.Context) (string, error) {
		if err := w.Client.Get(ctx, types.NamespacedName{Namespace: namespace.Name, Name: "wrong"}, pipeline); err != nil {
			return "", err
		}
		ready := meta.FindStatusCondition(pipeline.Status.Conditions, v1alpha1.ConditionReady)
		if ready == nil || ready.Status == metav1.ConditionTrue {
			return "it is " + "Ready, or says nothing", nil
		}
		if !strings.Contains(ready.Message, "credentials") {
			return "it says: " + ready.Message, nil
		}
		t.Logf("%s: %s", ready.Reason, ready.Message)
		if strings.Contains(ready.Message, secret) {
			t.Errorf("the message holds the secret")
		}
		return "", nil
	}))
	must(t, w.Client.Delete(ctx, pipeline))
	must(t, world.Eventually(ctx, long, "the Pipeline to be gone", func(ctx context.Context) (string, error) {
		err := w.Client.Get(ctx, client.ObjectKeyFromObject(pipeline), pipeline)
		if apierrors.IsNotFound(err) {
			return "", nil
		}
		return "it is still there", err
	}))
	must(t, l.WaitHealthy(ctx, "dev", l.push(t, images.Good), long))
}
