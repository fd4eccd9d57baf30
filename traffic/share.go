package traffic

import (
	"math"

	"github.com/serin-gitops/serin/environments"
)

// CanaryFor is how many canary pods serve weight of the traffic beside stable
// where a route divides it: the same share of stable's pods, at least one.
func CanaryFor(stable int32, weight environments.Weight) int32 {
	return int32(max(1, (int64(stable)*int64(weight)+99)/100))
}

// CanaryAmong is how many canary pods get weight of the traffic where pods
// share it by their number: w/(1-w) of stable's pods, rounded up, at least one.
// As stable is not scaled down, no more than half can be reached.
func CanaryAmong(stable int32, weight environments.Weight) int32 {
	w := float64(min(weight, MostAmong))
	return max(1, int32(math.Ceil(float64(stable)*w/(100-w))))
}

// MostAmong is the greatest weight that pods give by their number while stable
// keeps its size.
const MostAmong environments.Weight = 50

// ShareOf is the share that canary pods get among all pods, rounded to a
// percent.
func ShareOf(stable, canary int32) environments.Weight {
	if canary <= 0 {
		return 0
	}
	return environments.Weight(math.Round(100 * float64(canary) / float64(stable+canary)))
}
