package registry

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/hashicorp/go-retryablehttp"
)

// eventsMediaType is what distribution's notifications are sent as. See
// https://distribution.github.io/distribution/about/notifications/.
const eventsMediaType = "application/vnd.docker.distribution.events.v2+json"

// maxWaiting bounds the events that wait for slow endpoints. Those over it are
// lost, as a notification may be: whoever needs every push polls as well.
const maxWaiting = 1024

// Endpoint is told of pushes.
type Endpoint struct {
	// URL receives the notifications by POST.
	URL string
	// Authorization is sent as the header of that name, where set.
	Authorization string
}

// envelope is what is sent.
type envelope struct {
	Events []event `json:"events"`
}

// event is one push, in distribution's format.
type event struct {
	ID        string    `json:"id"`
	Timestamp time.Time `json:"timestamp"`
	Action    string    `json:"action"`
	Target    struct {
		MediaType  string `json:"mediaType"`
		Size       int    `json:"size"`
		Digest     string `json:"digest"`
		Repository string `json:"repository"`
		URL        string `json:"url"`
		Tag        string `json:"tag,omitempty"`
	} `json:"target"`
	Request struct {
		Host      string `json:"host"`
		Method    string `json:"method"`
		UserAgent string `json:"useragent"`
	} `json:"request"`
}

func newEvent(req *http.Request, where place, digest string, m stored) event {
	e := event{ID: rand.Text(), Timestamp: time.Now().UTC(), Action: "push"}
	e.Target.MediaType, e.Target.Size = m.MediaType, len(m.Manifest)
	e.Target.Digest, e.Target.Repository = digest, where.repository
	if !strings.Contains(where.name, ":") {
		e.Target.Tag = where.name
	}
	address := url.URL{Scheme: "http", Host: req.Host, Path: "/v2/" + where.repository + "/manifests/" + digest}
	if req.TLS != nil {
		address.Scheme = "https"
	}
	e.Target.URL = address.String()
	e.Request.Host, e.Request.Method, e.Request.UserAgent = req.Host, req.Method, req.UserAgent()
	return e
}

// notifier sends events to each endpoint, in order, without holding up pushes.
type notifier struct {
	endpoints []Endpoint
	queues    []chan event
	client    *retryablehttp.Client
}

func newNotifier(endpoints []Endpoint) *notifier {
	n := &notifier{endpoints: endpoints, client: retryablehttp.NewClient()}
	n.client.Logger = nil
	n.client.RetryMax, n.client.RetryWaitMin, n.client.RetryWaitMax = 5, 200*time.Millisecond, 10*time.Second
	// An endpoint that asks to wait for long would hold up all that follow.
	n.client.Backoff = func(least, most time.Duration, attempt int, resp *http.Response) time.Duration {
		return min(retryablehttp.DefaultBackoff(least, most, attempt, resp), most)
	}
	n.client.HTTPClient.Timeout = 10 * time.Second
	for range endpoints {
		n.queues = append(n.queues, make(chan event, maxWaiting))
	}
	return n
}

func (n *notifier) enqueue(e event) {
	for _, queue := range n.queues {
		select {
		case queue <- e:
		default:
		}
	}
}

// Run sends notifications to the endpoints until ctx ends. report, which may be
// nil, is called with what could not be delivered.
func (r *Registry) Run(ctx context.Context, report func(error)) {
	done := make(chan struct{})
	for i, endpoint := range r.notifier.endpoints {
		go func() {
			r.notifier.serve(ctx, endpoint, r.notifier.queues[i], report)
			done <- struct{}{}
		}()
	}
	for range r.notifier.endpoints {
		<-done
	}
}

func (n *notifier) serve(ctx context.Context, endpoint Endpoint, queue <-chan event, report func(error)) {
	for {
		select {
		case <-ctx.Done():
			return
		case e := <-queue:
			if err := n.send(ctx, endpoint, e); err != nil && report != nil && ctx.Err() == nil {
				report(fmt.Errorf("registry: tell of %s:%s: %w", e.Target.Repository, e.Target.Tag, err))
			}
		}
	}
}

// send delivers one event. Its errors name the endpoint's host alone: a path
// may hold the endpoint's token.
func (n *notifier) send(ctx context.Context, endpoint Endpoint, e event) error {
	address, err := url.Parse(endpoint.URL)
	if err != nil {
		return fmt.Errorf("the endpoint's URL does not parse; write it like http://host/path")
	}
	body, err := json.Marshal(envelope{Events: []event{e}})
	if err != nil {
		return fmt.Errorf("encode the event: %w", err)
	}
	req, err := retryablehttp.NewRequestWithContext(ctx, http.MethodPost, endpoint.URL, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("the endpoint at %s is no HTTP address", address.Host)
	}
	req.Header.Set("Content-Type", eventsMediaType)
	if endpoint.Authorization != "" {
		req.Header.Set("Authorization", endpoint.Authorization)
	}
	resp, err := n.client.Do(req)
	if err != nil {
		return fmt.Errorf("the endpoint at %s does not answer, or with an error, after %d attempts", address.Host, n.client.RetryMax+1)
	}
	// Read to the end, so that the connection is kept.
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10))
	_ = resp.Body.Close()
	if resp.StatusCode >= http.StatusMultipleChoices {
		return fmt.Errorf("the endpoint at %s answered %s", address.Host, resp.Status)
	}
	return nil
}
