package observe_test

import (
	"strings"
	"testing"

	"github.com/serin-gitops/serin/analysis/observe"
)

func TestRender(t *testing.T) {
	args := map[string]string{"ns": "prod", "evil": `x"} or vector(1) #`}
	for _, tc := range []struct{ query, want, err string }{
		{`up{namespace="${ns}"}`, `up{namespace="prod"}`, ""},
		{`up{namespace="${evil}"}`, `up{namespace="x\"} or vector(1) #"}`, ""},
		{`label_replace(up, "a", "$1", "b", "(.*)")`, `label_replace(up, "a", "$1", "b", "(.*)")`, ""},
		{`up{a="${gone}"}`, "", "no value for gone; known are evil, ns"},
	} {
		got, err := observe.Render(tc.query, args)
		if got != tc.want || (err == nil) != (tc.err == "") || err != nil && !strings.Contains(err.Error(), tc.err) {
			t.Errorf("%s: got %q, %v; want %q, %q", tc.query, got, err, tc.want, tc.err)
		}
	}
}
