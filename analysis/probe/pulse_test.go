package probe

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/serin-gitops/serin/analysis"
)

// lagging is a clock that another one can be put ahead of.
type lagging struct{ ahead atomic.Int64 }

func (l *lagging) now() time.Time { return time.Now().Add(time.Duration(l.ahead.Load())) }

func (l *lagging) lose(d time.Duration) { l.ahead.Add(int64(d)) }

// TestPulse states what of a time is missed: sleeps that last longer than a beat, also
// the one that is going on, and nothing while a process runs as it should.
func TestPulse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var clock lagging
		p := newPulse()
		p.now = clock.now
		missed := func(work func()) time.Duration {
			before := p.begin()
			work()
			return p.end() - before
		}
		for _, c := range []struct {
			name string
			work func()
			want time.Duration
		}{
			{"at rest", func() { time.Sleep(3 * time.Second) }, 0},
			{"less than a beat", func() { time.Sleep(beat / 2) }, 0},
			{"late once", func() { time.Sleep(beat / 2); clock.lose(time.Second); time.Sleep(3 * time.Second) }, time.Second},
			{"late twice", func() {
				for range 2 {
					clock.lose(time.Second)
					time.Sleep(2 * beat)
				}
			}, 2 * time.Second},
			{"still late", func() { clock.lose(time.Second); time.Sleep(beat / 2) }, time.Second - beat/2},
			{"set back", func() { clock.lose(-time.Hour); time.Sleep(2 * time.Second) }, 0},
			{"one request within another", func() {
				if got := missed(func() { clock.lose(time.Second); time.Sleep(beat) }); got != time.Second {
					t.Errorf("the inner one missed %s", got)
				}
				time.Sleep(time.Second)
			}, time.Second},
		} {
			if got := missed(c.work); got != c.want {
				t.Errorf("%s: missed %s, want %s", c.name, got, c.want)
			}
			// What is missed while nobody asks is not counted, and no goroutine stays.
			clock.lose(time.Minute)
			synctest.Wait()
		}
	})
}

// TestPulseBeginsAgain states that a run which ends as the next begins counts nothing
// of that one's.
func TestPulseBeginsAgain(t *testing.T) {
	var clock lagging
	p := newPulse()
	p.now = clock.now
	p.begin()
	old := p.stop
	p.end()
	before := p.begin()
	defer p.end()
	clock.lose(time.Minute)
	if p.woke(old) || p.missed != before {
		t.Errorf("%s missed, %s before", p.missed, before)
	}
}

// TestTooLittleProcessorTime states that an answer which did not come in time is the
// pod's fault, unless Serin could not compute for a good part of that time.
func TestTooLittleProcessorTime(t *testing.T) {
	t.Parallel()
	const timeout = 200 * time.Millisecond
	for _, c := range []struct {
		name   string
		missed time.Duration
		fault  bool
	}{
		{"all is well", 0, true},
		{"a little late", timeout/tolerable - 1, true},
		{"too late", timeout / tolerable, false},
		{"suspended", time.Hour, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := prober(t)
			// A clock that stands still but for one leap after the request's begin, so
			// that this machine's load plays no part.
			began := time.Now()
			var read atomic.Int32
			p.pulse.now = func() time.Time {
				if read.Add(1) == 1 || c.missed == 0 {
					return began
				}
				return began.Add(beat + c.missed)
			}
			server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
			t.Cleanup(server.Close)
			at := netip.MustParseAddrPort(server.Listener.Addr().String())
			check := analysis.Check{Name: "h", Kind: analysis.KindHTTP, HTTP: &analysis.HTTP{Port: int32(at.Port()), Timeout: timeout}}
			o := p.Look(t.Context(), check, Pods{Canary: []Pod{{Name: "a", IP: at.Addr().String()}}}, began)
			switch {
			case c.fault && (len(o.Probes) != 1 || o.Probes[0].Pass || !strings.Contains(o.Probes[0].Message, "no answer within 200ms")):
				t.Errorf("got %+v, want a failure", o)
			case !c.fault && (o.Absence == nil || o.Absence.Kind != analysis.NoData || !strings.Contains(o.Absence.Message, "processor time")):
				t.Errorf("got %+v, want no data", o)
			}
		})
	}
}
