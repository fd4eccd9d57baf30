package checks

import (
	"fmt"
	"net/url"

	"github.com/prometheus/common/model"

	"github.com/serin-gitops/serin/api/v1alpha1"
)

// typed says what is wrong with a value for a parameter of a type.
func typed(kind, value string) error {
	switch kind {
	case v1alpha1.TypeNumber:
		if value == "" {
			return fmt.Errorf("it is empty and has to be a number: give a decimal number such as 0.5")
		}
		_, err := number("value", value)
		return err
	case v1alpha1.TypeDuration:
		if _, err := model.ParseDuration(value); err != nil {
			return fmt.Errorf("value %q is no duration: give one of PromQL such as 5m or 1h30m", value)
		}
	case v1alpha1.TypeURL:
		// Not the value itself, which may hold credentials.
		if u, err := url.Parse(value); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return fmt.Errorf("the value is no address: give one such as https://gate.example.com")
		}
	}
	return nil
}
