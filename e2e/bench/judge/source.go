package judge

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-retryablehttp"
)

// Source is a running server that answers as Prometheus does and counts what
// it is asked.
type Source struct {
	URL  string
	Stop func()
}

const countPath = "/asked"

// Asked is how many queries it has answered.
func (s Source) Asked(ctx context.Context) (int64, error) {
	request, err := retryablehttp.NewRequestWithContext(ctx, http.MethodGet, s.URL+countPath, nil)
	if err != nil {
		return 0, err
	}
	client := retryablehttp.NewClient()
	client.Logger = nil
	response, err := client.Do(request)
	if err != nil {
		return 0, fmt.Errorf("count of queries: %w", err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, 64))
	if err != nil {
		return 0, fmt.Errorf("count of queries: %w", err)
	}
	return strconv.ParseInt(string(text), 10, 64)
}

// ServeSource answers queries on a loopback port until ctx ends; it writes its
// address to out once it listens.
func ServeSource(ctx context.Context, out io.Writer) error {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	var asked atomic.Int64
	mux := http.NewServeMux()
	mux.HandleFunc("/api/v1/query", func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		answer(w, r)
	})
	mux.HandleFunc(countPath, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, asked.Load()) })
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if _, err := fmt.Fprintf(out, "http://%s\n", listener.Addr()); err != nil {
		return err
	}
	if err := server.Serve(listener); ctx.Err() == nil {
		return err
	}
	return nil
}

var (
	podPattern  = regexp.MustCompile(`(web-[0-9]+-(?:stable|canary)-)`)
	spanPattern = regexp.MustCompile(`\[([0-9]+)ms\]$`)
)

const (
	// pods of each arm, and how far apart they are scraped.
	pods   = 3
	scrape = 10 * time.Second
)

type series struct {
	Metric map[string]string `json:"metric"`
	Values [][2]any          `json:"values"`
}

// answer gives what a range selector would: counters of every pod that the
// selector names, as a healthy program's.
func answer(w http.ResponseWriter, r *http.Request) {
	query, at := r.FormValue("query"), r.FormValue("time")
	span, instant, err := stretch(query, at)
	if err != nil {
		http.Error(w, fmt.Sprintf(`{"status":"error","errorType":"bad_data","error":%q}`, err), http.StatusBadRequest)
		return
	}
	var result []series
	seen := map[string]bool{}
	for _, prefix := range podPattern.FindAllString(query, -1) {
		if !seen[prefix] {
			seen[prefix] = true
			result = append(result, arm(query, prefix, instant.Add(-span), instant)...)
		}
	}
	w.Header().Set("Content-Type", "application/json")
	// A client that has gone away needs no answer.
	_ = json.NewEncoder(w).Encode(map[string]any{"status": "success", "data": map[string]any{"resultType": "matrix", "result": result}})
}

func stretch(query, at string) (time.Duration, time.Time, error) {
	found := spanPattern.FindStringSubmatch(query)
	if found == nil {
		return 0, time.Time{}, fmt.Errorf("query %q is no range selector", query)
	}
	millis, err := strconv.ParseInt(found[1], 10, 64)
	if err != nil {
		return 0, time.Time{}, err
	}
	seconds, err := strconv.ParseFloat(at, 64)
	if err != nil {
		return 0, time.Time{}, fmt.Errorf("time %q is no number of seconds", at)
	}
	return time.Duration(millis) * time.Millisecond, time.UnixMilli(int64(seconds * 1000)), nil
}

// arm gives the counters of one arm's pods. All requests are good and quick.
func arm(query, prefix string, from, to time.Time) []series {
	var all []series
	for pod := range pods {
		for _, labels := range []map[string]string{{"le": "0.5"}, {"le": "+Inf"}, {"code": "200"}, {"code": "500"}} {
			isBucket := labels["le"] != ""
			if isBucket != bucketPattern.MatchString(query) {
				continue
			}
			labels["__name__"] = "http_requests_total"
			if isBucket {
				labels["__name__"] = "http_request_duration_seconds_bucket"
			}
			labels["pod"] = prefix + strconv.Itoa(pod)
			all = append(all, series{Metric: labels, Values: samples(from, to, labels["code"] == "500")})
		}
	}
	return all
}

var bucketPattern = regexp.MustCompile(`_bucket`)

// samples of a counter that rises by 10 a second, or never.
func samples(from, to time.Time, still bool) [][2]any {
	var values [][2]any
	for at := from.Truncate(scrape).Add(scrape); !at.After(to); at = at.Add(scrape) {
		count := 10 * (at.Unix() - began.Add(-time.Hour).Unix())
		if still {
			count = 0
		}
		values = append(values, [2]any{float64(at.UnixMilli()) / 1000, strconv.FormatInt(count, 10)})
	}
	return values
}
