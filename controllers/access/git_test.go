package access

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/serin-gitops/serin/api/v1alpha1"
	"github.com/serin-gitops/serin/controllers/hints"
	"github.com/serin-gitops/serin/overlays"
)

// away is a Git server that cannot be reached: opening fails, or reading.
type away struct {
	overlays.Repository
	open error
}

func (a away) Open(context.Context, overlays.Remote) (overlays.Repository, error) { return a, a.open }

func (away) Tip(context.Context, string) (overlays.Tip, error) {
	return overlays.Tip{}, errors.New("no route to host")
}

// A password that was written into the address by mistake comes into no error:
// those are shown in conditions and events.
func TestErrorsHideAPasswordInTheAddress(t *testing.T) {
	for _, opened := range []error{nil, errors.New("refused")} {
		git := &Git{Repositories: away{open: opened}, Hints: &hints.Hub{}, Now: time.Now}
		_, err := git.Tip(t.Context(), "team", v1alpha1.Source{URL: "https://bot:hunter2@git.example.com/acme/deploy.git", Branch: "main"}, 0)
		if err == nil || strings.Contains(err.Error(), "hunter2") || !strings.Contains(err.Error(), "git.example.com/acme/deploy.git") {
			t.Errorf("error %v, want one that names the repository and no password", err)
		}
	}
	if shown := Shown("https://bot:hunter2@git.example.com/%zz"); strings.Contains(shown, "hunter2") {
		t.Errorf("an address that cannot be read is shown as %s", shown)
	}
}
