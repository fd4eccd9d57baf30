package probe

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/cel-go/cel"

	"github.com/serin-gitops/serin/analysis"
)

// answering is a pod that answers so, and a check of it.
func answering(t *testing.T, text, expression string) (analysis.Check, Pod) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(text)) // the client may hang up
	}))
	t.Cleanup(server.Close)
	at := netip.MustParseAddrPort(server.Listener.Addr().String())
	return analysis.Check{Name: "h", Kind: analysis.KindHTTP, HTTP: &analysis.HTTP{Port: int32(at.Port()), Path: "/", Expression: expression}}, Pod{Name: "a", IP: at.Addr().String()}
}

// alternating is the port of a server that gives each answer in turn.
func alternating(t *testing.T, answers ...string) int32 {
	t.Helper()
	var turn atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(answers[int(turn.Add(1)-1)%len(answers)])) // the client may hang up
	}))
	t.Cleanup(server.Close)
	return int32(netip.MustParseAddrPort(server.Listener.Addr().String()).Port())
}

func prober(t *testing.T) *Prober {
	t.Helper()
	p, err := New()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// list is JSON of about so many bytes that repeats an element.
func list(element string, length int) string {
	return "[" + strings.Repeat(element+",", length/(len(element)+1)) + element + "]"
}

// TestNoRoom states that a large answer without room for it is no failed sample and
// no passed one, nor are those that came beside it; that small ones have room all the
// same, and that room is given back.
func TestNoRoom(t *testing.T) {
	p := prober(t)
	large, pod := answering(t, list("1", 500<<10), "size(json) > 1000")
	port := large.HTTP.Port
	small, other := answering(t, "[1]", "size(json) == 1")
	look := func(check analysis.Check, pods ...Pod) analysis.Observation {
		return p.Look(t.Context(), check, Pods{Canary: pods}, time.Now())
	}
	if !p.room.texts.TryAcquire(maxTexts) {
		t.Fatal("not all of the room is free")
	}
	if o := look(large, pod); o.Absence == nil || o.Absence.Kind != analysis.Partial || !strings.Contains(o.Absence.Message, "too many large ones") {
		t.Errorf("a large answer without room: %+v, want Partial", o)
	}
	mixed := alternating(t, list("1", 500<<10), "[1]")
	large.HTTP.Port = mixed
	if o := look(large, pod, pod); o.Absence == nil || o.Absence.Kind != analysis.Partial || len(o.Probes) != 0 {
		t.Errorf("a bad answer beside a large one without room: %+v, want Partial", o)
	}
	if o := look(small, other); len(o.Probes) != 1 || !o.Probes[0].Pass {
		t.Errorf("a small answer: %+v, want a pass", o)
	}
	p.room.texts.Release(maxTexts)
	if o := look(large, pod, pod); len(o.Probes) != 2 || o.Probes[0].Pass == o.Probes[1].Pass {
		t.Errorf("a bad answer beside a large one with room: %+v, want a pass and a failure", o)
	}
	large.HTTP.Port = port
	if o := look(large, pod); len(o.Probes) != 1 || !o.Probes[0].Pass {
		t.Errorf("a large answer with room: %+v, want a pass", o)
	}
	if !p.room.texts.TryAcquire(maxTexts) || !p.room.values.TryAcquire(maxValues) {
		t.Error("not all of the room was given back")
	}
}

// TestNoTime states that an answer whose evaluation is cut short by the look's end is
// neither a failed sample nor a passed one.
func TestNoTime(t *testing.T) {
	p := prober(t)
	program, err := p.expressions.compile("json.all(x, x == 1)", cel.BoolType)
	if err != nil {
		t.Fatal(err)
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := evaluate[bool](over, program, response{body: []byte(list("1", 10<<10))}); !errors.Is(err, errNotJudged) {
		t.Errorf("got %v, want that it is not counted", err)
	}
}

// texts are JSON of up to 1 MiB that takes a lot once parsed.
func texts() map[string]string {
	return map[string]string{
		"numbers": list("1", 1<<20), "objects": list("{}", 1<<20), "small objects": list(`{"":0}`, 1<<20), "lists": list("[]", 1<<20),
		"texts": list(`"a"`, 1<<20), "lists in lists": list("[[1]]", 1<<20), "peers": list(`{"Addr":"/ip4/10.0.0.1/tcp/4001","Peer":"12D3KooWGRUfh"}`, 1<<20),
	}
}

// TestWeights wants an answer to weigh no less than it takes once parsed.
func TestWeights(t *testing.T) {
	for name, text := range texts() {
		var parsed any
		raw := []byte(text)
		before := heap()
		if err := json.Unmarshal(raw, &parsed); err != nil {
			t.Fatal(err)
		}
		took := int64(heap()) - int64(before)
		runtime.KeepAlive(parsed)
		runtime.KeepAlive(raw)
		if weight := weigh(raw); took > weight {
			t.Errorf("%s: takes %d bytes, weighed as %d", name, took, weight)
		}
	}
}

// TestHeavyManyLargeAnswers wants what many pods answer at once to take bounded
// memory. They are asked without a timeout, so that the load of this machine plays no
// part.
func TestHeavyManyLargeAnswers(t *testing.T) {
	const many = 16
	check, pod := answering(t, list(`{"":0}`, 1<<20-10), "size(json) > 1000")
	p := prober(t)
	p.client.HTTPClient.Transport = &http.Transport{}
	program, err := p.expressions.compile(check.HTTP.Expression, cel.BoolType)
	if err != nil {
		t.Fatal(err)
	}
	endless := turn{patient: t.Context(), limited: t.Context(), parallel: many, lost: new(atomic.Pointer[string])}
	ask := func(pod Pod) (pass bool) {
		if err := p.request(t.Context(), endless, endpoint{port: check.HTTP.Port}, pod, func(r response) (err error) {
			pass, err = evaluate[bool](t.Context(), program, r)
			return err
		}); err != nil {
			t.Error(err)
		}
		return pass
	}
	before, peak := heap(), uint64(0)
	done := make(chan struct{})
	var watch sync.WaitGroup
	watch.Go(func() {
		ticker := time.NewTicker(50 * time.Millisecond)
		defer ticker.Stop()
		for {
			select {
			case <-done:
				return
			case <-ticker.C:
				peak = max(peak, heap())
			}
		}
	})
	passed := each(endless, slices.Repeat([]Pod{pod}, many), ask)
	close(done)
	watch.Wait()
	if slices.Contains(passed, false) {
		t.Errorf("got %v, want all to pass", passed)
	}
	if took := (int64(peak) - int64(before)) >> 20; took > 300 {
		t.Errorf("%d answers of 1 MiB took %d MiB at once", many, took)
	}
}

// heap is what the heap holds after a collection, in bytes.
func heap() uint64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}
