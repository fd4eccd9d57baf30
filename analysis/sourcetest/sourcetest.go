// Package sourcetest is the conformance suite of analysis.Source: what every
// implementation has to do, run against a real server that scrapes programs which
// count what they do.
package sourcetest

import (
	"testing"
	"time"

	"github.com/serin-gitops/serin/analysis"
)

// Server is a real server that answers, and the Source that asks it.
type Server struct {
	Source analysis.Source
	// Scrape has these targets, and no others, scraped from now on, every few
	// seconds, and stored with the labels of each. It is never called twice at once.
	Scrape func(t *testing.T, targets []Target)
	// Stop ends what answers questions, Start begins it again with the data that it
	// had; Start need not wait until it answers.
	Stop, Start func(t *testing.T)
	// Native is true where native histograms are stored and given back as such.
	Native bool
	// Away takes a part of what holds the samples away, and Back returns it; nil
	// where the server has no parts.
	Away, Back func(t *testing.T)
	// Partial is what the Source says while a part is away.
	Partial []Refusal
	// Refused are Sources whose questions the server refuses, or has no answer to.
	Refused []Refusal
}

// Target is one program to scrape.
type Target struct {
	// Address is a host and a port; the path is /metrics.
	Address string
	Labels  map[string]string
}

// Refusal is what a Source says where it has no answer.
type Refusal struct {
	Name   string
	Source analysis.Source
	Kind   analysis.AbsenceKind
	// Says is part of the message.
	Says string
}

// patience is how long a condition is waited for. A loaded machine is slow, and
// no test asserts time.
const patience = 5 * time.Minute

// Run tries the Source of a server. Those tests that leave the server alone run
// at the same time, each with programs of its own.
func Run(t *testing.T, server Server) {
	s := &suite{Server: server, programs: map[*Program]bool{}}
	t.Run("whole", func(t *testing.T) {
		for _, test := range []struct {
			name string
			run  func(t *testing.T, w *world)
		}{
			{"what is served is counted exactly", testCount},
			{"counters that begin again are counted exactly", testReset},
			{"pods that come and go are counted exactly", testChurn},
			{"missed scrapes lose no request", testMissed},
			{"under steady load no request is lost or doubled", testLoad},
			{"windows are open at their start and closed at their end", testBounds},
			{"a number is as fresh as the samples", testFresh},
			{"nothing is told from a bad query", testAbsences},
		} {
			t.Run(test.name, func(t *testing.T) {
				t.Parallel()
				test.run(t, s.world(t, test.name))
			})
		}
		for _, refusal := range server.Refused {
			t.Run("refused: "+refusal.Name, func(t *testing.T) {
				t.Parallel()
				testRefused(t, s.world(t, refusal.Name), refusal)
			})
		}
	})
	if server.Away != nil {
		t.Run("a partial answer is held and never counted", func(t *testing.T) { testPartial(t, s.world(t, "partial")) })
	}
	t.Run("an outage freezes, thaws and loses no request", func(t *testing.T) { testOutage(t, s.world(t, "outage")) })
}
