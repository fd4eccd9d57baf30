package main

import (
	"github.com/serin-gitops/serin/controllers/hints"
	"github.com/serin-gitops/serin/web/webhooks"
)

// hub tells all who care of a push: the controllers, and the built-in sync.
type hub struct {
	hints hints.Hub
	// sync is the embedded syncer's Wake; nil where there is none.
	sync func(url, branch string)
}

// Wake asks the built-in sync to look at a branch now. It implements the
// promotion controller's port.
func (h *hub) Wake(url, branch string) {
	if h.sync != nil {
		h.sync(url, branch)
	}
}

func (h *hub) gitPush(url, branch string) {
	h.Wake(url, branch)
	h.hints.Send(hints.Hint{Git: url, Branch: branch})
}

func (h *hub) imagePush(repository string) { h.hints.Send(hints.Hint{Image: repository}) }

// webhook takes what a registry or a Git host sent.
func (h *hub) webhook(_ string, hint webhooks.Hint) {
	if hint.Kind == webhooks.Image {
		h.imagePush(hint.Repository)
		return
	}
	for _, url := range hint.URLs {
		if hint.Kind == webhooks.PullRequest && !hint.Merged {
			h.hints.Send(hints.Hint{Git: url, PullRequests: true})
			continue
		}
		h.gitPush(url, hint.Branch)
	}
}
