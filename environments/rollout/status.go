package rollout

import (
	"slices"
	"time"

	"github.com/serin-gitops/serin/environments"
)

// Phase is how far a rollout is.
type Phase string

// The phases.
const (
	Healthy     Phase = "Healthy"
	Starting    Phase = "Starting"
	Progressing Phase = "Progressing"
	Paused      Phase = "Paused"
	Finalising  Phase = "Finalising"
	Baking      Phase = "Baking"
	RollingBack Phase = "RollingBack"
	RolledBack  Phase = "RolledBack"
)

// OnTrial says whether steps are being taken.
func (p Phase) OnTrial() bool { return p == Starting || p == Progressing || p == Paused }

// Watched says whether the canary, or the new revision that bakes, is judged.
func (p Phase) Watched() bool { return p.OnTrial() || p == Finalising || p == Baking }

// Revision is one pod template.
type Revision struct {
	// TemplateHash is Serin's own hash of it.
	TemplateHash string
	// PodTemplateHash is the label value that the native controller gives its
	// pods, where known.
	PodTemplateHash string
	Images          []string
}

// Why a clock stands still.
const (
	ClockPaused = "Paused"
	ClockFrozen = "Frozen"
	// ClockBlocked: by an Obstacle.
	ClockBlocked = "Blocked"
	// ClockWaiting: for a person.
	ClockWaiting = "Waiting"
)

// Status is what cannot be observed again. It is written before it is acted on.
type Status struct {
	Phase   Phase
	Message string
	// Stable serves. It changes only when the bake of another revision ended.
	Stable Revision
	// Canary is on trial, or was rejected last.
	Canary Revision
	// Trial counts the trials.
	Trial int64
	// Step is the index of the step, from 0.
	Step int
	// Weight asked for.
	Weight environments.Weight
	// Failure is why the trial failed.
	Failure string
	// Unfinished is why the trial ended with no word against the revision, which
	// is held until a person asks for another trial.
	Unfinished string
	Verdict    Outcome
	Evidence   []string
	// PauseAsked says that a person asked to pause.
	PauseAsked bool
	// Approved says that a person approved, or skipped, the step.
	Approved bool
	// Resets counts how often another writer reset the route in this trial.
	Resets int
	// FloorResets counts how often another writer lowered the autoscaler's floor
	// in this trial.
	FloorResets int
	// StableTemplate is the template to return to where the workload keeps none.
	StableTemplate string
	// HandledRequest is the ID of the last request that was carried out.
	HandledRequest string

	TrialStarted time.Time
	PhaseSince   time.Time
	// StepStarted is when the weight of the step was reached.
	StepStarted time.Time
	// DrainStarted is when the canary was first seen without traffic after it
	// passed or failed.
	DrainStarted time.Time
	// Clock is how much of the step's, or the bake's, time is used up.
	Clock time.Duration
	// TrialClock is how much of the trial's time is used up.
	TrialClock time.Duration
	// Undecided is how long the verdict of the trial has been Inconclusive without
	// a break.
	Undecided time.Duration
	// ClockAt is when the clocks were last brought forward.
	ClockAt time.Time
	// ClockStopped is why the clocks stand still, or empty.
	ClockStopped string
}

// Times a clock is kept by.
const (
	// heartbeat is how often a running clock, or a message with new numbers, is
	// written where nothing else changed.
	heartbeat = 10 * time.Second
	// longestLook is how much time one look may count for, where looks are not
	// further apart. While nobody looked (Serin was down) the clocks stand still.
	longestLook = 30 * time.Second
)

// forward brings the clocks up to now, by longest at most.
func (s *Status) forward(now time.Time, longest time.Duration) {
	if !s.ClockAt.IsZero() && s.ClockStopped == "" {
		passed := min(max(now.Sub(s.ClockAt), 0), longest)
		s.TrialClock += passed
		if !s.StepStarted.IsZero() {
			s.Clock += passed
		}
		if s.Verdict == Inconclusive && s.Phase.OnTrial() {
			s.Undecided += passed
		}
	}
	s.ClockAt = now
}

// enter changes the phase.
func (s *Status) enter(phase Phase, now time.Time) {
	if s.Phase != phase {
		s.Phase, s.PhaseSince = phase, now
	}
}

// settled is next, or before where nothing changed but clocks and numbers and
// the last write is no heartbeat ago: a rollout that only waits is not written
// at every look.
func settled(before, next Status, now time.Time) Status {
	calm := next
	calm.Clock, calm.TrialClock, calm.Undecided, calm.ClockAt = before.Clock, before.TrialClock, before.Undecided, before.ClockAt
	if next.Phase.Watched() && before.Message != "" {
		calm.Message, calm.Evidence = before.Message, before.Evidence
	}
	if !equal(calm, before) {
		return next
	}
	if next.Phase.Watched() && now.Sub(before.ClockAt).Abs() >= heartbeat {
		return next
	}
	return before
}

func equal(a, b Status) bool {
	return a.Phase == b.Phase && a.Message == b.Message && a.Stable.equal(b.Stable) && a.Canary.equal(b.Canary) &&
		a.Trial == b.Trial && a.Step == b.Step && a.Weight == b.Weight && a.Failure == b.Failure &&
		a.Unfinished == b.Unfinished && a.FloorResets == b.FloorResets && a.StableTemplate == b.StableTemplate &&
		a.Verdict == b.Verdict && slices.Equal(a.Evidence, b.Evidence) && a.PauseAsked == b.PauseAsked &&
		a.Approved == b.Approved && a.Resets == b.Resets && a.HandledRequest == b.HandledRequest &&
		a.TrialStarted.Equal(b.TrialStarted) && a.PhaseSince.Equal(b.PhaseSince) && a.StepStarted.Equal(b.StepStarted) &&
		a.DrainStarted.Equal(b.DrainStarted) && a.Clock == b.Clock && a.TrialClock == b.TrialClock &&
		a.Undecided == b.Undecided &&
		a.ClockAt.Equal(b.ClockAt) && a.ClockStopped == b.ClockStopped
}

func (r Revision) equal(o Revision) bool {
	return r.TemplateHash == o.TemplateHash && r.PodTemplateHash == o.PodTemplateHash && slices.Equal(r.Images, o.Images)
}
