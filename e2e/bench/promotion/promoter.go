package promotion

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"time"

	"github.com/serin-gitops/serin/e2e/bench/proc"
	"github.com/serin-gitops/serin/environments"
	"github.com/serin-gitops/serin/overlays"
	"github.com/serin-gitops/serin/overlays/gitrepo"
)

// answer is what the promoting process says of one promotion.
type answer struct {
	Seconds float64 `json:"seconds"`
	// PeakBytes is the most memory the process ever had resident.
	PeakBytes int64  `json:"peakBytes"`
	Error     string `json:"error,omitempty"`
}

// Promote is the promoting process: it reads "directory tag digest" lines and
// answers each with what the promotion took, as JSON. It ends with its input.
func Promote(ctx context.Context, url, store string, in io.Reader, out io.Writer) error {
	repositories := gitrepo.New(store, gitrepo.Options{})
	defer func() { _ = repositories.Close() }()
	encoder := json.NewEncoder(out)
	for lines := bufio.NewScanner(in); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) != 3 {
			return fmt.Errorf("line %q is not a directory, a tag and a digest", lines.Text())
		}
		wanted := environments.Image{Repository: image, Tag: fields[1], Digest: environments.Digest(fields[2])}
		began := time.Now()
		err := promote(ctx, repositories, url, fields[0], wanted)
		result := answer{Seconds: time.Since(began).Seconds()}
		if err != nil {
			result.Error = err.Error()
		}
		if result.PeakBytes, err = proc.Peak(proc.Self); err != nil {
			return err
		}
		if err := encoder.Encode(result); err != nil {
			return err
		}
	}
	return nil
}

// promote does what a promotion does: edit the newest tip, render before and
// after, see that nothing but the image has changed, commit, push.
func promote(ctx context.Context, repositories overlays.Repositories, url, dir string, wanted environments.Image) error {
	repository, err := repositories.Open(ctx, overlays.Remote{URL: url})
	if err != nil {
		return err
	}
	written, err := repository.Write(ctx, overlays.Change{
		Branch: branch, Subject: "Promote " + wanted.Tag, When: time.Now(),
		Author: overlays.Identity{Name: "Serin", Email: "serin@example.com"},
		Edit:   func(tip fs.FS) ([]overlays.File, error) { return edit(tip, dir, wanted) },
	})
	if err == nil && !written.Changed {
		err = fmt.Errorf("promotion of %s to %s wrote nothing", wanted.Tag, dir)
	}
	return err
}

func edit(tip fs.FS, dir string, wanted environments.Image) ([]overlays.File, error) {
	images := []environments.Image{wanted}
	before, err := overlays.Render(tip, dir)
	if err != nil {
		return nil, err
	}
	changed, err := overlays.SetImages(tip, dir, images)
	if err != nil {
		return nil, err
	}
	after, err := overlays.Render(overlays.With(tip, changed), dir)
	if err != nil {
		return nil, err
	}
	return changed, overlays.Verify(before, after, images)
}
