package evidence

import (
	"math"
	"math/rand/v2"
	"testing"
)

// binomial is the chance of k successes of n.
func binomial(n, k int, p float64) float64 {
	a, _ := math.Lgamma(float64(n + 1))
	b, _ := math.Lgamma(float64(k + 1))
	c, _ := math.Lgamma(float64(n - k + 1))
	return math.Exp(a - b - c + float64(k)*math.Log(p) + float64(n-k)*math.Log1p(-p))
}

// TestBetsAreFair wants the expectation of every bet's factor to be exactly 1
// for a canary at the border of what is tolerated: the property that Ville's
// inequality rests on.
func TestBetsAreFair(t *testing.T) {
	for _, tc := range []struct{ tolerance, stable, canary float64 }{{1, 95, 5}, {1, 50, 50}, {2, 190, 10}, {1, 1, 400}} {
		w := tc.tolerance * tc.canary / (tc.tolerance*tc.canary + tc.stable)
		for j := range worseGrid {
			for failed := range 20 {
				sum := 0.0
				for f := range failed + 1 {
					inc := worseIncrements(tc.tolerance, Counts{Total: tc.stable, Failed: float64(failed - f)}, Counts{Total: tc.canary, Failed: float64(f)}, 1)
					sum += binomial(failed, f, w) * math.Exp(inc[j])
				}
				if math.Abs(sum-1) > 1e-9 {
					t.Fatalf("%+v, alternative %g, %d failures: expectation %g, want 1", tc, worseGrid[j], failed, sum)
				}
			}
		}
	}
	for j := range guardGrid {
		sum := 0.0
		for f := range 51 {
			sum += binomial(50, f, 0.01) * math.Exp(guardIncrements(0.01, guardGrid, Counts{Total: 50, Failed: float64(f)}, 1)[j])
		}
		if math.Abs(sum-1) > 1e-9 {
			t.Errorf("guard, alternative %g: expectation %g, want 1", guardGrid[j], sum)
		}
	}
}

// TestMirroredBetsAreFair wants the same of the proofs, for a canary that is
// exactly as bad as they exclude.
func TestMirroredBetsAreFair(t *testing.T) {
	const worse, stable, canary = 5.0, 90.0, 10.0
	w := worse * canary / (worse*canary + stable)
	for j := range betterGrid {
		for failed := range 20 {
			sum := 0.0
			for f := range failed + 1 {
				sum += binomial(failed, f, w) * math.Exp(betterIncrements(worse, Counts{Total: stable, Failed: float64(failed - f)}, Counts{Total: canary, Failed: float64(f)}, 1)[j])
			}
			if math.Abs(sum-1) > 1e-9 {
				t.Fatalf("alternative %g, %d failures: expectation %g, want 1", betterGrid[j], failed, sum)
			}
		}
	}
}

func TestStakesSumToOne(t *testing.T) {
	sum := 0.0
	for look := int64(1); look <= 1000; look++ {
		sum += stake(look)
		if left := unplaced(look); math.Abs(sum+left-1) > 1e-12 {
			t.Fatalf("after look %d: %g is bet and %g is not, want 1 in all", look, sum, left)
		}
	}
}

// TestMixtureOverStarts compares the one number per alternative with the
// mixture written out: one bet for each look it may have begun at.
func TestMixtureOverStarts(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	var logs []float64
	var products []float64
	for look := int64(1); look <= 200; look++ {
		inc := []float64{rng.NormFloat64()}
		logs = bet(logs, look, inc, maxWindowLog)
		products = append(products, stake(look))
		want := unplaced(look)
		for i := range products {
			products[i] *= math.Exp(min(inc[0], maxWindowLog))
			want += products[i]
		}
		if got := math.Exp(logMixture(logs, look)); math.Abs(got/want-1) > 1e-9 {
			t.Fatalf("look %d: %g, want %g", look, got, want)
		}
	}
}

// TestNothingOverflows feeds absurd amounts of evidence both ways.
func TestNothingOverflows(t *testing.T) {
	test := Test{Tolerance: 1, Worse: 5, Objective: 0.01}
	for _, failed := range []float64{0, 1e9} {
		r := State{}
		for range 5000 {
			r = r.Observe(test, Counts{Total: 1e9, Failed: 1e9 - failed}, Counts{Total: 1e9, Failed: failed})
		}
		for _, l := range append(append(append(append([]float64{r.LogEvidence(test)}, r.Worse...), r.Guard...), r.Better...), r.Within...) {
			if math.IsNaN(l) || math.Abs(l) > maxLog {
				t.Errorf("%g failures: evidence %g is not within +-%d", failed, l, maxLog)
			}
		}
	}
}
