package registry_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/serin-gitops/serin/environments"
	"github.com/serin-gitops/serin/registry"
)

const repository = "registry.example/acme/web"

// tags makes candidates of which only the tag is known.
func tags(names ...string) []registry.Artifact {
	all := make([]registry.Artifact, len(names))
	for i, tag := range names {
		all[i] = image(tag, "")
	}
	return all
}

func image(tag string, digest environments.Digest) registry.Artifact {
	return registry.Artifact{Image: environments.Image{Repository: repository, Tag: tag, Digest: digest}}
}

// built is an image of a day in January 2026; day 0 has no time.
func built(tag string, digest environments.Digest, day int) registry.Artifact {
	a := image(tag, digest)
	if day > 0 {
		a.Created = time.Date(2026, 1, day, 0, 0, 0, 0, time.UTC)
	}
	return a
}

type selectCase struct {
	name       string
	policy     registry.Policy
	current    registry.Artifact
	candidates []registry.Artifact
	partial    bool
	want       string // tag, or tag@digest
	keep       bool
	reason     string // part of the reason
}

func selectCases() []selectCase {
	const signature = "sha256-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.sig"
	semver := registry.Policy{Kind: registry.Semver}
	newest := registry.Policy{Kind: registry.NewestBuild}
	latest := registry.Policy{Kind: registry.Digest, Tag: "latest"}
	return []selectCase{
		{name: "semver takes the highest, not the last", policy: semver, candidates: tags("1.10.0", "1.9.0", "1.2.0"), want: "1.10.0", reason: "newest of 3"},
		{name: "semver reads a leading v", policy: semver, candidates: tags("v1.0.0", "v1.0.1"), want: "v1.0.1"},
		{name: "semver passes dates and words by", policy: semver, candidates: tags("20260101", "latest", "1.0", "0.1.0"), want: "0.1.0", reason: "newest of 1"},
		{name: "semver keeps to its range", policy: registry.Policy{Kind: registry.Semver, Range: ">=1.0.0 <2.0.0"}, candidates: tags("1.4.0", "2.0.0"), want: "1.4.0"},
		{name: "semver leaves pre-releases out", policy: semver, candidates: tags("1.0.0", "1.1.0-rc.1"), want: "1.0.0"},
		{name: "semver takes pre-releases that the range names", policy: registry.Policy{Kind: registry.Semver, Range: ">=1.0.0-0"}, candidates: tags("1.0.0", "1.1.0-rc.1"), want: "1.1.0-rc.1"},
		{name: "semver of equals is stable", policy: semver, candidates: tags("v1.0.0", "1.0.0"), want: "v1.0.0"},
		{name: "semver moves forward", policy: semver, current: image("1.0.0", "sha256:1"), candidates: tags("1.0.0", "1.1.0"), want: "1.1.0", reason: "newer than 1.0.0"},
		{name: "semver rests", policy: semver, current: image("1.1.0", "sha256:1"), candidates: tags("1.0.0", "1.1.0"), want: "1.1.0@sha256:1", keep: true, reason: "newest of 2"},
		{name: "a current tag without digest is pinned", policy: semver, current: image("1.1.0", ""), candidates: tags("1.1.0"), want: "1.1.0", reason: "pinned"},
		{name: "a deleted tag is no reason to go back", policy: semver, current: image("1.2.0", "sha256:1"), candidates: tags("1.0.0", "1.1.0"), want: "1.2.0@sha256:1", keep: true, reason: "gone from the registry"},
		{name: "a deleted tag does not hold up a newer one", policy: semver, current: image("1.2.0", "sha256:1"), candidates: tags("1.0.0", "1.3.0"), want: "1.3.0"},
		{name: "an empty list keeps", policy: semver, current: image("1.2.0", "sha256:1"), want: "1.2.0@sha256:1", keep: true, reason: "none of 0"},
		{name: "a narrower range does not go back", policy: registry.Policy{Kind: registry.Semver, Range: "1.x"}, current: image("2.0.0", "sha256:1"), candidates: tags("1.9.0", "2.0.0"), want: "2.0.0@sha256:1", keep: true, reason: "is older"},
		{name: "a partial list keeps, even with a newer tag", policy: semver, current: image("1.0.0", "sha256:1"), candidates: tags("1.1.0"), partial: true, want: "1.0.0@sha256:1", keep: true, reason: "incomplete"},
		{name: "a partial list is no first choice", policy: semver, candidates: tags("1.1.0"), partial: true, keep: true, reason: "nothing chosen"},
		{name: "a current tag out of any order is replaced", policy: semver, current: image("latest", "sha256:1"), candidates: tags("latest", "1.1.0"), want: "1.1.0", reason: "cannot order"},
		{name: "include and exclude", policy: registry.Policy{Kind: registry.Semver, Include: []string{`^1\.`, `^2\.`}, Exclude: []string{`^2\.0\.0$`}}, candidates: tags("1.0.0", "2.0.0", "3.0.0"), want: "1.0.0"},
		{name: "an excluded current tag is not gone back from", policy: registry.Policy{Kind: registry.Semver, Exclude: []string{`^2`}}, current: image("2.0.0", "sha256:1"), candidates: tags("1.0.0", "2.0.0"), want: "2.0.0@sha256:1", keep: true},
		{name: "extract", policy: registry.Policy{Kind: registry.Semver, Include: []string{`^web-(?P<version>.+)$`}, Extract: "$version"}, current: image("web-1.9.0", "sha256:1"), candidates: tags("web-1.9.0", "web-1.10.0", "2.0.0"), want: "web-1.10.0"},
		{name: "numerical", policy: registry.Policy{Kind: registry.Numerical}, candidates: tags("9", "10", "1e9", "x"), want: "10", reason: "newest of 2"},
		{name: "numerical of long numbers is exact", policy: registry.Policy{Kind: registry.Numerical}, candidates: tags("20260101120000001", "20260101120000002"), want: "20260101120000002"},
		{name: "numerical descending", policy: registry.Policy{Kind: registry.Numerical, Order: registry.Descending}, current: image("9", "sha256:1"), candidates: tags("9", "10", "8.5"), want: "8.5"},
		{name: "numerical extract", policy: registry.Policy{Kind: registry.Numerical, Include: []string{`^main-[0-9a-f]+-(\d+)$`}, Extract: "${1}"}, candidates: tags("main-abc-2", "main-abc-11", "dev-abc-99"), want: "main-abc-11"},
		{name: "alphabetical", policy: registry.Policy{Kind: registry.Alphabetical}, candidates: tags("2026-01-02", "2026-01-10", "2026-01-09", signature), want: "2026-01-10", reason: "newest of 3"},
		{name: "alphabetical descending", policy: registry.Policy{Kind: registry.Alphabetical, Order: registry.Descending}, current: image("b", "sha256:1"), candidates: tags("a", "b"), want: "a"},
		{name: "newest build", policy: newest, candidates: []registry.Artifact{built("b", "sha256:2", 2), built("z", "sha256:1", 1)}, want: "b@sha256:2"},
		{name: "newest build moves forward", policy: newest, current: built("a", "sha256:1", 1), candidates: []registry.Artifact{built("a", "sha256:1", 1), built("b", "sha256:2", 2)}, want: "b@sha256:2", reason: "after a@1"},
		{name: "newest build sees a tag pushed again", policy: newest, current: built("a", "sha256:1", 1), candidates: []registry.Artifact{built("a", "sha256:2", 2)}, want: "a@sha256:2"},
		{name: "newest build with the newest deleted", policy: newest, current: built("b", "sha256:2", 2), candidates: []registry.Artifact{built("a", "sha256:1", 1)}, want: "b@sha256:2", keep: true, reason: "not after"},
		{name: "newest build takes current's time from the list", policy: newest, current: image("a", "sha256:2"), candidates: []registry.Artifact{built("a", "sha256:2", 2), built("b", "sha256:1", 1), built("c", "sha256:3", 3)}, want: "c@sha256:3"},
		{name: "newest build with a current of unknown time", policy: newest, current: image("a", "sha256:9"), candidates: []registry.Artifact{built("b", "sha256:1", 1)}, want: "a@sha256:9", keep: true, reason: "by hand"},
		{name: "newest build without any time", policy: newest, candidates: []registry.Artifact{built("b", "sha256:1", 0)}, keep: true, reason: "reproducible"},
		{name: "newest build of two tags of one image", policy: newest, current: built("a", "sha256:1", 1), candidates: []registry.Artifact{built("a", "sha256:1", 1), built("b", "sha256:1", 1)}, want: "a@sha256:1", keep: true},
		{name: "digest first", policy: latest, candidates: []registry.Artifact{image("latest", "sha256:1")}, want: "latest@sha256:1"},
		{name: "digest rests", policy: latest, current: image("latest", "sha256:1"), candidates: []registry.Artifact{image("latest", "sha256:1")}, want: "latest@sha256:1", keep: true},
		{name: "digest moves", policy: latest, current: image("latest", "sha256:1"), candidates: []registry.Artifact{image("other", "sha256:3"), image("latest", "sha256:2")}, want: "latest@sha256:2", reason: "from 1 to 2"},
		{name: "digest of a deleted tag", policy: latest, current: image("latest", "sha256:1"), want: "latest@sha256:1", keep: true, reason: "not in the registry"},
	}
}

func TestSelect(t *testing.T) {
	for _, c := range selectCases() {
		t.Run(c.name, func(t *testing.T) {
			got, err := registry.Select(c.policy, c.current, registry.Listing{Artifacts: c.candidates, Partial: c.partial})
			if err != nil {
				t.Fatal(err)
			}
			name := got.Artifact.Tag
			if got.Artifact.Digest != "" {
				name += "@" + string(got.Artifact.Digest)
			}
			if name != c.want || got.Keep != c.keep || !strings.Contains(got.Reason, c.reason) {
				t.Errorf("got %q, keep %v, because %q; want %q, keep %v, because %q", name, got.Keep, got.Reason, c.want, c.keep, c.reason)
			}
		})
	}
}

// TestSelectNeverGoesBack walks through every sub-list of a repository's tags,
// as truncated lists and deletions leave them, and restarts in between.
func TestSelectNeverGoesBack(t *testing.T) {
	all := []string{"1.0.0", "1.1.0", "1.2.0", "1.10.0", "2.0.0"}
	rank := map[string]int{}
	for i, tag := range all {
		rank[tag] = i
	}
	for start := range all {
		for subset := range 1 << len(all) {
			var left []string
			for i, tag := range all {
				if subset&(1<<i) != 0 {
					left = append(left, tag)
				}
			}
			got, err := registry.Select(registry.Policy{Kind: registry.Semver}, image(all[start], "sha256:1"), registry.Listing{Artifacts: tags(left...)})
			if err != nil {
				t.Fatal(err)
			}
			if rank[got.Artifact.Tag] < start {
				t.Errorf("from %s with %v: went back to %s", all[start], left, got.Artifact.Tag)
			}
		}
	}
}

func TestPolicyValidate(t *testing.T) {
	cases := []struct {
		name   string
		policy registry.Policy
		want   string // part of the error; empty for none
	}{
		{"semver", registry.Policy{Kind: registry.Semver, Range: "^1.2"}, ""},
		{"no kind", registry.Policy{}, "kind"},
		{"bad range", registry.Policy{Kind: registry.Semver, Range: "newest"}, `range "newest"`},
		{"range elsewhere", registry.Policy{Kind: registry.Numerical, Range: "1"}, "Semver only"},
		{"bad order", registry.Policy{Kind: registry.Numerical, Order: "Down"}, `order "Down"`},
		{"order elsewhere", registry.Policy{Kind: registry.Semver, Order: registry.Descending}, "Descending"},
		{"digest without tag", registry.Policy{Kind: registry.Digest}, "tag is empty"},
		{"tag elsewhere", registry.Policy{Kind: registry.Semver, Tag: "latest"}, "Digest only"},
		{"bad include", registry.Policy{Kind: registry.Semver, Include: []string{"("}}, `include "("`},
		{"bad exclude", registry.Policy{Kind: registry.Semver, Exclude: []string{"("}}, `exclude "("`},
		{"huge include", registry.Policy{Kind: registry.Semver, Include: []string{strings.Repeat("a", 2000)}}, "2000 bytes"},
		{"extract alone", registry.Policy{Kind: registry.Semver, Extract: "$v"}, "no include"},
		{"extract in vain", registry.Policy{Kind: registry.NewestBuild, Include: []string{"a"}, Extract: "$v"}, "changes nothing"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			err := c.policy.Validate()
			if (err == nil) != (c.want == "") {
				t.Fatalf("got error %v, want %q", err, c.want)
			}
			if err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %q does not say %q", err, c.want)
			}
		})
	}
}

func TestPolicyFilter(t *testing.T) {
	policy := registry.Policy{Kind: registry.Semver, Range: ">=1.0.0", Exclude: []string{"^3"}}
	got, err := policy.Filter([]string{"2.0.0", "latest", "0.9.0", "3.0.0", "1.0.0"})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"2.0.0", "1.0.0"}, got); diff != "" {
		t.Error(diff)
	}
}

// TestLimitedErrorSaysTheWait states that a registry that named no time is not
// said to have asked for 0 seconds.
func TestLimitedErrorSaysTheWait(t *testing.T) {
	cause := errors.New("429 Too Many Requests")
	for wait, want := range map[time.Duration]string{
		0:           "the registry asks for patience: 429 Too Many Requests",
		time.Minute: "the registry asks to wait 1m0s: 429 Too Many Requests",
	} {
		if got := (&registry.LimitedError{RetryAfter: wait, Err: cause}).Error(); got != want {
			t.Errorf("after %s it says %q, want %q", wait, got, want)
		}
	}
}
