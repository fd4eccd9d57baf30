package hints

import (
	"strconv"
	"testing"
)

func TestPath(t *testing.T) {
	for address, want := range map[string]string{
		"http://gitea.local:3000/acme/deploy.git":  "acme/deploy",
		"https://user@git.example.com/acme/Deploy": "acme/deploy",
		"ssh://git@host/acme/deploy.git":           "acme/deploy",
		"registry.local:5000/ipfs-kit":             "ipfs-kit",
		"localhost/ipfs-kit":                       "ipfs-kit",
		"acme/web":                                 "acme/web",
		"http://serin/deploy.git/":                 "deploy",
	} {
		if got := Path(address); got != want {
			t.Errorf("Path(%q) = %q, want %q", address, got, want)
		}
	}
}

func TestHubNeverBlocks(t *testing.T) {
	var hub Hub
	listener := hub.Listen()
	for range queued + 10 {
		hub.Send(Hint{Git: "http://a/acme/deploy", Branch: "main"})
	}
	if got := hub.LastMove("http://other.host:80/acme/deploy.git", "main"); got != queued+10 {
		t.Errorf("the last move is number %d, want %d", got, queued+10)
	}
	if hint := <-listener; hint.Object.Branch != "main" {
		t.Errorf("heard %+v", hint.Object)
	}
}

// TestWhatAHintMoves: what was read of a branch is old after a hint that may be
// about it, and after no other.
func TestWhatAHintMoves(t *testing.T) {
	const url, branch, image = "http://a/acme/deploy", "main", "acme/web"
	for _, c := range []struct {
		name          string
		hint          Hint
		branch, image bool
	}{
		{"its push", Hint{Git: url, Branch: branch}, true, false},
		{"its push, by another address", Hint{Git: "ssh://git@b/acme/Deploy.git", Branch: branch}, true, false},
		{"a push to every branch", Hint{Git: url}, true, false},
		{"another branch's push", Hint{Git: url, Branch: "main2"}, false, false},
		{"another repository's push", Hint{Git: "http://a/acme/deploy2", Branch: branch}, false, false},
		{"a pull request to it", Hint{Git: url, Branch: branch, PullRequests: true}, false, false},
		{"an image", Hint{Image: image}, false, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			var hub Hub
			hub.Send(Hint{Git: url, Branch: branch})
			move, push := hub.LastMove(url, branch), hub.LastImage(image)
			hub.Send(c.hint)
			if got := hub.LastMove(url, branch) != move; got != c.branch {
				t.Errorf("the branch moved: %v, want %v", got, c.branch)
			}
			if got := c.hint.Moves(url, branch); got != c.branch {
				t.Errorf("the hint moves the branch: %v, want %v", got, c.branch)
			}
			if got := hub.LastImage(image) != push; got != c.image {
				t.Errorf("the image was pushed: %v, want %v", got, c.image)
			}
		})
	}
}

// TestNamesThatAreMadeUp: a sender of many names costs a look, and hides no
// hint.
func TestNamesThatAreMadeUp(t *testing.T) {
	var hub Hub
	const url, branch = "http://a/acme/deploy", "main"
	hub.Send(Hint{Git: url, Branch: branch})
	seen := map[uint64]bool{hub.LastMove(url, branch): true}
	for i := range 3 * queued {
		hub.Send(Hint{Image: "acme/" + strconv.Itoa(i)})
	}
	for range 3 {
		hub.Send(Hint{Git: url, Branch: branch})
		now := hub.LastMove(url, branch)
		if seen[now] {
			t.Errorf("number %d was given to an earlier hint", now)
		}
		seen[now] = true
	}
	if got := len(hub.last); got > queued {
		t.Errorf("%d names are kept, want at most %d", got, queued)
	}
}
