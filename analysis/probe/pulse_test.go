package probe

import (
	"fmt"
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
			{"late as busy processes are", func() {
				for range 20 {
					clock.lose(grace)
					time.Sleep(2 * beat)
				}
			}, 0},
			{"late once", func() { time.Sleep(beat / 2); clock.lose(time.Second); time.Sleep(3 * time.Second) }, time.Second - grace},
			{"late twice", func() {
				for range 2 {
					clock.lose(time.Second)
					time.Sleep(2 * beat)
				}
			}, 2 * (time.Second - grace)},
			{"still late", func() { clock.lose(time.Second); time.Sleep(beat / 2) }, time.Second - beat/2 - grace},
			{"set back", func() { clock.lose(-time.Hour); time.Sleep(2 * time.Second) }, 0},
			{"one request within another", func() {
				if got := missed(func() { clock.lose(time.Second); time.Sleep(beat) }); got != time.Second-grace {
					t.Errorf("the inner one missed %s", got)
				}
				time.Sleep(time.Second)
			}, time.Second - grace},
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
// pod's fault, unless Serin could not compute for a good part of that time; and that
// then the answers of others prove nothing.
func TestTooLittleProcessorTime(t *testing.T) {
	t.Parallel()
	const timeout = time.Second
	for _, c := range []struct {
		name   string
		missed time.Duration
		// other is the status by which a second pod answers, 0 without one.
		other int
		want  string
	}{
		{"all is well", 0, 0, "no answer within 1s"},
		{"a little late", timeout/tolerable - 1, 0, "no answer within 1s"},
		{"too late", timeout / tolerable, 0, "Partial"},
		{"suspended", time.Hour, 0, "Partial"},
		{"too late, and another is well", time.Hour, 200, "Partial"},
		{"too late, and another is not", time.Hour, 500, "Partial"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := prober(t)
			// A clock that stands still but for one leap during the request, so that this
			// machine's load plays no part.
			began := time.Now()
			var late atomic.Int64
			p.pulse.now = func() time.Time { return began.Add(time.Duration(late.Load())) }
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if strings.HasPrefix(r.Host, "localhost:") {
					w.WriteHeader(c.other)
					return
				}
				if c.missed > 0 {
					late.Store(int64(beat + grace + c.missed))
				}
				<-r.Context().Done()
			}))
			t.Cleanup(server.Close)
			at := netip.MustParseAddrPort(server.Listener.Addr().String())
			hangs := analysis.Check{Name: "h", Kind: analysis.KindHTTP, HTTP: &analysis.HTTP{Port: int32(at.Port()), Timeout: timeout}}
			pods := Pods{Canary: []Pod{{Name: "a", IP: at.Addr().String()}}}
			if c.other != 0 {
				pods.Canary = append(pods.Canary, Pod{Name: "b", IP: "localhost"})
			}
			o := p.Look(t.Context(), hangs, pods, began)
			got := fmt.Sprint(o.Probes)
			if o.Absence != nil {
				got = string(o.Absence.Kind)
			}
			if !strings.Contains(got, c.want) || strings.Contains(got, "no answer") != (c.missed < timeout/tolerable) {
				t.Errorf("got %+v (%+v), want %s", o.Probes, o.Absence, c.want)
			}
		})
	}
}
