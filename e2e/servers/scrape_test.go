//go:build servers

package servers

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/serin-gitops/serin/analysis/sourcetest"
)

// targets is a list of what to scrape, in a file that all of these servers read
// (file_sd_configs).
type targets struct{ path string }

func newTargets(t *testing.T) targets {
	t.Helper()
	f := targets{path: filepath.Join(t.TempDir(), "targets.json")}
	f.write(t, nil)
	return f
}

// write replaces the list as a whole, so that no reader sees half of it.
func (f targets) write(t *testing.T, list []sourcetest.Target) {
	t.Helper()
	type group struct {
		Targets []string          `json:"targets"`
		Labels  map[string]string `json:"labels"`
	}
	groups := []group{}
	for _, one := range list {
		groups = append(groups, group{Targets: []string{one.Address}, Labels: one.Labels})
	}
	text, err := json.Marshal(groups)
	if err == nil {
		err = os.WriteFile(f.path+".next", text, 0o600)
	}
	if err == nil {
		err = os.Rename(f.path+".next", f.path)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// scrapeConfig is the configuration of a server that scrapes the list at an
// interval; more is added to the job's discovery.
func (f targets) scrapeConfig(interval, more string) string {
	return "scrape_configs:\n- job_name: work\n  scrape_interval: " + interval + "\n  scrape_timeout: 1s\n  file_sd_configs: [{files: [" + f.path + "]" + more + "}]\n"
}
