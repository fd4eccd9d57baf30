// Package rollout decides how one workload takes a new revision.
//
// Decide is a pure function of what was observed and of the time: it gives at
// most one mutation, with its reason in plain words, and the status that has to
// be written before that mutation is carried out. The next call learns the
// outcome by observing it, so a crash at any line loses nothing.
//
// What holds after every call, whatever happens in between:
//
//   - the weight never rises unless the verdict passes;
//   - stable serves: it is never scaled down, and its Service never loses its
//     pods, before the workload itself runs the new revision;
//   - a revision that failed is not tried again unless a person asks;
//   - after a crash at any point the same end is reached;
//   - at rest nothing is left but one label.
package rollout
