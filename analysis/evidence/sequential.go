package evidence

import (
	"math"
	"slices"
)

// The alternatives each test bets on. A mixture over a grid loses at most the
// logarithm of its size against the best of them.
var (
	// worseGrid: how many times worse than tolerated the canary is.
	worseGrid = []float64{1.5, 2, 3, 5, 10, 30, 100}
	// guardGrid: how many times over its objective the canary is.
	guardGrid = []float64{1.5, 2, 3, 5, 10, 30}
	// betterGrid: how many times worse than stable a good canary may look.
	betterGrid = []float64{0.3, 1, 2}
	// withinGrid: which part of its objective a good canary uses.
	withinGrid = []float64{0.01, 0.1, 0.3}
)

const (
	// recentRequests and usualRequests are the memories, in requests, of what
	// stable's failure rate is now and what it usually is.
	recentRequests = 200
	usualRequests  = 20_000
	// maxLog bounds every accumulated logarithm, so that all stay finite.
	maxLog = 690
	// maxWindowLog bounds what one window may add to any bet, about two failures
	// of the canary at 5% weight, and unsureWindowLog while stable has shown fewer
	// than sureFailures failures to learn from. Failures within one window may
	// have one cause; a single burst must neither fail the canary nor, on stable,
	// prove it good. Bounding a bet from above keeps it a supermartingale.
	maxWindowLog    = 4.5
	unsureWindowLog = 3
	sureFailures    = 20
	// firstStake is the part bet on a canary that is bad from the start, the
	// usual case.
	firstStake = 0.8
	// maxGuardRate keeps alternatives of the guard below certainty.
	maxGuardRate = 0.99
)

// Test is what one check tests for.
type Test struct {
	// Tolerance is r0: the canary may fail this many times as often as stable.
	Tolerance float64
	// Worse is r1: proof means less than this many times as bad as stable.
	Worse float64
	// Objective is the failure rate (0 to 1) the canary must keep; 0 means none.
	Objective float64
}

// Observe adds one window of both arms to the evidence.
//
// Comparison. Given the failures of both arms together, the canary's are
// binomial with share w = r0*n_c/(r0*n_c+n_b) when it is exactly r0 times as
// bad as stable; a canary rho times worse has the likelihood ratio
//
//	f_c*ln(rho) - (f_c+f_b)*ln(1+(rho-1)*w)
//
// whose exponential is a test martingale, see Lindon and Malek, Anytime-Valid
// Inference for Multinomial Count Data (arXiv:2011.03567). Dividing its
// logarithm by the dispersion factor learned from stable's earlier windows
// makes it hold for failures that come in bursts.
func (r State) Observe(t Test, stable, canary Counts) State {
	factor, most := r.Dispersion.Factor(), maxWindowLog
	if r.Dispersion.Failures < sureFailures {
		most = unsureWindowLog
	}
	r = r.remember(stable)
	if canary.Total > 0 {
		r.Capped = false
	}
	if stable.Total > 0 && canary.Total > 0 {
		r.Looks++
		worse := worseIncrements(t.Tolerance, stable, canary, factor)
		r.Capped = slices.Max(worse) > most
		r.Worse = bet(r.Worse, r.Looks, worse, most)
		r.Better = accumulate(r.Better, betterIncrements(t.Worse, stable, canary, factor), most)
	}
	if t.Objective > 0 && canary.Total > 0 {
		// Where stable misses the objective too, the objective is no fair
		// measure and the comparison decides alone.
		if max(r.Recent.Rate(), r.Usual.Rate()) <= t.Objective {
			r.GuardLooks++
			over := guardIncrements(t.Objective, guardGrid, canary, factor)
			r.Capped = r.Capped || slices.Max(over) > most
			r.Guard = bet(r.Guard, r.GuardLooks, over, most)
		}
		r.Within = accumulate(r.Within, withinIncrements(t.Objective, canary, factor), most)
	}
	r.Stable.Add(stable)
	r.Canary.Add(canary)
	r.StepCanary.Add(canary)
	r.Dispersion = r.Dispersion.learn(stable)
	return r
}

// bet advances a mixture over the times at which the canary may have turned
// bad. The stakes of the bets placed at all looks sum to 1, so the mixture is itself a test martingale and Ville's inequality bounds it,
// while a canary that turns bad after a thousand good looks is found as fast
// as one that was bad from the start, but for the logarithm of its stake.
// The idea is that of e-detectors: Shin, Ramdas and Rinaldo, E-detectors: a
// nonparametric framework for sequential change detection (arXiv:2203.03532).
// No bet wins more than most.
//
// One number per alternative suffices: R_t = (R_{t-1} + stake_t) * likelihood ratio.
func bet(logs []float64, look int64, increments []float64, most float64) []float64 {
	weight := math.Log(stake(look))
	next := make([]float64, len(increments))
	for j, inc := range increments {
		placed := weight
		if look > 1 && j < len(logs) {
			placed = logAdd(logs[j], weight)
		}
		next[j] = clampLog(placed + min(inc, most))
	}
	return next
}

// stake is the part of all that is bet at a look: firstStake at the first, the
// rest spread over all later ones as 1/(t(t-1)).
func stake(look int64) float64 {
	if look == 1 {
		return firstStake
	}
	t := float64(look)
	return (1 - firstStake) / (t * (t - 1))
}

// unplaced is the part of all that is not bet up to a look: what the stakes of
// all later ones sum to.
func unplaced(look int64) float64 { return (1 - firstStake) / float64(look) }

// logMixture is ln of the mean over the alternatives, the bets not yet placed
// counting as 1.
func logMixture(logs []float64, looks int64) float64 {
	if looks == 0 || len(logs) == 0 {
		return 0
	}
	return logAdd(logMean(logs), math.Log(unplaced(looks)))
}

func worseIncrements(tolerance float64, stable, canary Counts, factor float64) []float64 {
	w := tolerance * canary.Total / (tolerance*canary.Total + stable.Total)
	failed := canary.Failed + stable.Failed
	inc := make([]float64, len(worseGrid))
	for j, rho := range worseGrid {
		inc[j] = (canary.Failed*math.Log(rho) - failed*math.Log1p((rho-1)*w)) / factor
	}
	return inc
}

// betterIncrements bets against a canary that is at least worse times as bad.
func betterIncrements(worse float64, stable, canary Counts, factor float64) []float64 {
	failed := canary.Failed + stable.Failed
	inc := make([]float64, len(betterGrid))
	for j, good := range betterGrid {
		good = min(good, worse/1.5)
		odds := (worse*canary.Total + stable.Total) / (good*canary.Total + stable.Total)
		inc[j] = (canary.Failed*math.Log(good/worse) + failed*math.Log(odds)) / factor
	}
	return inc
}

// guardIncrements bets against a canary that fails at most as often as its
// objective allows (Bernoulli; Turner, Ly and Grunwald, arXiv:2106.02693).
func guardIncrements(objective float64, grid []float64, canary Counts, factor float64) []float64 {
	inc := make([]float64, len(grid))
	for j, rho := range grid {
		p := min(rho*objective, max(maxGuardRate, objective))
		inc[j] = bernoulli(canary, p, objective) / factor
	}
	return inc
}

func withinIncrements(objective float64, canary Counts, factor float64) []float64 {
	inc := make([]float64, len(withinGrid))
	for j, part := range withinGrid {
		inc[j] = bernoulli(canary, part*objective, objective) / factor
	}
	return inc
}

// bernoulli is the log likelihood ratio of failure rate p against p0.
func bernoulli(c Counts, p, p0 float64) float64 {
	return c.Failed*math.Log(p/p0) + (c.Total-c.Failed)*(math.Log1p(-p)-math.Log1p(-p0))
}

// accumulate adds one window to bets that were all placed at the step's start.
// No bet wins more than most.
func accumulate(logs, increments []float64, most float64) []float64 {
	next := make([]float64, len(increments))
	for j, inc := range increments {
		inc = min(inc, most)
		if j < len(logs) {
			inc += logs[j]
		}
		next[j] = clampLog(inc)
	}
	return next
}

// LogEvidence is ln E against the canary: the mean of comparison and guard.
func (r State) LogEvidence(t Test) float64 {
	if t.Objective <= 0 {
		return r.logWorse()
	}
	return logMean([]float64{r.logWorse(), r.logGuard()})
}

func (r State) logWorse() float64 { return logMixture(r.Worse, r.Looks) }

func (r State) logGuard() float64 { return logMixture(r.Guard, r.GuardLooks) }

// OverObjective is true when the evidence comes from the objective rather than
// from the comparison with stable.
func (r State) OverObjective(t Test) bool { return t.Objective > 0 && r.logGuard() > r.logWorse() }

// Learn shows the state one of stable's windows from before the trial.
func (r State) Learn(stable Counts) State {
	r.Dispersion = r.Dispersion.learn(stable)
	return r.remember(stable)
}

// remember keeps stable's failure rate of now and of longer.
func (r State) remember(stable Counts) State {
	r.Recent = decay(r.Recent, stable, recentRequests)
	r.Usual = decay(r.Usual, stable, usualRequests)
	return r
}

// Proven is true when the canary is shown to be less than worse times as bad
// as stable, or to keep its objective, each with half of beta.
func (r State) Proven(t Test, beta float64) bool {
	limit := math.Log(2 / beta)
	if len(r.Better) > 0 && logMean(r.Better) >= limit {
		return true
	}
	return t.Objective > 0 && len(r.Within) > 0 && logMean(r.Within) >= limit
}

// BeginStep counts anew what a step needs before it may pass or be proven.
func (r State) BeginStep() State {
	r.StepCanary = Counts{}
	r.Better, r.Within = nil, nil
	return r
}

// decay forgets old requests as new ones come.
func decay(known, c Counts, memory float64) Counts {
	keep := math.Exp(-c.Total / memory)
	return Counts{Total: known.Total*keep + c.Total, Failed: known.Failed*keep + c.Failed}
}

func logAdd(a, b float64) float64 {
	if a < b {
		a, b = b, a
	}
	return a + math.Log1p(math.Exp(b-a))
}

func logMean(logs []float64) float64 {
	sum := logs[0]
	for _, l := range logs[1:] {
		sum = logAdd(sum, l)
	}
	return sum - math.Log(float64(len(logs)))
}

func clampLog(l float64) float64 { return min(max(l, -maxLog), maxLog) }
