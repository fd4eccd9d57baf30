package prometheus_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/serin-gitops/serin/analysis"
	"github.com/serin-gitops/serin/analysis/prometheus"
)

const (
	matrixBegins = `{"status":"success","data":{"resultType":"matrix","result":[`
	matrixEnds   = `]}}`
)

// patience is a timeout that plays no part where these tests have few processors, or
// little of one.
const patience = 10 * time.Minute

// large writes an answer of one series with at least so many bytes of samples.
func large(w io.Writer, length int) error {
	if _, err := io.WriteString(w, matrixBegins+`{"metric":{"pod":"a"},"values":[`); err != nil {
		return err
	}
	text, written := strings.Builder{}, 0
	for i := 0; written < length; i++ {
		fmt.Fprintf(&text, `[1000.%09d,"%0100d"],`, i, i)
		if text.Len() < 1<<20 {
			continue
		}
		n, err := io.WriteString(w, text.String())
		if err != nil {
			return err
		}
		written += n
		text.Reset()
	}
	_, err := io.WriteString(w, `[1001,"1"]]}`+matrixEnds)
	return err
}

// bomb writes an answer of one series with at least so many bytes of samples,
// packed: as gzip allows, in parts, of which the one in the middle comes again.
func bomb(w io.Writer, length int) error {
	samples := strings.Repeat(`[1000,"1"],`, 100_000)
	for _, part := range []struct {
		text  string
		times int
	}{{matrixBegins + `{"metric":{"pod":"a"},"values":[`, 1}, {samples, 1 + length/len(samples)}, {`[1001,"1"]]}` + matrixEnds, 1}} {
		var packed bytes.Buffer
		writer := gzip.NewWriter(&packed)
		_, err := io.WriteString(writer, part.text)
		if err := errors.Join(err, writer.Close()); err != nil {
			return err
		}
		for range part.times {
			if _, err := w.Write(packed.Bytes()); err != nil {
				return err
			}
		}
	}
	return nil
}

// counted notes what was written to a client before it hung up.
type counted struct {
	http.ResponseWriter
	bytes *atomic.Int64
}

// Write implements io.Writer.
func (c counted) Write(p []byte) (int, error) {
	n, err := c.ResponseWriter.Write(p)
	c.bytes.Add(int64(n))
	return n, err
}

// series asks for raw samples.
func series(t *testing.T, c *prometheus.Client, selector string) ([]analysis.Series, error) {
	t.Helper()
	return c.Series(t.Context(), analysis.SeriesQuery{Selector: selector, Start: time.Unix(999, 0), End: time.Unix(1002, 0)})
}

// TestLargeAnswers wants an answer of any size to cost bounded memory, to hold,
// and to say what to do.
func TestLargeAnswers(t *testing.T) {
	const endless = 96 << 20
	for _, tc := range []struct {
		name    string
		handler func(w http.ResponseWriter) error
		kind    analysis.AbsenceKind
		says    string
		most    int64
	}{
		{"without end", func(w http.ResponseWriter) error { return large(w, endless) }, analysis.Partial, "larger than 32 MiB, and was not read to its end: narrow the query by label matchers, or look at shorter windows: many[", 64 << 20},
		{"announced", func(w http.ResponseWriter) error {
			w.Header().Set("Content-Length", strconv.Itoa(endless))
			return large(w, endless)
		}, analysis.Partial, "larger than 32 MiB", 16 << 20},
		{"packed, unasked", func(w http.ResponseWriter) error {
			w.Header().Set("Content-Encoding", "gzip")
			return bomb(w, endless)
		}, analysis.Outage, "bad_response", 64 << 20},
		{"of many series", func(w http.ResponseWriter) error {
			_, err := io.WriteString(w, matrixBegins+strings.Repeat(`{"metric":{"a":"b"},"values":[[1001,"1"]]},`, 120_000)+`{}`+matrixEnds)
			return err
		}, analysis.Partial, "more than 100000 series", 64 << 20},
		{"of many samples", func(w http.ResponseWriter) error {
			_, err := io.WriteString(w, matrixBegins+`{"values":[`+strings.Repeat(`[1,"1"],`, 2_100_000)+`[1,"1"]]}`+matrixEnds)
			return err
		}, analysis.Partial, "more than 2000000 samples", 64 << 20},
		{"an error page", func(w http.ResponseWriter) error {
			w.WriteHeader(http.StatusNotFound)
			return large(w, endless)
		}, analysis.Partial, "larger than 1 MiB", 16 << 20},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var sent atomic.Int64
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				_ = tc.handler(counted{w, &sent}) // the client hangs up
			}))
			defer server.Close()
			_, err := series(t, newClient(t, prometheus.Options{URL: server.URL, Timeout: patience}), "many")
			wantAbsence(t, err, tc.kind, tc.says)
			if sent.Load() > tc.most {
				t.Errorf("%d bytes were taken, want at most %d", sent.Load(), tc.most)
			}
		})
	}
}

// TestSerialLargeAnswerIsRead wants an answer within the limits counted to its last
// sample.
func TestSerialLargeAnswerIsRead(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_ = large(w, 30<<20) // what it fails to send, the client misses
	}))
	defer server.Close()
	got, err := series(t, newClient(t, prometheus.Options{URL: server.URL, Timeout: patience}), "many")
	if err != nil || len(got) != 1 || got[0].Samples[len(got[0].Samples)-1].Value != 1 {
		t.Fatalf("%d series, %v; want one, to its last sample", len(got), err)
	}
}

// TestHeavyLargeAnswersTogether wants what is read at once bounded over all sources
// of a pool, and given back when it was read.
func TestHeavyLargeAnswersTogether(t *testing.T) {
	const each, many = 30 << 20, 8
	var pool prometheus.Pool
	var arrived sync.WaitGroup
	arrived.Add(many)
	finish := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/small/api/v1/query" {
			_, _ = io.WriteString(w, strings.Repeat(" ", each)) // the client may hang up
		}
		if strings.HasPrefix(r.URL.Path, "/first/") {
			arrived.Done()
			<-finish
		}
		answer(`{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1,"7"]}]}}`)(w, r)
	}))
	defer server.Close()
	client := func(path string) *prometheus.Client {
		c, err := pool.Get(prometheus.Options{URL: server.URL + path, Timeout: patience})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	errs := make([]error, many)
	var askers sync.WaitGroup
	for i := range many {
		c := client(fmt.Sprintf("/first/%d", i))
		askers.Go(func() { _, errs[i] = ask(t, c) })
	}
	arrived.Wait()
	if n, err := ask(t, client("/small")); err != nil || n != 7 {
		t.Errorf("a small answer beside: %v, %v; want 7", n, err)
	}
	close(finish)
	askers.Wait()
	answered := 0
	for _, err := range errs {
		if err == nil {
			answered++
			continue
		}
		wantAbsence(t, err, analysis.Partial, "larger than 128 MiB together")
	}
	if answered < 1 || answered > 4 {
		t.Errorf("%d of %d answers of 30 MiB were read at once, want 1 to 4", answered, many)
	}
	if n, err := ask(t, client("/again")); err != nil || n != 7 {
		t.Errorf("after the others: %v, %v; want 7", n, err)
	}
}
