package checks

import (
	"cmp"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/serin-gitops/serin/analysis"
	"github.com/serin-gitops/serin/analysis/usage"
	"github.com/serin-gitops/serin/api/v1alpha1"
)

// What cAdvisor, in every kubelet, says of containers. The series of a pod as a
// whole have no container.
const (
	cpuSeries    = `container_cpu_usage_seconds_total{container!=""}`
	memorySeries = `container_memory_working_set_bytes{container!=""}`
)

// Intervals of the kinds that are not looked at as often as the others.
const (
	// resourcesInterval is about how often cAdvisor looks at a container; what is
	// used in a shorter time is noise.
	resourcesInterval = 15 * time.Second
	// webhookInterval spares whoever is asked.
	webhookInterval = 10 * time.Second
)

// intervalOf is how often a check is looked at that does not say.
func intervalOf(kind analysis.Kind, ofAnalysis time.Duration) time.Duration {
	switch kind {
	case analysis.KindResources:
		return max(ofAnalysis, resourcesInterval)
	case analysis.KindWebhook:
		return max(ofAnalysis, webhookInterval)
	case analysis.KindThreshold:
		// Looks in between two scrapes would count one sample over and over.
		return max(ofAnalysis, analysis.DefaultInterval)
	}
	return ofAnalysis
}

func resourcesOf(r v1alpha1.ResourcesCheck) (*analysis.Resources, error) {
	out := &analysis.Resources{Failing: int(r.Failures), Of: int(r.Samples)}
	var err error
	if out.CPU, err = boundOf("resources.cpu", r.CPU, cpuSeries); err != nil {
		return nil, err
	}
	out.Memory, err = boundOf("resources.memory", r.Memory, memorySeries)
	return out, err
}

func boundOf(field string, b *v1alpha1.ResourceBound, series string) (*usage.Bound, error) {
	if b == nil {
		return nil, nil
	}
	out := &usage.Bound{Series: cmp.Or(b.Series, series)}
	var err error
	if out.Ratio, err = number(field+".ratio", b.Ratio); err != nil {
		return nil, err
	}
	if b.Ratio != "" && out.Ratio <= 0 {
		return nil, fmt.Errorf("%s.ratio is %q; it must be above 0", field, b.Ratio)
	}
	if b.IgnoreBelow == "" {
		return out, nil
	}
	quantity, err := resource.ParseQuantity(b.IgnoreBelow)
	if err != nil || quantity.Sign() < 0 {
		return nil, fmt.Errorf("%s.ignoreBelow is %q; it must be a quantity that is not negative, such as 100m (cores) or 64Mi (bytes)", field, b.IgnoreBelow)
	}
	out.IgnoreBelow = quantity.AsApproximateFloat64()
	return out, nil
}

func webhookOf(w v1alpha1.WebhookCheck) *analysis.Webhook {
	return &analysis.Webhook{URL: w.URL, Timeout: w.Timeout.Duration, Failing: int(w.Failures), Of: int(w.Samples)}
}
