package analysisrun

import (
	"context"
	"fmt"
	"time"

	"github.com/serin-gitops/serin/analysis"
	"github.com/serin-gitops/serin/api/v1alpha1"
	"github.com/serin-gitops/serin/controllers/rollout"
)

// Question is what a webhook check asks a gate.
type Question struct {
	Namespace, Rollout, Workload string
	Trial                        int64
	// Step is the index of the step, Weight its weight in percent.
	Step, Weight int32
	// Serving says that the canary is given traffic now.
	Serving        bool
	Stable, Canary v1alpha1.Revision
	Args           map[string]string
	// Credentials are in the Secret of the namespace; nil where there are none.
	Credentials *v1alpha1.LocalReference
}

// Gate asks gates and tests outside.
type Gate interface {
	// Ask gives the observation of a webhook check at now. It fails with an
	// Absence within the observation, and takes a few of the check's time-outs
	// at most.
	Ask(ctx context.Context, check analysis.Check, q Question, now time.Time) analysis.Observation
}

// patience is how long a look waits for a gate. One that is slower answers a
// later look, so that a crash is seen and other checks are judged meanwhile.
const patience = time.Second

// asking is the last question to a gate.
type asking struct {
	at time.Time
	// about is what a new question is due for at once when it changes.
	about string
	// answer brings one observation; nil once it was taken.
	answer chan analysis.Observation
	stop   context.CancelFunc
}

// gate asks where the check's interval is over, or where the rollout has gone
// on since. A gate that was asked about the present step and has not answered
// yet is pending, whatever it said of the step before.
func (a *Analyst) gate(ctx context.Context, r *record, check analysis.Check, state analysis.State, trial rollout.Trial) []analysis.Observation {
	if len(up(trial.Canary)) == 0 || trial.Now.Before(state.Started.Add(check.InitialDelay)) {
		return nil
	}
	question := questionOf(r, check.Name, trial)
	about := fmt.Sprintf("step %d, weight %d%%, serving %t", question.Step, question.Weight, question.Serving)
	last := r.gates[check.Name]
	if last == nil || last.answer == nil && (last.about != about || trial.Now.Sub(last.at) >= check.Interval) {
		repeated := last != nil && last.about == about
		last = a.begin(ctx, check, question, trial.Now)
		last.about = about
		r.gates[check.Name] = last
		return last.wait(ctx, check, trial.Now, repeated)
	}
	if last.answer == nil {
		return nil
	}
	return last.wait(ctx, check, trial.Now, last.about == about && through(state, check.Name).After(trial.StepStarted))
}

// begin asks in the background: a gate may take longer than a look.
func (a *Analyst) begin(ctx context.Context, check analysis.Check, q Question, now time.Time) *asking {
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	answer := make(chan analysis.Observation, 1)
	go func() {
		defer stop()
		answer <- a.Gate.Ask(ctx, check, q, now)
	}()
	return &asking{at: now, answer: answer, stop: stop}
}

// wait takes the answer if it comes soon. Until it does, a gate that has
// answered the same before is left at that.
func (k *asking) wait(ctx context.Context, check analysis.Check, now time.Time, repeated bool) []analysis.Observation {
	window := analysis.Window{Start: now, End: now}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case o := <-k.answer:
		k.answer, o.Window = nil, window
		return []analysis.Observation{o}
	case <-timer.C:
	case <-ctx.Done():
	}
	if repeated {
		return nil
	}
	return []analysis.Observation{{Check: check.Name, Window: window, Absence: &analysis.Absence{
		Kind: analysis.Pending, Message: "it was asked about " + k.about + ", and does not answer yet"}}}
}

func questionOf(r *record, check string, trial rollout.Trial) Question {
	ro := trial.Rollout
	q := Question{
		Namespace: ro.Namespace, Rollout: ro.Name, Workload: ro.Spec.WorkloadRef.Name, Trial: r.run.Spec.Trial,
		Step: ro.Status.Step, Weight: ro.Status.Weight, Serving: trial.Serving, Stable: r.run.Spec.Stable, Canary: r.run.Spec.Canary,
	}
	for _, c := range r.run.Spec.Checks {
		if c.Name == check && c.Webhook != nil {
			q.Args, q.Credentials = c.Webhook.Args, c.Webhook.SecretRef
		}
	}
	return q
}

// close stops what is still asked.
func (r *record) close() {
	for _, k := range r.gates { // in any order: all are stopped
		k.stop()
	}
}
