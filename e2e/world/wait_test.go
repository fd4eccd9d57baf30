package world

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// What was missing is told even where the last look failed, as it does when the
// limit cuts it short.
func TestEventuallySaysWhatWasMissing(t *testing.T) {
	looks := 0
	why := errors.New("the limiter says no")
	err := Eventually(t.Context(), 3*poll, "the end", func(context.Context) (string, error) {
		if looks++; looks > 1 {
			return "", why
		}
		return "two are left", nil
	})
	if !errors.Is(err, why) || !strings.Contains(err.Error(), "two are left") {
		t.Errorf("got %v", err)
	}
}

func TestEventuallyEnds(t *testing.T) {
	looks := 0
	if err := Eventually(t.Context(), time.Minute, "the end", func(context.Context) (string, error) {
		looks++
		return missingUnless(looks > 2, "not yet"), nil
	}); err != nil || looks != 3 {
		t.Errorf("%v after %d looks", err, looks)
	}
}

func TestHindrances(t *testing.T) {
	pods := []corev1.Pod{
		{ObjectMeta: metav1.ObjectMeta{Name: "a"}, Status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{
			{State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ImagePullBackOff", Message: "no such image"}}},
			{State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}},
		}}},
		{ObjectMeta: metav1.ObjectMeta{Name: "b"}, Status: corev1.PodStatus{Conditions: []corev1.PodCondition{
			{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Message: "the node has a full disk"},
		}}},
		{ObjectMeta: metav1.ObjectMeta{Name: "c"}, Status: corev1.PodStatus{Reason: "Evicted", Message: "low on nodefs"}},
	}
	want := "; pod a: ImagePullBackOff no such image; pod b: the node has a full disk; pod c: Evicted: low on nodefs"
	if got := hindrances(pods); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
