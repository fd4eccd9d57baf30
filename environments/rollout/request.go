package rollout

import "fmt"

// Refusal says why a request cannot be carried out on a Rollout in this phase;
// empty where it may be. unfinished is why its last trial came to no verdict, if it
// did. What else a request depends on, such as the verdict, Decide finds.
func Refusal(verb Verb, phase Phase, unfinished string) string {
	var applies bool
	var takes string
	switch verb {
	case Abort:
		applies = phase.Watched() || phase == RolledBack && unfinished != ""
		takes = "a trial, a bake, or a trial that came to no verdict can be aborted"
	case Pause, Resume, Skip:
		applies = phase.OnTrial()
		takes = fmt.Sprintf("only a trial takes %s (%s, %s, %s)", verb, Starting, Progressing, Paused)
	case Promote:
		applies = phase.OnTrial() || phase == Baking
		takes = "only a trial or a bake can be ended by promoting"
	case Retry:
		applies = phase == RolledBack
		takes = "only a revision that was rolled back can be tried again"
	default:
		return fmt.Sprintf("%q is unknown; use %s, %s, %s, %s, %s or %s", verb, Abort, Pause, Resume, Skip, Promote, Retry)
	}
	if applies {
		return ""
	}
	if phase == "" {
		return "the controller has not looked at it yet; is Serin running?"
	}
	return fmt.Sprintf("it is %s, and %s", phase, takes)
}
