package hints

import "testing"

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

func TestHubCountsAndNeverBlocks(t *testing.T) {
	var hub Hub
	listener := hub.Listen()
	for range queued + 10 {
		hub.Send(Hint{Git: "http://a/acme/deploy", Branch: "main"})
	}
	if got := hub.GitCount("http://other.host:80/acme/deploy.git"); got != queued+10 {
		t.Errorf("counted %d hints, want %d", got, queued+10)
	}
	if hint := <-listener; hint.Object.Branch != "main" {
		t.Errorf("heard %+v", hint.Object)
	}
	if hub.ImageCount("acme/deploy") != 0 {
		t.Error("a Git hint counts for an image")
	}
}
