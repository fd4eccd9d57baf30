package main

import (
	"slices"
	"testing"

	"github.com/serin-gitops/serin/web/webhooks"
)

// TestWhatAWebhookMoves: a push and a merge move a branch; a pull request that
// is open or closed moves none, and the built-in sync is not asked to look.
func TestWhatAWebhookMoves(t *testing.T) {
	const url = "https://git.example/acme/deploy.git"
	for _, c := range []struct {
		name  string
		hint  webhooks.Hint
		moves bool
	}{
		{"push", webhooks.Hint{Kind: webhooks.Branch, Branch: "main", URLs: []string{url}}, true},
		{"merge", webhooks.Hint{Kind: webhooks.PullRequest, Branch: "main", Merged: true, URLs: []string{url}}, true},
		{"pull request", webhooks.Hint{Kind: webhooks.PullRequest, Branch: "main", URLs: []string{url}}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			var woken []string
			h := &hub{sync: func(url, branch string) { woken = append(woken, url+" "+branch) }}
			heard := h.hints.Listen()
			h.webhook("gitea", c.hint)
			if got := h.hints.LastMove(url, "main") > 0; got != c.moves {
				t.Errorf("main moved: %v, want %v", got, c.moves)
			}
			if got := slices.Equal(woken, []string{url + " main"}); got != c.moves {
				t.Errorf("the built-in sync was woken for %v", woken)
			}
			select {
			case hint := <-heard:
				if hint.Object.Git != url {
					t.Errorf("heard of %+v", hint.Object)
				}
			default:
				t.Error("the Promotions do not hear of it")
			}
		})
	}
}
