package analysis

import (
	"fmt"
	"math"
	"time"

	"github.com/serin-gitops/serin/analysis/evidence"
	"github.com/serin-gitops/serin/analysis/workload"
	"github.com/serin-gitops/serin/environments"
)

// suspicion is the part of the failing evidence from which on a check no
// longer passes: the weight stays until the doubt is settled.
const suspicion = 0.1

// firstSamples is how long pods may run before their metrics are missed: two
// scrapes of Prometheus at its usual 15 s.
const firstSamples = 30 * time.Second

// judgeCheck gives one check's verdict from its state.
func judgeCheck(spec Spec, check Check, trial State, s CheckState, now time.Time) CheckVerdict {
	v := CheckVerdict{Name: check.Name, Kind: check.Kind, DryRun: check.DryRun, Outcome: Inconclusive}
	if err := check.Validate(); err != nil {
		v.Reason, v.Message = ReasonInvalidCheck, err.Error()
		return v
	}
	if s.Failed != nil {
		latched := *s.Failed
		latched.DryRun = check.DryRun
		return latched
	}
	if check.statistical() && s.Ratio != nil {
		v = s.doubt(check, judgeRatio(spec, check, *s.Ratio, s.History, v))
	} else {
		v = judgeOther(check, s, v)
	}
	if v.Outcome == Fail {
		return v
	}
	if ends := trial.Started.Add(check.InitialDelay); now.Before(ends) {
		v.Outcome, v.Proven, v.Reason = Inconclusive, false, ReasonInitialDelay
		v.Message = fmt.Sprintf("waits until the trial is %s old", environments.Span(check.InitialDelay))
		return v
	}
	return withhold(spec, check, trial, s, v, now)
}

func judgeOther(check Check, s CheckState, v CheckVerdict) CheckVerdict {
	switch {
	case len(s.Looks) > 0:
		failing, _ := check.rule()
		reason := ReasonProbesFailed
		switch check.Kind {
		case KindThreshold:
			reason = ReasonOutOfBounds
			v.Bound = check.Threshold.bound()
		case KindResources:
			reason = ReasonOverStable
		case KindWebhook:
			reason = ReasonGateFailed
		}
		return judgeLooks(v, s.Looks, failing, check.impatient(), reason)
	case s.Pods != nil:
		v.Outcome, v.Reason, v.Message = podOutcome[s.Pods.Health], Reason(s.Pods.Reason), s.Pods.Message
		v.Proven = v.Outcome == Pass
		v.Number, v.Bound = float64(s.Pods.Ready), float64(s.Pods.Pods)
		return v
	}
	v.Reason, v.Message = ReasonNoData, "nothing has been observed yet"
	return v
}

// podOutcome is what the health of the canary's pods means for the canary.
var podOutcome = map[workload.Health]Outcome{workload.Healthy: Pass, workload.Waiting: Inconclusive, workload.Failed: Fail}

// judgeRatio gives the verdict of a ratio or latency check.
func judgeRatio(spec Spec, check Check, r evidence.State, h History, v CheckVerdict) CheckVerdict {
	c := check.comparison()
	test := c.test()
	share := spec.share(check)
	limit := -math.Log(spec.alpha() * share)
	logE := r.LogEvidence(test)
	stable, canary := r.Stable, r.Canary
	v.Stable, v.Canary = &stable, &canary
	v.Number, v.Bound = canary.Rate(), stable.Rate()
	v.Evidence, v.Limit = math.Exp(logE), math.Exp(limit)
	what := check.noun()
	switch {
	case logE >= limit:
		v.Outcome, v.Reason = Fail, ReasonWorseThanStable
		if r.OverObjective(test) {
			v.Reason = ReasonOverObjective
			v.Bound = test.Objective
		}
		v.Message = failedMessage(what, test, r, h, v.Reason, logE)
	case r.StepCanary.Total < c.minRequests():
		v.Reason = ReasonTooFewRequests
		v.Message = fmt.Sprintf("the canary has answered %s requests in this step, %s are needed", number(r.StepCanary.Total), number(c.minRequests()))
	case logE >= limit+math.Log(suspicion):
		v.Reason = ReasonSuspicious
		v.Message = fmt.Sprintf("%s: %s odds of being chance, %s fail the check", compare(what, canary, stable), odds(logE), odds(limit))
	case r.Capped:
		v.Reason = ReasonSuspicious
		canary, stable := h.Recent(1)
		v.Message = fmt.Sprintf("lately %s: more than one window may prove, the next one tells", compare(what, canary, stable))
	default:
		v.Outcome, v.Reason = Pass, ReasonHealthy
		v.Proven = r.Proven(test, spec.beta()*share)
		v.Message = compare(what, canary, stable) + ": " + unproven(r, test)
		if v.Proven {
			v.Message = compare(what, canary, stable) + ": shown to be good"
		}
	}
	return v
}

// doubt keeps figures from proving anything that look as if the check asked for
// something else than it means.
func (s CheckState) doubt(check Check, v CheckVerdict) CheckVerdict {
	if v.Outcome != Pass || s.Through.IsZero() {
		return v
	}
	r := s.Ratio
	why := ""
	switch {
	case check.Ratio != nil && !s.Seen && r.Usual.Failed == 0:
		why = fmt.Sprintf("no series of %s was ever seen, so this proves nothing", clip(check.Ratio.Bad+check.Ratio.Good, 100))
	case r.Stable.Failed > 0 && r.Stable.Failed >= r.Stable.Total && r.Canary.Failed >= r.Canary.Total:
		why = "every request of both failed, so this proves nothing: look at what the check counts"
	default:
		return v
	}
	v.Proven = false
	v.Message = compare(check.noun(), r.Canary, r.Stable) + ": " + why
	return v
}

// withhold turns a verdict that rests on missing or old data into a hold.
func withhold(spec Spec, check Check, trial State, s CheckState, v CheckVerdict, now time.Time) CheckVerdict {
	if a := s.Absence; a != nil {
		return absentVerdict(spec, check, trial, *a, v, now)
	}
	if s.Through.IsZero() {
		if v.Reason != ReasonNoData {
			v.Outcome, v.Proven, v.Reason, v.Message = Inconclusive, false, ReasonNoData, "nothing has been observed yet"
		}
		return v
	}
	if v.Outcome != Pass {
		return v
	}
	if age := now.Sub(s.Through); age > s.fresh(check) {
		v.Outcome, v.Proven, v.Reason = Inconclusive, false, ReasonNoData
		v.Message = fmt.Sprintf("the newest data is %s old, %s is accepted", round(age), round(s.fresh(check)))
		return v
	}
	if since, expected := s.still(check, trial.Step); since > 0 && !check.NoDataPasses {
		v.Outcome, v.Proven, v.Reason = Inconclusive, false, ReasonNoData
		v.Message = fmt.Sprintf("no request of the canary was counted for %s, where about %s were expected: the counters stand still, or nobody asks", round(since), number(math.Round(expected)))
	}
	return v
}

func absentVerdict(spec Spec, check Check, trial State, a AbsenceState, v CheckVerdict, now time.Time) CheckVerdict {
	since := now.Sub(a.Since)
	doubtful := v.Reason == ReasonSuspicious || v.Reason == ReasonProbesFailing
	v.Outcome, v.Proven = Inconclusive, false
	switch a.Kind {
	case Outage:
		v.Freeze, v.Reason = true, ReasonSourceOutage
		v.Message = fmt.Sprintf("the source has been away for %s, the step's clock stands: %s", round(since), a.Message)
		if since >= spec.sourceLimit() {
			v.Reason = ReasonSourceLimit
			v.Message = fmt.Sprintf("the source has been away for %s, limit %s: mend it, or promote or abort the rollout: %s", round(since), spec.sourceLimit(), a.Message)
		}
		return v
	case BadQuery:
		v.Reason, v.Message = ReasonBadQuery, "the check cannot be asked as it is written: correct it; the trial of the next image uses it, and this one does once its AnalysisRun is deleted: "+a.Message
		return v
	case Pending:
		v.Reason, v.Message = ReasonGatePending, fmt.Sprintf("the gate has no answer yet, for %s: %s", round(since), a.Message)
		return v
	case NoSeries:
		v.Reason, v.Message = ReasonNoSeries, "no series matches; check the selector, the tenant in the source's headers if it has tenants, and that the pods are scraped: "+a.Message
		if now.Sub(trial.Step) < max(firstSamples, 2*check.interval()) {
			v.Message = "waits for the first samples of new pods: " + a.Message
		}
	case Partial:
		v.Reason, v.Message = ReasonPartialData, "the source gave a partial answer, which is not counted: "+a.Message
	default:
		v.Reason, v.Message = ReasonNoData, "no data: "+a.Message
	}
	if check.NoDataPasses && a.Kind != Partial && !doubtful {
		v.Outcome = Pass
		v.Message += " (accepted by this check)"
	}
	return v
}

// conclude folds the checks' verdicts: a failure decides, then a frozen clock,
// then a hold.
func conclude(checks []CheckVerdict) Verdict {
	v := Verdict{Outcome: Pass, Proven: true, Reason: ReasonHealthy, Checks: checks}
	var fail, freeze, hold, only *CheckVerdict
	// Looks that went well prove nothing: proof is of a statistical check.
	deciding, proof := 0, false
	for i := range checks {
		c := &checks[i]
		if c.DryRun {
			continue
		}
		deciding++
		only = c
		v.Proven = v.Proven && c.Proven
		proof = proof || c.Proven && (Check{Kind: c.Kind}).statistical()
		v.Freeze = v.Freeze || c.Freeze
		v.NeedsPerson = v.NeedsPerson || c.Reason == ReasonSourceLimit || c.Reason == ReasonBadQuery || c.Reason == ReasonInvalidCheck
		switch {
		case c.Outcome == Fail && fail == nil:
			fail = c
		case c.Freeze && freeze == nil:
			freeze = c
		case c.Outcome == Inconclusive && hold == nil:
			hold = c
		}
	}
	v.Proven = v.Proven && proof
	decider := first(fail, freeze, hold)
	if decider == nil {
		switch deciding {
		case 0:
			v.Message = "no check decides"
		case 1:
			v.Message = fmt.Sprintf("check %s passes: %s", only.Name, only.Message)
		default:
			v.Message = fmt.Sprintf("all %d checks pass", deciding)
		}
		return v
	}
	v.Outcome, v.Reason, v.Proven = decider.Outcome, decider.Reason, false
	v.Message = fmt.Sprintf("check %s: %s", decider.Name, decider.Message)
	return v
}

func first(candidates ...*CheckVerdict) *CheckVerdict {
	for _, c := range candidates {
		if c != nil {
			return c
		}
	}
	return nil
}

func (s Spec) alpha() float64 {
	if s.Alpha > 0 {
		return s.Alpha
	}
	return DefaultAlpha
}

func (s Spec) beta() float64 {
	if s.Beta > 0 {
		return s.Beta
	}
	return DefaultBeta
}

func (s Spec) sourceLimit() time.Duration {
	if s.SourceLimit > 0 {
		return s.SourceLimit
	}
	return DefaultSourceLimit
}

// share is the part of alpha and beta that a check may spend. Dry runs spend
// none of the others'.
func (s Spec) share(check Check) float64 {
	total := 0.0
	for _, c := range s.Checks {
		if c.statistical() && (!c.DryRun || c.Name == check.Name) {
			total += c.weight()
		}
	}
	if total <= 0 {
		return 1
	}
	return check.weight() / total
}

// Alone gives the analysis that asks only one of the checks, with the part of
// alpha and beta that it may spend among the others.
func (s Spec) Alone(check Check) Spec {
	share := s.share(check)
	return Spec{Alpha: s.alpha() * share, Beta: s.beta() * share, SourceLimit: s.SourceLimit, Checks: []Check{check}}
}

func (c Check) weight() float64 {
	if c.Weight > 0 {
		return c.Weight
	}
	return 1
}
