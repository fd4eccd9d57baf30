package pipeline

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/serin-gitops/serin/api/v1alpha1"
	"github.com/serin-gitops/serin/controllers/internal/convert"
	"github.com/serin-gitops/serin/controllers/internal/status"
	"github.com/serin-gitops/serin/controllers/internal/trouble"
	"github.com/serin-gitops/serin/environments"
)

// report writes the status once, and says when to look again.
func (r *Reconciler) report(ctx context.Context, s *scope, plan environments.PipelinePlan) (ctrl.Result, error) {
	next := s.pipeline.DeepCopy()
	next.Status.ObservedGeneration = next.Generation
	next.Status.Images = keepChecked(s.pipeline.Status.Images, s.images)
	next.Status.LatestRelease = latest(s.releases)
	next.Status.Environments = s.environments(plan)
	if handled := next.Annotations[v1alpha1.AnnotationRequest]; plan.Handled != "" || s.refused() {
		next.Status.HandledRequest = handled
	}
	if plan.Refused != "" {
		s.troubles = append(s.troubles, &trouble.Trouble{Reason: "RequestRefused", Message: plan.Refused, Stalled: true})
	}
	s.conditions(next)
	changed, err := status.Patch(ctx, r.Client, s.pipeline, next)
	if err != nil {
		return ctrl.Result{}, err
	}
	if changed {
		r.tell(s, next)
	}
	if !plan.Again.IsZero() {
		s.sooner(plan.Again.Sub(s.now))
	}
	for _, t := range s.troubles {
		if t.Err != nil {
			return ctrl.Result{}, t.Err
		}
	}
	return ctrl.Result{RequeueAfter: s.again}, nil
}

func (s *scope) refused() bool {
	return slices.ContainsFunc(s.troubles, func(t *trouble.Trouble) bool { return t.Reason == "RequestRefused" })
}

// keepChecked leaves the time of the last look as it was where nothing else
// changed: a status that is written at every look would wake everyone.
func keepChecked(before, after []v1alpha1.ImageStatus) []v1alpha1.ImageStatus {
	for i := range after {
		at := slices.IndexFunc(before, func(b v1alpha1.ImageStatus) bool {
			return b.ImageReference == after[i].ImageReference && b.Reason == after[i].Reason
		})
		if at >= 0 {
			after[i].Checked = before[at].Checked
		}
	}
	return after
}

// latest is the newest Release.
func latest(releases []v1alpha1.Release) string {
	if len(releases) == 0 {
		return ""
	}
	return slices.MaxFunc(releases, func(a, b v1alpha1.Release) int { return cmp.Compare(a.Spec.Sequence, b.Spec.Sequence) }).Name
}

// environments as they are reported. A Promotion that was created just now is
// the newest already.
func (s *scope) environments(plan environments.PipelinePlan) []v1alpha1.EnvironmentStatus {
	reports := make([]v1alpha1.EnvironmentStatus, 0, len(plan.Environments))
	for _, e := range plan.Environments {
		report := v1alpha1.EnvironmentStatus{
			Name: e.Name, Release: e.Release, Promotion: e.Promotion, Phase: v1alpha1.PromotionPhase(e.Phase),
			Held: e.Hold.Reason, HeldRelease: e.Hold.Release, Accepted: e.Hold.Accepted,
			Waiting: e.Waiting, Images: convert.References(e.Images),
		}
		if plan.Create != nil && plan.Create.Environment == e.Name {
			report.Promotion, report.Phase = plan.Create.Name, v1alpha1.PromotionPending
		}
		if report.Promotion != "" && report.Phase == "" {
			report.Phase = v1alpha1.PromotionPending
		}
		reports = append(reports, report)
	}
	return reports
}

// conditions say whether the Pipeline works, and what it is at.
func (s *scope) conditions(next *v1alpha1.Pipeline) {
	conditions := &next.Status.Conditions
	if len(s.troubles) == 0 {
		reason := "UpToDate"
		if next.Spec.Suspend {
			reason = "Suspended"
		}
		status.Ready(conditions, next.Generation, reason, s.summary(next.Status.Environments))
		return
	}
	stalled := true
	texts := make([]string, 0, len(s.troubles))
	for _, t := range s.troubles {
		stalled = stalled && t.Stalled
		if !slices.Contains(texts, t.Message) {
			texts = append(texts, t.Message)
		}
	}
	write := status.Failing
	if stalled {
		write = status.Stalled
	}
	write(conditions, next.Generation, s.troubles[0].Reason, strings.Join(texts, "; "))
}

// summary is one line over all Environments.
func (s *scope) summary(reports []v1alpha1.EnvironmentStatus) string {
	texts := make([]string, 0, len(reports))
	for _, e := range reports {
		text := e.Name + " " + tags(e.Images)
		switch {
		case e.Held != "":
			text += " (held)"
		case e.Phase != "" && !environments.Phase(e.Phase).Ended():
			text += fmt.Sprintf(" (%s: %s)", s.tagsOf(e.Promotion), words[e.Phase])
		case e.Waiting != "":
			text += " (" + s.byTags(e.Waiting) + ")"
		}
		texts = append(texts, text)
	}
	if s.pipeline.Spec.Suspend {
		texts = append([]string{"suspended"}, texts...)
	}
	return strings.Join(texts, ", ")
}

// byTags shortens a text that begins with a Release's name: its tags name it
// for people.
func (s *scope) byTags(text string) string {
	for _, release := range s.releases {
		if rest, found := strings.CutPrefix(text, "Release "+release.Name+": "); found {
			return convert.Release(release).Tags() + ": " + rest
		}
	}
	return text
}

func tags(refs []v1alpha1.ImageReference) string {
	if len(refs) == 0 {
		return "nothing"
	}
	return environments.Release{Images: convert.Images(refs)}.Tags()
}

// tagsOf names a Promotion's Release for people.
func (s *scope) tagsOf(promotion string) string {
	for _, p := range s.promotions {
		if p.Name != promotion {
			continue
		}
		for _, release := range s.releases {
			if release.Name == p.Spec.Release {
				return convert.Release(release).Tags()
			}
		}
	}
	return promotion
}

// words for phases, for people.
var words = map[v1alpha1.PromotionPhase]string{
	"":                                 "pending",
	v1alpha1.PromotionPending:          "pending",
	v1alpha1.PromotionWriting:          "writing",
	v1alpha1.PromotionAwaitingApproval: "awaits approval",
	v1alpha1.PromotionApplying:         "applying",
	v1alpha1.PromotionRollingOut:       "rolling out",
	v1alpha1.PromotionSoaking:          "baking",
	v1alpha1.PromotionSucceeded:        "ok",
	v1alpha1.PromotionFailed:           "failed",
	v1alpha1.PromotionRollingBack:      "rolling back",
	v1alpha1.PromotionRolledBack:       "rolled back",
	v1alpha1.PromotionSuperseded:       "superseded",
	v1alpha1.PromotionRejected:         "rejected",
}

// tell sends an event where an Environment was held or a hold ended, and where
// trouble began.
func (r *Reconciler) tell(s *scope, next *v1alpha1.Pipeline) {
	for _, e := range next.Status.Environments {
		before := s.hold(e.Name)
		switch {
		case before.Reason == "" && e.Held != "":
			status.Event(r.Recorder, next, status.Warning, "Held", e.Name+": "+e.Held)
		case before.Reason != "" && e.Held == "":
			status.Event(r.Recorder, next, status.Normal, "HoldEnded", e.Name+" is promoted to again")
		}
	}
	if len(s.troubles) > 0 {
		status.Event(r.Recorder, next, status.Warning, s.troubles[0].Reason, s.troubles[0].Message)
	}
}

// reportReleases writes how far each Release is in each Environment.
func (r *Reconciler) reportReleases(ctx context.Context, s *scope) error {
	for i := range s.releases {
		release := &s.releases[i]
		if release.ResourceVersion == "" {
			continue
		}
		next := release.DeepCopy()
		next.Status.Environments = s.passage(release.Name)
		next.Status.Summary = summarize(next.Status.Environments)
		switch q := next.Status.Quarantined; {
		case q != nil:
			status.Stalled(&next.Status.Conditions, next.Generation, "Quarantined", fmt.Sprintf("rejected in %s: %s", strings.Join(append([]string{q.Environment}, q.AlsoIn...), ", "), q.Reason))
		case next.Status.Summary == "":
			status.Reconciling(&next.Status.Conditions, next.Generation, "Waiting", "no Environment has it yet")
		default:
			status.Ready(&next.Status.Conditions, next.Generation, "Released", next.Status.Summary)
		}
		if _, err := status.Patch(ctx, r.Client, release, next); err != nil {
			return err
		}
	}
	return nil
}

// passage of a Release through the Environments, in the Pipeline's order, by its
// newest Promotion in each.
func (s *scope) passage(release string) []v1alpha1.ReleaseEnvironment {
	var passage []v1alpha1.ReleaseEnvironment
	for _, e := range s.pipeline.Spec.Environments {
		var newest *v1alpha1.Promotion
		var succeeded *metav1.Time
		for i := range s.promotions {
			p := &s.promotions[i]
			if p.Spec.Release != release || p.Spec.Environment != e.Name {
				continue
			}
			if newest == nil || p.Spec.Number > newest.Spec.Number {
				newest = p
			}
			if at := p.Status.Succeeded; at != nil && (succeeded == nil || at.Before(succeeded)) {
				succeeded = at
			}
		}
		if newest == nil {
			continue
		}
		entry := v1alpha1.ReleaseEnvironment{Name: e.Name, Phase: newest.Status.Phase, Promotion: newest.Name, Succeeded: succeeded}
		if entry.Phase == "" {
			entry.Phase = v1alpha1.PromotionPending
		}
		passage = append(passage, entry)
	}
	return passage
}

func summarize(passage []v1alpha1.ReleaseEnvironment) string {
	texts := make([]string, 0, len(passage))
	for _, e := range passage {
		texts = append(texts, e.Name+" "+words[e.Phase])
	}
	return strings.Join(texts, ", ")
}
