package sync

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/serin-gitops/serin/overlays"
)

func newSyncer(t *testing.T, sources ...Source) (*Syncer, error) {
	t.Helper()
	s := &Syncer{sources: map[string]Source{}, queue: make(chan string, 8)}
	for _, src := range sources {
		if err := s.add(src); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func TestSourcesAreChecked(t *testing.T) {
	good := Source{Name: "web", Remote: overlays.Remote{URL: "https://git.example.com/acme/deploy"}, Branch: "main", Namespace: "serin-system"}
	with := func(change func(*Source)) Source {
		src := good
		change(&src)
		return src
	}
	tests := []struct {
		name    string
		sources []Source
		ok      bool
	}{
		{"one", []Source{good}, true},
		{"two", []Source{good, with(func(s *Source) { s.Name = "api" })}, true},
		{"the same name twice", []Source{good, good}, false},
		{"a name that is no label", []Source{with(func(s *Source) { s.Name = "Web_1" })}, false},
		{"no URL", []Source{with(func(s *Source) { s.Remote.URL = "" })}, false},
		{"no branch", []Source{with(func(s *Source) { s.Branch = "" })}, false},
		{"no namespace", []Source{with(func(s *Source) { s.Namespace = "" })}, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if _, err := newSyncer(t, test.sources...); (err == nil) != test.ok {
				t.Errorf("sources: %v, want accepted: %v", err, test.ok)
			}
		})
	}
}

func TestWakeFindsTheSources(t *testing.T) {
	at := func(name, url, branch string) Source {
		return Source{Name: name, Remote: overlays.Remote{URL: url}, Branch: branch, Namespace: "serin-system"}
	}
	s, err := newSyncer(t,
		at("one", "http://git.serin-system:3000/acme/deploy.git", "main"),
		at("two", "https://git.example.com/acme/deploy", "main"),
		at("three", "git@git.example.com:acme/deploy.git", "release"),
		at("four", "https://git.example.com/acme/other.git", "main"))
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		url, branch string
		want        []string
	}{
		{"http://127.0.0.1:8080/acme/deploy.git", "main", []string{"one", "two"}},
		{"https://git.example.com/acme/deploy", "release", []string{"three"}},
		{"ssh://git@git.example.com/acme/other", "main", []string{"four"}},
		{"https://git.example.com/acme/deploy", "none", nil},
		{"", "main", nil},
	}
	for _, test := range tests {
		s.Wake(test.url, test.branch)
		var got []string
		for len(s.queue) > 0 {
			got = append(got, <-s.queue)
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("Wake(%q, %q) (-want +got):\n%s", test.url, test.branch, diff)
		}
	}
}

func TestInventory(t *testing.T) {
	of := func(ids ...string) inventory {
		list := inventory{}
		for _, id := range ids {
			list = append(list, entry{ID: id, Version: "v1"})
		}
		return list
	}
	a, b := of("ns_a__ConfigMap", "ns_b__ConfigMap"), of("ns_b__ConfigMap", "ns_c_apps_Deployment")
	if diff := cmp.Diff(of("ns_a__ConfigMap", "ns_b__ConfigMap", "ns_c_apps_Deployment"), b.with(a)); diff != "" {
		t.Errorf("with (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(of("ns_a__ConfigMap"), a.without(b)); diff != "" {
		t.Errorf("without (-want +got):\n%s", diff)
	}
	objects, err := b.objects()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(inventoryOf(objects), b); diff != "" {
		t.Errorf("objects and back (-want +got):\n%s", diff)
	}
	if _, err := of("nonsense").objects(); err == nil {
		t.Error("an entry that is no id is accepted")
	}
}
