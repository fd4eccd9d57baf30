package story

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"text/tabwriter"

	"github.com/serin-gitops/serin/e2e/load"
)

// Figures are what the story measured; the field names are those of
// out/demo.json.
type Figures struct {
	// PushToDevCommit is the time from the end of the push of v1.1.0 to the
	// commit on the branch, in seconds: until its Promotion names the commit, which is
	// then looked for on the branch.
	PushToDevCommit float64 `json:"push_to_dev_commit_s"`
	// BadToZeroErrors is the time from the first failed response of v1.2.0 to
	// its last response at all, in seconds, as the people who asked saw it.
	BadToZeroErrors float64 `json:"bad_to_zero_errors_s"`
	// BadToZeroCrash is the time from the first crash of a canary pod of v1.4.0,
	// as the kubelet tells it in whole seconds, to the verdict, in seconds.
	BadToZeroCrash float64 `json:"bad_to_zero_crash_s"`
	// FailedStable counts failed requests that no bad release answered, with
	// those that nobody answered. It must be 0.
	FailedStable  int64 `json:"failed_requests_stable"`
	FailedTotal   int64 `json:"failed_requests_total"`
	RequestsTotal int64 `json:"requests_total"`
	// Commits that Serin wrote.
	Commits     int `json:"commits"`
	Quarantined int `json:"quarantined"`

	versions []load.VersionStats
}

// bad are the releases of the story that may fail.
var bad = map[string]bool{v2: true, v3: true, v4: true}

func (f *Figures) count(stats load.Stats) {
	f.RequestsTotal, f.FailedTotal, f.versions = stats.Requests, stats.Failed, stats.Versions
	f.FailedStable = 0
	for _, v := range stats.Versions {
		if !bad[v.Version] {
			f.FailedStable += v.Failed
		}
	}
}

// Print writes the table at the story's end.
func (f *Figures) Print(out io.Writer) error {
	table := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	fmt.Fprintf(table, "\npush to dev commit\t%.2f s\n", f.PushToDevCommit)
	fmt.Fprintf(table, "first bad response to the last one (10%% errors)\t%.1f s\n", f.BadToZeroErrors)
	fmt.Fprintf(table, "first crash of a canary pod to the verdict\t%.1f s\n", f.BadToZeroCrash)
	for _, v := range f.versions {
		name := v.Version
		if name == "" {
			name = "nobody"
		}
		fmt.Fprintf(table, "answered by %s\t%d requests, %d failed\n", name, v.Requests, v.Failed)
	}
	fmt.Fprintf(table, "failed requests of stable\t%d\n", f.FailedStable)
	fmt.Fprintf(table, "failed of all requests\t%d of %d\n", f.FailedTotal, f.RequestsTotal)
	fmt.Fprintf(table, "commits that Serin wrote\t%d\n", f.Commits)
	fmt.Fprintf(table, "quarantined releases\t%d\n", f.Quarantined)
	return table.Flush()
}

// Write keeps the figures as a flat JSON object.
func (f *Figures) Write(path string) error {
	text, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o600)
}
