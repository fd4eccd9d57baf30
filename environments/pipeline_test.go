package environments

import (
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

var start = time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)

func img(tag string) Image {
	return Image{Repository: "registry/app", Tag: tag, Digest: Digest("sha256:" + strings.Repeat(tag[len(tag)-1:], 64))}
}

func rel(sequence int64, tag string) Release {
	images := []Image{img(tag)}
	return Release{Name: ReleaseName("app", images), Sequence: sequence, Images: images}
}

func promo(environment string, r Release, number int64, phase Phase) Promotion {
	p := Promotion{
		Name: PromotionName("app", environment, r.Name, 1), Environment: environment, Release: r.Name,
		Attempt: 1, Number: number, Phase: phase, Created: start.Add(time.Duration(number) * time.Second),
	}
	switch phase {
	case Succeeded:
		p.Succeeded = start
		p.Written = start
	case Applying, RollingOut, Soaking, RollingBack, RolledBack:
		p.Written = start
	default:
	}
	return p
}

func TestReleaseName(t *testing.T) {
	long := strings.Repeat("p", 52)
	for _, c := range []struct {
		name, pipeline string
		images         []Image
		prefix         string
	}{
		{"tag", "app", []Image{img("v1.2.0")}, "app-v1-2-0-"},
		{"upper case and leading dash", "app", []Image{{Repository: "r", Tag: "_V1"}}, "app-v1-"},
		{"no tag", "app", []Image{{Repository: "r", Digest: "sha256:aa"}}, "app-"},
		{"no room for the tag", long, []Image{img("v1.2.0")}, long + "-"},
	} {
		t.Run(c.name, func(t *testing.T) {
			name := ReleaseName(c.pipeline, c.images)
			if !strings.HasPrefix(name, c.prefix) || len(name) > 63 || strings.Contains(name, "--") {
				t.Errorf("ReleaseName = %q, want prefix %q and at most 63 characters", name, c.prefix)
			}
		})
	}
	two := []Image{img("v1"), {Repository: "registry/other", Tag: "v1"}}
	if ContentKey(two) != ContentKey([]Image{two[1], two[0]}) {
		t.Error("the order of images changes ContentKey")
	}
}

// Promotions of two Pipelines in one namespace never share a name, whatever the
// Pipelines and their Environments are called.
func TestPromotionNamesAreOnePipelines(t *testing.T) {
	images := []Image{img("v1.2.0")}
	one := PromotionName("shop", "eu-prod", ReleaseName("shop", images), 1)
	other := PromotionName("shop-eu", "prod", ReleaseName("shop-eu", images), 1)
	if one == other {
		t.Errorf("both are called %s", one)
	}
}

func TestDiscover(t *testing.T) {
	v1, v2 := rel(1, "v1"), rel(2, "v2")
	for _, c := range []struct {
		name   string
		chosen []Image
		known  []Release
		want   *Release
	}{
		{"first", v1.Images, nil, &v1},
		{"newer", v2.Images, []Release{v1}, &v2},
		{"same", v1.Images, []Release{v1}, nil},
		{"back to an old set", v1.Images, []Release{v2, v1}, nil},
		{"one image not found yet", []Image{img("v1"), {Repository: "registry/other"}}, nil, nil},
		{"nothing chosen", nil, nil, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, Discover("app", c.chosen, c.known).Release); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestFrozen(t *testing.T) {
	friday := FreezeWindow{Start: "0 16 * * FRI", Duration: 64 * time.Hour, Reason: "weekend"}
	for _, c := range []struct {
		name    string
		windows []FreezeWindow
		now     string
		until   string
		err     string
	}{
		{"before", []FreezeWindow{friday}, "2026-03-06T15:59:59Z", "", ""},
		{"at its start", []FreezeWindow{friday}, "2026-03-06T16:00:00Z", "2026-03-09T08:00:00Z", ""},
		{"inside", []FreezeWindow{friday}, "2026-03-08T12:00:00Z", "2026-03-09T08:00:00Z", ""},
		{"at its end", []FreezeWindow{friday}, "2026-03-09T08:00:00Z", "", ""},
		{"joined windows", []FreezeWindow{friday, {Start: "0 7 * * MON", Duration: 3 * time.Hour}}, "2026-03-08T12:00:00Z", "2026-03-09T10:00:00Z", ""},
		{"time zone", []FreezeWindow{{Start: "0 16 * * *", Duration: time.Hour, TimeZone: "Europe/Berlin"}}, "2026-03-06T15:30:00Z", "2026-03-06T16:00:00Z", ""},
		{"bad cron", []FreezeWindow{{Start: "whenever", Duration: time.Hour}}, "2026-03-06T15:30:00Z", "", "gates.freeze[0].start"},
		{"bad zone", []FreezeWindow{{Start: "0 16 * * *", Duration: time.Hour, TimeZone: "Mars/Olympus"}}, "2026-03-06T15:30:00Z", "", "gates.freeze[0].timeZone"},
	} {
		t.Run(c.name, func(t *testing.T) {
			now, err := time.Parse(time.RFC3339, c.now)
			if err != nil {
				t.Fatal(err)
			}
			until, _, err := Frozen(c.windows, now)
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Fatalf("error %v does not name %s", err, c.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			if !until.IsZero() {
				got = until.Format(time.RFC3339)
			}
			if got != c.until {
				t.Errorf("until %q, want %q", got, c.until)
			}
		})
	}
}

func TestParseRequest(t *testing.T) {
	for _, c := range []struct {
		value string
		want  Request
		bad   bool
	}{
		{value: "", want: Request{}},
		{value: NewRequest(Promote, start, "prod", "app-v1"), want: Request{Verb: Promote, Environment: "prod", Release: "app-v1", Token: "promote/prod/app-v1@2026-03-02T09:00:00Z"}},
		{value: NewRequest(Approve, start), want: Request{Verb: Approve, Token: "approve@2026-03-02T09:00:00Z"}},
		{value: "resume@2026", want: Request{Token: "resume@2026"}, bad: true},
		{value: "explode", want: Request{Token: "explode"}, bad: true},
	} {
		got, err := ParseRequest(c.value)
		if (err != nil) != c.bad {
			t.Errorf("ParseRequest(%q): error %v", c.value, err)
		}
		if c.bad {
			got = Request{Token: got.Token}
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("ParseRequest(%q): %s", c.value, diff)
		}
	}
}

// line is a Pipeline dev -> staging with Git at these images.
func line(dev, staging []Image) PipelineSnapshot {
	return PipelineSnapshot{Name: "app", HistoryLimit: 10, Environments: []EnvironmentSnapshot{
		{Environment: Environment{Name: "dev", Entry: ByCommit, Return: ReturnByCommit}, GitKnown: true, Images: dev},
		{Environment: Environment{Name: "staging", After: []string{"dev"}, Entry: ByPullRequest, Return: ReturnByCommit, Soak: time.Hour}, GitKnown: true, Images: staging},
	}}
}

func TestDecidePipeline(t *testing.T) {
	v1, v2, v3 := rel(1, "v1"), rel(2, "v2"), rel(3, "v3")
	quarantined := v2
	quarantined.Quarantine = &Quarantine{Environment: "dev", Images: v2.Images}
	soaked := start.Add(time.Hour)
	done := func(e string, r Release, n int64) Promotion { return promo(e, r, n, Succeeded) }
	adopted := []Promotion{done("dev", v1, 1), done("staging", v1, 1)}
	for _, c := range []struct {
		name   string
		given  func(*PipelineSnapshot)
		now    time.Time
		create string
		held   string
		wait   map[string]string
	}{
		{name: "nothing known", given: func(*PipelineSnapshot) {}},
		{name: "what Git has already is recorded", given: func(s *PipelineSnapshot) { s.Releases = []Release{v1} }, create: "app-dev-" + v1.Name[4:] + "-1"},
		{name: "a newer Release enters the first environment", given: func(s *PipelineSnapshot) {
			s.Releases, s.Promotions = []Release{v1, v2}, adopted
		}, create: "app-dev-" + v2.Name[4:] + "-1", wait: map[string]string{"staging": "has not succeeded in dev yet"}},
		{name: "soak is not over", given: func(s *PipelineSnapshot) {
			s.Environments[0].Images = v2.Images
			s.Releases, s.Promotions = []Release{v1, v2}, also(adopted, done("dev", v2, 2))
		}, now: start.Add(59 * time.Minute), wait: map[string]string{"staging": "soaks in dev until"}},
		{name: "soak is over", given: func(s *PipelineSnapshot) {
			s.Environments[0].Images = v2.Images
			s.Releases, s.Promotions = []Release{v1, v2}, also(adopted, done("dev", v2, 2))
		}, now: soaked, create: "app-staging-" + v2.Name[4:] + "-1"},
		{name: "a person ended the soak", given: func(s *PipelineSnapshot) {
			s.Releases, s.Promotions = []Release{v1, v2}, also(adopted, done("dev", v2, 2))
		}, now: soaked, held: v2.Name, wait: map[string]string{"staging": "a person took it out of dev"}},
		{name: "the soak cannot be seen", given: func(s *PipelineSnapshot) {
			s.Environments[0].GitKnown, s.Environments[0].Images = false, nil
			s.Releases, s.Promotions = []Release{v1, v2}, also(adopted, done("dev", v2, 2))
		}, now: soaked, wait: map[string]string{"staging": "whose overlay could not be read"}},
		{name: "suspended", given: func(s *PipelineSnapshot) {
			s.Suspended, s.Releases, s.Promotions = true, []Release{v1, v2}, adopted
		}, wait: map[string]string{"dev": "suspended"}},
		{name: "Git unknown", given: func(s *PipelineSnapshot) {
			s.Environments[0].GitKnown = false
			s.Releases, s.Promotions = []Release{v1, v2}, adopted
		}, wait: map[string]string{"dev": "Git could not be read"}},
		{name: "a quarantined Release does not enter, an older one that may does", given: func(s *PipelineSnapshot) {
			s.Environments[0].Images = nil
			s.Releases = []Release{v1, quarantined}
		}, create: "app-dev-" + v1.Name[4:] + "-1"},
		{name: "its digest does not enter under another tag", given: func(s *PipelineSnapshot) {
			again := Release{Name: "app-again", Sequence: 3, Images: []Image{{Repository: "registry/app", Tag: "v9", Digest: img("v2").Digest}}}
			s.Releases, s.Promotions = []Release{v1, quarantined, again}, adopted
		}, wait: map[string]string{"dev": "quarantined"}},
		{name: "a rejected Release is not brought again", given: func(s *PipelineSnapshot) {
			s.Releases, s.Promotions = []Release{v1, v2}, also(adopted, promo("dev", v2, 2, Rejected))
		}, wait: map[string]string{"dev": "serin retry"}},
		{name: "one that waits for approval is superseded", given: func(s *PipelineSnapshot) {
			s.Releases, s.Promotions = []Release{v1, v2, v3}, also(adopted, promo("dev", v2, 2, AwaitingApproval))
		}, create: "app-dev-" + v3.Name[4:] + "-1"},
		{name: "but not while it is frozen", given: func(s *PipelineSnapshot) {
			s.Environments[0].Freeze = []FreezeWindow{{Start: "0 8 * * *", Duration: 4 * time.Hour}}
			s.Releases, s.Promotions = []Release{v1, v2, v3}, also(adopted, promo("dev", v2, 2, AwaitingApproval))
		}, wait: map[string]string{"dev": "frozen until"}},
		{name: "one that rolls out is not interrupted", given: func(s *PipelineSnapshot) {
			s.Environments[0].Images = v2.Images
			s.Releases, s.Promotions = []Release{v1, v2, v3}, also(adopted, promo("dev", v2, 2, RollingOut))
		}, wait: map[string]string{"dev": "waits for Promotion"}},
		{name: "a person's revert holds", given: func(s *PipelineSnapshot) {
			s.Releases, s.Promotions = []Release{v1, v2}, also(adopted, done("dev", v2, 2))
		}, held: v2.Name},
		{name: "a foreign image holds", given: func(s *PipelineSnapshot) {
			s.Environments[0].Images = []Image{img("v7")}
			s.Releases, s.Promotions = []Release{v1}, adopted
		}, held: v1.Name},
		{name: "a newer Release ends the hold; until its Promotion is there it is still reported", given: func(s *PipelineSnapshot) {
			s.Environments[0].Hold = Hold{Reason: "held", Release: v2.Name}
			s.Releases, s.Promotions = []Release{v1, v2, v3}, also(adopted, done("dev", v2, 2))
		}, create: "app-dev-" + v3.Name[4:] + "-1", held: v2.Name},
		{name: "then it has ended", given: func(s *PipelineSnapshot) {
			s.Environments[0].Hold = Hold{Reason: "held", Release: v2.Name}
			s.Releases, s.Promotions = []Release{v1, v2, v3}, also(adopted, done("dev", v2, 2), promo("dev", v3, 3, Writing))
		}},
		{name: "so does a person", given: func(s *PipelineSnapshot) {
			s.Environments[0].Hold = Hold{Reason: "held", Release: v2.Name}
			s.Request = Request{Verb: Resume, Environment: "dev", Token: "t"}
			s.Releases, s.Promotions = []Release{v1, v2}, also(adopted, done("dev", v2, 2))
		}, create: "app-dev-" + v2.Name[4:] + "-2"},
		{name: "a person who is faster is followed", given: func(s *PipelineSnapshot) {
			s.Environments[0].Images = v2.Images
			s.Releases, s.Promotions = []Release{v1, v2}, adopted
		}, create: "app-dev-" + v2.Name[4:] + "-1"},
		{name: "retry", given: func(s *PipelineSnapshot) {
			s.Request = Request{Verb: Retry, Environment: "dev", Token: "t", By: "ann"}
			s.Releases, s.Promotions = []Release{v1, quarantined}, also(adopted, promo("dev", v2, 2, RolledBack))
			s.Promotions[2].Previous = v1.Images
		}, create: "app-dev-" + v2.Name[4:] + "-2"},
		{name: "promote an older one", given: func(s *PipelineSnapshot) {
			s.Environments[0].Images = v2.Images
			s.Request = Request{Verb: Promote, Environment: "dev", Release: v1.Name, Token: "t"}
			s.Releases, s.Promotions = []Release{v1, v2}, also(adopted, done("dev", v2, 2))
		}, create: "app-dev-" + v1.Name[4:] + "-2"},
		{name: "which then stays", given: func(s *PipelineSnapshot) {
			back := done("dev", v1, 3)
			back.RequestedBy = "ann"
			s.Releases, s.Promotions = []Release{v1, v2}, also(adopted, done("dev", v2, 2), back)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := line(v1.Images, v1.Images)
			adopted = []Promotion{done("dev", v1, 1), done("staging", v1, 1)}
			c.given(&s)
			now := c.now
			if now.IsZero() {
				now = start.Add(time.Minute)
			}
			plan := DecidePipeline(s, now)
			created := ""
			if plan.Create != nil {
				created = plan.Create.Name
			}
			if created != c.create {
				t.Errorf("creates %q, want %q (%+v)", created, c.create, plan)
			}
			if hold := plan.Environments[0].Hold; hold.Release != c.held || (hold.Reason != "") != (c.held != "") {
				t.Errorf("hold %+v, want %q", hold, c.held)
			}
			for _, e := range plan.Environments {
				if want := c.wait[e.Name]; want != "" && !strings.Contains(e.Waiting, want) {
					t.Errorf("%s waits for %q, want %q", e.Name, e.Waiting, want)
				}
			}
		})
	}
}

func TestRetention(t *testing.T) {
	s := line([]Image{img("v5")}, []Image{img("v2")})
	s.HistoryLimit = 1
	for i := range int64(6) {
		s.Releases = append(s.Releases, rel(i+1, "v"+string(rune('1'+i))))
	}
	s.Releases[0].Quarantine = &Quarantine{Environment: "dev"}
	s.Suspended = true
	plan := DecidePipeline(s, start)
	// v6 is the newest, v5 and v2 are in Git, v4 is the history, v1 is
	// quarantined: v3 alone goes.
	if diff := cmp.Diff([]string{s.Releases[2].Name}, plan.Delete); diff != "" {
		t.Error(diff)
	}
}

// also is promotions with more after them; promotions stays as it is.
func also(promotions []Promotion, more ...Promotion) []Promotion {
	return slices.Concat(promotions, more)
}

// A wish that is too long for the record of a Promotion is refused in words, and
// a long name is cut: neither may keep the Pipeline from going on.
func TestLongRequests(t *testing.T) {
	if _, err := ParseRequest("promote/prod/" + strings.Repeat("x", 2000)); err == nil {
		t.Error("a request of 2,000 characters is taken")
	}
	v1 := rel(1, "v1")
	s := line(v1.Images, v1.Images)
	s.Releases = []Release{v1}
	s.Request = Request{Verb: Promote, Environment: "dev", Release: v1.Name, Token: "t", By: strings.Repeat("ü", 300)}
	plan := DecidePipeline(s, start)
	if plan.Create == nil || utf8.RuneCountInString(plan.Create.RequestedBy) > 256 || !utf8.ValidString(plan.Create.RequestedBy) {
		t.Errorf("Promotion %+v (%s)", plan.Create, plan.Refused)
	}
}
