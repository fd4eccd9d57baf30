package traffic

import (
	"testing"

	"github.com/serin-gitops/serin/environments"
)

func TestCanaryPods(t *testing.T) {
	tests := []struct {
		stable  int32
		weight  environments.Weight
		routed  int32
		among   int32
		reached environments.Weight
	}{
		{4, 0, 1, 1, 20}, {4, 5, 1, 1, 20}, {4, 20, 1, 1, 20}, {4, 25, 1, 2, 33}, {4, 50, 2, 4, 50}, {4, 100, 4, 4, 50},
		{10, 20, 2, 3, 23}, {100, 1, 1, 2, 2}, {1, 20, 1, 1, 50}, {0, 50, 1, 1, 100},
	}
	for _, test := range tests {
		if got := CanaryFor(test.stable, test.weight); got != test.routed {
			t.Errorf("CanaryFor(%d, %s) = %d, want %d", test.stable, test.weight, got, test.routed)
		}
		among := CanaryAmong(test.stable, test.weight)
		if among != test.among {
			t.Errorf("CanaryAmong(%d, %s) = %d, want %d", test.stable, test.weight, among, test.among)
		}
		if got := ShareOf(test.stable, among); got != test.reached {
			t.Errorf("ShareOf(%d, %d) = %s, want %s", test.stable, among, got, test.reached)
		}
	}
}

// TestEnoughPods states that the planned pods always give what was asked for,
// and one pod less would not.
func TestEnoughPods(t *testing.T) {
	for stable := int32(1); stable <= 200; stable++ {
		for weight := environments.Weight(1); weight <= MostAmong; weight++ {
			n := CanaryAmong(stable, weight)
			if float64(n)/float64(n+stable)*100 < float64(weight)-1e-9 {
				t.Fatalf("%d of %d pods are less than %s", n, n+stable, weight)
			}
			if n > 1 && float64(n-1)/float64(n-1+stable)*100 >= float64(weight)+1e-9 {
				t.Fatalf("%d canary pods beside %d are more than %s needs", n, stable, weight)
			}
		}
	}
}
