// Package analysis judges a canary against the stable revision it would
// replace.
//
// The package is pure: it takes no client and reads no clock. Adapters
// (packages below this one) fetch raw material through the port Source, the
// functions in this package turn it into Observations, and Judge folds those
// into a State and a Verdict. The same Judge runs in the controller, in
// "serin simulate" and in "serin analysis rejudge", so a verdict can be
// reproduced bit for bit from the record of a trial.
//
// What the judge promises: a canary that is no worse than stable is failed by
// the ratio and latency checks of a run with probability at most Spec.Alpha,
// however often it is looked at and whatever weights it is given; missing data
// is never evidence for or against it. docs/guarantees.md states assumptions
// and limits.
package analysis
