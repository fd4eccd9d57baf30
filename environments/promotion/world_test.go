package promotion

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/serin-gitops/serin/environments"
)

// world is a Pipeline with everything around it: Git, the host's pull requests,
// the cluster and people. Its steps come in any order.
type world struct {
	t        *testing.T
	rng      *rand.Rand
	now      time.Time
	envs     []environments.Environment
	git      map[string][]environments.Image
	holds    map[string]environments.Hold
	releases []environments.Release
	promos   []environments.Promotion
	pulls    map[string]*pull
	bad      map[environments.Digest]string // image -> environment in which it fails
	request  environments.Request
	handled  string
	// asked are the last requests upon Promotions, by name.
	asked   map[string]environments.Request
	commits int
	pushed  int
	// crash is the chance that a controller dies between its act and its report.
	crash float64
}

// pull is the host's pull request of an Environment.
type pull struct {
	environments.Proposal
	images []environments.Image
}

func newWorld(t *testing.T, rng *rand.Rand) *world {
	w := &world{t: t, rng: rng, now: start, git: map[string][]environments.Image{}, holds: map[string]environments.Hold{}, pulls: map[string]*pull{}, bad: map[environments.Digest]string{}, asked: map[string]environments.Request{}}
	w.envs = []environments.Environment{
		{Name: "dev", Entry: environments.ByCommit, Return: environments.ReturnByCommit, Deadline: time.Hour},
		{Name: "staging", After: []string{"dev"}, Entry: environments.ByPullRequest, Return: environments.ReturnByCommit, Deadline: time.Hour, Soak: time.Minute},
		{Name: "prod", After: []string{"staging"}, Entry: environments.ByPullRequest, Return: environments.ReturnByPullRequest, Deadline: time.Hour},
	}
	for _, e := range w.envs {
		w.git[e.Name] = []environments.Image{number(0)}
	}
	w.push("")
	return w
}

func number(n int) environments.Image {
	return environments.Image{Repository: "registry/app", Tag: fmt.Sprintf("v%d", n), Digest: environments.Digest(fmt.Sprintf("sha256:%064d", n))}
}

// push releases a new image, that fails in an environment or in none.
func (w *world) push(failsIn string) {
	image := number(w.pushed)
	w.pushed++
	w.bad[image.Digest] = failsIn
	found := environments.Discover("app", []environments.Image{image}, w.releases)
	if found.Release == nil {
		w.t.Fatalf("no Release of %s: %s", image, found.Reason)
	}
	w.releases = append(w.releases, *found.Release)
}

func (w *world) release(name string) *environments.Release {
	return &w.releases[slices.IndexFunc(w.releases, func(r environments.Release) bool { return r.Name == name })]
}

func (w *world) crashes() bool { return w.rng.Float64() < w.crash }

// pipeline is one reconcile of the Pipeline.
func (w *world) pipeline() bool {
	s := environments.PipelineSnapshot{Name: "app", Releases: slices.Clone(w.releases), Promotions: slices.Clone(w.promos), HistoryLimit: 100}
	if w.request.Token != w.handled {
		s.Request = w.request
	}
	for _, e := range w.envs {
		s.Environments = append(s.Environments, environments.EnvironmentSnapshot{Environment: e, GitKnown: true, Images: w.git[e.Name], Hold: w.holds[e.Name]})
	}
	plan := environments.DecidePipeline(s, w.now)
	changed := false
	if c := plan.Create; c != nil && !slices.ContainsFunc(w.promos, func(p environments.Promotion) bool { return p.Name == c.Name }) {
		created := *c
		created.Created = w.now
		w.promos = append(w.promos, created)
		changed = true
	}
	for _, e := range plan.Environments {
		changed = changed || w.holds[e.Name] != e.Hold
	}
	if w.crashes() {
		return changed
	}
	if plan.Handled != "" {
		w.handled = plan.Handled
	}
	for _, e := range plan.Environments {
		w.holds[e.Name] = e.Hold
	}
	return changed
}

// promotion is one reconcile of a Promotion.
func (w *world) promotion(i int) bool {
	p := w.promos[i]
	s := Snapshot{
		Promotion: p, Release: *w.release(p.Release),
		Rejected: environments.RejectedImages(p.Environment, w.releases, w.envs),
		Git:      Git{Known: true, Tip: fmt.Sprint(w.commits), Images: w.git[p.Environment]},
	}
	s.Environment = w.envs[slices.IndexFunc(w.envs, func(e environments.Environment) bool { return e.Name == p.Environment })]
	newer, older := environments.Rivals(p, w.promos)
	if newer != nil {
		s.Newer = newer.Name
	}
	if older != nil {
		s.Older = older.Name
	}
	if p.Proposal != nil {
		s.Proposal = &environments.Proposal{ID: p.Proposal.ID, State: environments.ProposalClosed}
		if pull := w.pulls[p.Environment]; pull != nil {
			shown := pull.Proposal
			s.Proposal = &shown
		}
	}
	if w.asked[p.Name].Token != p.Handled {
		s.Request = w.asked[p.Name]
	}
	if p.Phase == environments.Applying || p.Phase == environments.RollingOut || p.Phase == environments.Soaking {
		s.Workloads = w.workload(p.Environment)
	}
	plan := DecidePromotion(s, w.now)
	w.act(s, &plan)
	changed := plan.Record.Phase != p.Phase || plan.Action != Nothing
	if w.crashes() {
		return changed
	}
	w.promos[i] = plan.Record
	return changed
}

func (w *world) workload(environment string) []Workload {
	image := w.git[environment][0]
	state := WorkloadReady
	if w.bad[image.Digest] == environment {
		state = WorkloadFailed
	} else if w.rng.IntN(3) == 0 {
		state = WorkloadRolling
	}
	return []Workload{{Name: "web", State: state, Message: string(state)}}
}

// act carries a plan out and checks what must hold of every write.
func (w *world) act(s Snapshot, plan *Plan) {
	environment := s.Environment.Name
	switch plan.Action {
	case WriteCommit, RestoreByCommit, WriteProposal, RestoreByProposal:
		for _, image := range plan.Images {
			if slices.Contains(s.Rejected, image) && s.Promotion.RequestedBy == "" {
				w.t.Fatalf("%s writes the rejected %s into %s", plan.Action, image, environment)
			}
		}
	default:
	}
	switch plan.Action {
	case WriteCommit, RestoreByCommit:
		w.git[environment] = plan.Images
		w.commits++
	case WriteProposal, RestoreByProposal:
		w.pulls[environment] = &pull{images: plan.Images, Proposal: environments.Proposal{
			ID: environment, State: environments.ProposalOpen, Base: fmt.Sprint(w.commits), Restores: plan.Action == RestoreByProposal}}
		shown := w.pulls[environment].Proposal
		plan.Record.Proposal = &shown
	case MergeProposal:
		w.merge(environment)
	case CloseProposal:
		w.pulls[environment].State = environments.ProposalClosed
	case RemoveProposal:
		delete(w.pulls, environment)
	case QuarantineRelease:
		w.release(s.Release.Name).Quarantine = &environments.Quarantine{Environment: environment, Images: plan.Images, Reason: "failed"}
	case Nothing:
	}
}

func (w *world) merge(environment string) {
	if p := w.pulls[environment]; p != nil && p.State == environments.ProposalOpen {
		p.State = environments.ProposalMerged
		w.git[environment] = p.images
		w.commits++
	}
}

// check states what must hold at every moment.
func (w *world) check() {
	for _, e := range w.envs {
		open := 0
		for _, p := range w.promos {
			if p.Environment == e.Name && !p.Phase.Ended() && p.Phase != environments.Pending && p.Phase != "" {
				open++
			}
		}
		if open > 1 {
			w.t.Fatalf("%d Promotions are under way in %s", open, e.Name)
		}
		if p := w.pulls[e.Name]; p != nil && p.Restores && p.State == environments.ProposalOpen && !slices.ContainsFunc(w.promos, func(p environments.Promotion) bool {
			return p.Environment == e.Name && p.Phase == environments.RollingBack
		}) {
			w.t.Fatalf("a rollback's pull request is open in %s, and nothing is rolled back there", e.Name)
		}
	}
}

// settle runs the controllers until nothing changes; people merge what is open.
func (w *world) settle() {
	for range 500 {
		changed := w.pipeline()
		for i := range w.promos {
			changed = w.promotion(i) || changed
		}
		for _, e := range w.envs {
			if p := w.pulls[e.Name]; p != nil && p.State == environments.ProposalOpen {
				w.merge(e.Name)
				changed = true
			}
		}
		w.check()
		w.now = w.now.Add(20 * time.Second)
		running := slices.ContainsFunc(w.promos, func(p environments.Promotion) bool { return !p.Phase.Ended() })
		soaking := slices.ContainsFunc(w.promos, func(p environments.Promotion) bool {
			return p.Phase == environments.Succeeded && w.now.Sub(p.Succeeded) < 2*time.Minute
		})
		if !changed && !running && !soaking {
			return
		}
	}
	w.t.Fatalf("it does not come to rest: %+v", w.promos[len(w.promos)-1])
}

// disturb does one thing that may happen at any moment.
func (w *world) disturb() {
	environment := w.envs[w.rng.IntN(len(w.envs))].Name
	switch w.rng.IntN(26) {
	case 0:
		w.push("")
	case 1:
		w.push(environment)
	case 2:
		w.merge(environment)
	case 3, 4:
		reopened := func(p *pull) bool { return p.State == environments.ProposalClosed && p.Restores }
		if p := w.pulls[environment]; p != nil && p.State != environments.ProposalMerged && !reopened(p) {
			p.State = map[bool]environments.ProposalState{true: environments.ProposalClosed, false: environments.ProposalOpen}[p.State == environments.ProposalOpen]
		}
	case 5:
		w.git[environment] = []environments.Image{number(w.rng.IntN(w.pushed))}
		w.commits++
	case 6:
		w.request = environments.Request{Verb: environments.Resume, Environment: environment, Token: fmt.Sprint(w.rng.Uint64())}
	case 7:
		w.request = environments.Request{Verb: environments.Retry, Environment: environment, Token: fmt.Sprint(w.rng.Uint64()), By: "ann"}
	case 8:
		w.now = w.now.Add(time.Duration(w.rng.IntN(120)) * time.Second)
	case 9, 10, 11, 12:
		w.pipeline()
	case 24:
		if len(w.promos) > 0 {
			verb := map[bool]environments.Verb{true: environments.Approve, false: environments.Reject}[w.rng.IntN(3) == 0]
			w.asked[w.promos[w.rng.IntN(len(w.promos))].Name] = environments.Request{Verb: verb, Token: fmt.Sprint(w.rng.Uint64()), By: "ann"}
		}
	default:
		if len(w.promos) > 0 {
			w.promotion(w.rng.IntN(len(w.promos)))
		}
	}
	w.check()
}

// In any order of events and crashes no rejected image is written again, one
// Promotion at a time is under way in an Environment, and once people leave it
// alone a good new Release reaches every Environment.
func TestAnyOrderOfEvents(t *testing.T) {
	for seed := range uint64(40) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			w := newWorld(t, rand.New(rand.NewPCG(seed, 1)))
			w.crash = 0.1
			for range 300 {
				w.disturb()
			}
			w.crash = 0
			w.settle()
			w.push("")
			w.settle()
			last := w.releases[len(w.releases)-1]
			for _, e := range w.envs {
				if !environments.Carries(w.git[e.Name], last.Images) {
					t.Errorf("%s has %s, want %s; hold %+v", e.Name, environments.Describe(w.git[e.Name]), last.Tags(), w.holds[e.Name])
				}
			}
		})
	}
}

// A crash between any act and its report changes neither the end nor the number
// of commits.
func TestCrashAnywhere(t *testing.T) {
	run := func(crash float64, seed uint64) *world {
		w := newWorld(t, rand.New(rand.NewPCG(seed, 2)))
		w.crash = crash
		w.settle()
		w.push("")
		w.settle()
		w.push("prod")
		w.settle()
		return w
	}
	want := run(0, 0)
	if bad := want.releases[2]; bad.Quarantine == nil || bad.Quarantine.Environment != "prod" {
		t.Fatalf("the bad Release is not quarantined: %+v", bad)
	}
	for seed := range uint64(40) {
		got := run(0.4, seed)
		for _, e := range want.envs {
			if !environments.Carries(got.git[e.Name], want.git[e.Name]) {
				t.Errorf("seed %d: %s has %s, want %s", seed, e.Name, environments.Describe(got.git[e.Name]), environments.Describe(want.git[e.Name]))
			}
		}
		if got.commits != want.commits {
			t.Errorf("seed %d: %d commits, want %d", seed, got.commits, want.commits)
		}
	}
}
