package environments

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestWithhold(t *testing.T) {
	all := []Environment{{Name: "dev"}, {Name: "staging", After: []string{"dev"}}, {Name: "prod", After: []string{"staging"}}}
	v1, v2 := rel(1, "v1"), rel(2, "v2")
	digest := string(v2.Images[0].Digest)
	rejects := func(environment, reason string, images ...string) Rejection {
		return Rejection{Environment: environment, Reason: reason, Images: images}
	}
	undigested := Release{Name: "app-edge", Images: []Image{{Repository: "registry/app", Tag: "edge"}}}
	for _, c := range []struct {
		name       string
		release    Release
		rejections []Rejection
		want       *Quarantine
	}{
		{"nothing rejected", v2, nil, nil},
		{"another image", v1, []Rejection{rejects("prod", "bad", digest)}, nil},
		{"rejected", v2, []Rejection{rejects("prod", "bad", digest)}, &Quarantine{Environment: "prod", Reason: "bad", Images: v2.Images}},
		{"in two, the first bars more", v2, []Rejection{rejects("prod", "bad", digest), rejects("dev", "worse", digest)},
			&Quarantine{Environment: "dev", Reason: "worse", Images: v2.Images}},
		{"in two, in the other order", v2, []Rejection{rejects("dev", "worse", digest), rejects("prod", "bad", digest)},
			&Quarantine{Environment: "dev", Reason: "worse", Images: v2.Images}},
		{"in one that is gone from the Pipeline, and in one that is not", v2, []Rejection{rejects("test", "old", digest), rejects("prod", "bad", digest)},
			&Quarantine{Environment: "prod", Reason: "bad", Images: v2.Images}},
		{"without a digest, by its tag", undigested, []Rejection{rejects("dev", "bad", "registry/app:edge")},
			&Quarantine{Environment: "dev", Reason: "bad", Images: undigested.Images}},
		{"its tag with a digest is another image", undigested, []Rejection{rejects("dev", "bad", digest)}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := Withhold([]Release{c.release}, c.rejections, all)
			if diff := cmp.Diff(c.want, got[0].Quarantine); diff != "" {
				t.Error(diff)
			}
			if c.release.Quarantine != nil {
				t.Error("the Release that was given was changed")
			}
		})
	}
	own := v2
	own.Quarantine = &Quarantine{Environment: "prod", Reason: "own", Images: v2.Images}
	if got := Withhold([]Release{own}, []Rejection{rejects("dev", "bad", digest)}, all); got[0].Quarantine.Reason != "own" {
		t.Errorf("the Release's own quarantine was replaced by %+v", got[0].Quarantine)
	}
}

// Regions of one wave come after the same Environment and not after each other:
// what failed in several is rejected in each, whichever was first.
func TestRejectedInSeveralRegions(t *testing.T) {
	all := []Environment{
		{Name: "dev"}, {Name: "eu", After: []string{"dev"}}, {Name: "us", After: []string{"dev"}}, {Name: "asia", After: []string{"dev"}},
		{Name: "eu-late", After: []string{"eu"}},
	}
	v2 := rel(2, "v2")
	for _, c := range []struct {
		name   string
		places []string
		want   *Quarantine
	}{
		{"two", []string{"eu", "us"}, &Quarantine{Environment: "eu", AlsoIn: []string{"us"}}},
		{"two, again", []string{"eu", "us", "us", "eu"}, &Quarantine{Environment: "eu", AlsoIn: []string{"us"}}},
		{"three", []string{"us", "asia", "eu"}, &Quarantine{Environment: "us", AlsoIn: []string{"asia", "eu"}}},
		{"one after another", []string{"eu", "us", "eu-late"}, &Quarantine{Environment: "eu", AlsoIn: []string{"us"}}},
		{"one before another", []string{"us", "eu-late", "eu"}, &Quarantine{Environment: "us", AlsoIn: []string{"eu"}}},
		{"one before all", []string{"us", "eu", "dev"}, &Quarantine{Environment: "dev"}},
		{"one that is gone", []string{"us", "test"}, &Quarantine{Environment: "us"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got *Quarantine
			for _, place := range c.places {
				got = got.With(place, "bad", v2.Images, all)
			}
			c.want.Reason, c.want.Images = "bad", v2.Images
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Fatal(diff)
			}
			release := v2
			release.Quarantine = got
			for _, place := range c.places {
				if place != "test" && len(RejectedImages(place, []Release{release}, all)) != 1 {
					t.Errorf("it is not rejected in %s, where it failed", place)
				}
			}
		})
	}
}
