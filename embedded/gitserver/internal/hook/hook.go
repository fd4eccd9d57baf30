// Package hook tells others of pushes by HTTP.
package hook

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/go-retryablehttp"
)

const (
	// hookQueue bounds the pushes that wait for delivery.
	hookQueue = 1024
	// hookTimeout bounds one attempt; three are made.
	hookTimeout = 10 * time.Second
)

// Push says that one reference of a repository has moved.
type Push struct {
	// Repository is the name without ".git", such as "acme/deploy".
	Repository string
	// URL is where the repository is cloned from.
	URL string
	// Ref is the full name of the reference, such as "refs/heads/main".
	Ref string
	// Before and After are commits; all zeros where the reference was not
	// there before, or is gone after.
	Before, After string
	// Pusher is the user's name, empty where nobody is asked for one.
	Pusher string
}

// Branch is the branch that moved; empty for a tag.
func (p Push) Branch() string {
	branch, found := strings.CutPrefix(p.Ref, "refs/heads/")
	if !found {
		return ""
	}
	return branch
}

// Webhook is told of every push by an HTTP POST with the body and headers of
// Gitea's push event
// (https://docs.gitea.com/usage/repository/webhooks).
type Webhook struct {
	URL string
	// Secret signs the body: X-Gitea-Signature is the hexadecimal HMAC-SHA256.
	// Empty sends no signature.
	Secret string
}

// Event is the part of Gitea's payload that Serin and others read.
type Event struct {
	Ref        string          `json:"ref"`
	Before     string          `json:"before"`
	After      string          `json:"after"`
	Repository EventRepository `json:"repository"`
	Pusher     EventUser       `json:"pusher"`
}

// EventRepository is the repository of an Event.
type EventRepository struct {
	Name     string `json:"name"`
	FullName string `json:"full_name"`
	CloneURL string `json:"clone_url"`
	HTMLURL  string `json:"html_url"`
}

// EventUser is who pushed.
type EventUser struct {
	Login string `json:"login"`
}

// Dispatcher delivers webhooks one after the other, in the order of pushes.
type Dispatcher struct {
	hooks  []Webhook
	log    *slog.Logger
	client *http.Client
	cancel context.CancelFunc
	done   chan struct{}

	mutex  sync.Mutex
	closed bool
	queue  chan Push
}

// NewDispatcher starts to deliver to hooks; Close ends it.
func NewDispatcher(hooks []Webhook, log *slog.Logger) *Dispatcher {
	retry := retryablehttp.NewClient()
	retry.Logger = nil
	// The last answer is reported by its status; the default error would
	// name the whole address.
	retry.ErrorHandler = retryablehttp.PassthroughErrorHandler
	retry.RetryMax = 2
	retry.RetryWaitMin = 200 * time.Millisecond
	retry.RetryWaitMax = 5 * time.Second
	retry.HTTPClient.Timeout = hookTimeout
	ctx, cancel := context.WithCancel(context.Background())
	d := &Dispatcher{
		hooks: hooks, log: log, client: retry.StandardClient(),
		cancel: cancel, done: make(chan struct{}), queue: make(chan Push, hookQueue),
	}
	go d.run(ctx)
	return d
}

func (d *Dispatcher) run(ctx context.Context) {
	defer close(d.done)
	for push := range d.queue {
		for _, hook := range d.hooks {
			if err := d.deliver(ctx, hook, push); err != nil {
				d.log.Warn("webhook was not delivered", "host", hostOf(hook.URL), "repository", push.Repository, "error", err)
			}
		}
	}
}

// Enqueue never blocks a push: with a full queue the webhook is lost, and the
// receiver's own polling finds the push later.
func (d *Dispatcher) Enqueue(push Push) {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	if d.closed || len(d.hooks) == 0 {
		return
	}
	select {
	case d.queue <- push:
	default:
		d.log.Warn("webhook dropped: too many wait", "repository", push.Repository)
	}
}

// Close delivers what waits until ctx ends.
func (d *Dispatcher) Close(ctx context.Context) error {
	d.mutex.Lock()
	if !d.closed {
		d.closed = true
		close(d.queue)
	}
	d.mutex.Unlock()
	defer d.cancel()
	select {
	case <-d.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("git server: webhooks not delivered: %w", ctx.Err())
	}
}

func (d *Dispatcher) deliver(ctx context.Context, hook Webhook, push Push) error {
	name := push.Repository[strings.LastIndex(push.Repository, "/")+1:]
	body, err := json.Marshal(Event{
		Ref: push.Ref, Before: push.Before, After: push.After,
		Repository: EventRepository{
			Name: name, FullName: push.Repository,
			CloneURL: push.URL, HTMLURL: strings.TrimSuffix(push.URL, ".git"),
		},
		Pusher: EventUser{Login: push.Pusher},
	})
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, hook.URL, bytes.NewReader(body))
	if err != nil {
		return withoutURL(err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("X-Gitea-Event", "push")
	request.Header.Set("X-Gitea-Delivery", rand.Text())
	if hook.Secret != "" {
		request.Header.Set("X-Gitea-Signature", Sign(hook.Secret, body))
	}
	answer, err := d.client.Do(request)
	if err != nil {
		return withoutURL(err)
	}
	defer func() { _ = answer.Body.Close() }()
	if _, err := io.Copy(io.Discard, io.LimitReader(answer.Body, 1<<16)); err != nil {
		return withoutURL(err)
	}
	if answer.StatusCode >= http.StatusMultipleChoices {
		return fmt.Errorf("the receiver answered %s", answer.Status)
	}
	return nil
}

// Sign is the HMAC-SHA256 of body in hexadecimal digits.
func Sign(secret string, body []byte) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	return hex.EncodeToString(mac.Sum(nil))
}

// withoutURL drops the address, whose path may hold a token, from an error of
// net/http.
func withoutURL(err error) error {
	for {
		inner, ok := err.(*url.Error) //nolint:errorlint // each layer is taken off in turn
		if !ok {
			return err
		}
		err = inner.Err
	}
}

func hostOf(address string) string {
	parsed, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return parsed.Host
}
