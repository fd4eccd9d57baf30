package promotion

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/serin-gitops/serin/api/v1alpha1"
	"github.com/serin-gitops/serin/controllers/internal/convert"
	"github.com/serin-gitops/serin/environments"
)

func release(name, tag, revision string) v1alpha1.Release {
	return v1alpha1.Release{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: v1alpha1.ReleaseSpec{Images: []v1alpha1.ReleaseImage{{
			ImageReference: v1alpha1.ImageReference{Repository: "registry.test/acme/app", Tag: tag},
			Revision:       revision, Source: "https://git.example.com/acme/app.git",
		}}},
	}
}

func approved(t *testing.T) *scope {
	t.Helper()
	v1, v2 := release("app-v1", "v1", "aaa"), release("app-v2", "v2", "bbb")
	at := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	return &scope{
		pipeline:    &v1alpha1.Pipeline{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "app"}},
		release:     &v2,
		releasesRaw: []v1alpha1.Release{v1, v2},
		environment: environments.Environment{Name: "prod", After: []string{"staging"}, Soak: time.Hour},
		record: environments.Promotion{
			Name: "app-prod-v2-1", Environment: "prod", Release: "app-v2",
			Previous: convert.Release(v1).Images, Failure: "canary 37 of 412 requests failed\nsecond line",
		},
		rivals: []environments.Promotion{{
			Environment: "staging", Release: "app-v2", Phase: environments.Succeeded, Succeeded: at,
			Message: "runs well: 2 workloads", Evidence: []string{"errors: Pass: canary 0 of 900"},
		}},
	}
}

func TestPageSaysWhatAnApproverNeeds(t *testing.T) {
	s := approved(t)
	page := s.page(s.promotes(convert.Release(*s.release).Images), "--- a\n```\n+++ b\n")
	for _, says := range []string{
		"registry.test/acme/app:v2\n  in place of app:v1\n", "from revision bbb (https://git.example.com/acme/app/compare/aaa...bbb)",
		"In staging since 2026-03-02 09:00:00 UTC: runs well: 2 workloads", "errors: Pass: canary 0 of 900",
		"succeeded in staging; ran there for 1h.", "````diff", "Promotion `app-prod-v2-1`",
	} {
		if !strings.Contains(page, says) {
			t.Errorf("the page does not say %q:\n%s", says, page)
		}
	}
	if long := s.page(message{}, strings.Repeat("x", 3*maxDiff)); len(long) > 2*maxDiff {
		t.Errorf("a page of %d bytes", len(long))
	}
}

func TestRollbackCommitCarriesTheRejection(t *testing.T) {
	s := approved(t)
	words := s.rollsBack(s.record.Previous)
	if words.subject != "Roll prod back to app:v1" {
		t.Errorf("subject %q", words.subject)
	}
	trailers := map[string]string{}
	for _, trailer := range words.trailers {
		trailers[trailer.Key] = trailer.Value
		if strings.Contains(trailer.Value, "\n") {
			t.Errorf("the trailer %s has two lines", trailer.Key)
		}
	}
	for key, want := range map[string]string{
		environments.TrailerRejected: "registry.test/acme/app:v2", environments.TrailerPipeline: "team/app",
		environments.TrailerReason: "canary 37 of 412 requests failed second line",
	} {
		if trailers[key] != want {
			t.Errorf("trailer %s is %q, want %q", key, trailers[key], want)
		}
	}
}
