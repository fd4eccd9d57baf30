package gitserver

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

// Webhook is told of every push by an HTTP POST with the body and headers of
// Gitea's push event
// (https://docs.gitea.com/usage/repository/webhooks).
type Webhook struct {
	URL string
	// Secret signs the body: X-Gitea-Signature is the hexadecimal HMAC-SHA256.
	// Empty sends no signature.
	Secret string
}

// pushEvent is the part of Gitea's payload that Serin and others read.
type pushEvent struct {
	Ref        string          `json:"ref"`
	Before     string          `json:"before"`
	After      string          `json:"after"`
	Repository eventRepository `json:"repository"`
	Pusher     eventUser       `json:"pusher"`
}

type eventRepository struct {
	Name     string `json:"name"`
	FullName string `json:"full_name"`
	CloneURL string `json:"clone_url"`
	HTMLURL  string `json:"html_url"`
}

type eventUser struct {
	Login string `json:"login"`
}

// dispatcher delivers webhooks one after the other, in the order of pushes.
type dispatcher struct {
	hooks  []Webhook
	log    *slog.Logger
	client *http.Client
	cancel context.CancelFunc
	done   chan struct{}

	mutex  sync.Mutex
	closed bool
	queue  chan Push
}

func newDispatcher(hooks []Webhook, log *slog.Logger) *dispatcher {
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
	d := &dispatcher{
		hooks: hooks, log: log, client: retry.StandardClient(),
		cancel: cancel, done: make(chan struct{}), queue: make(chan Push, hookQueue),
	}
	go d.run(ctx)
	return d
}

func (d *dispatcher) run(ctx context.Context) {
	defer close(d.done)
	for push := range d.queue {
		for _, hook := range d.hooks {
			if err := d.deliver(ctx, hook, push); err != nil {
				d.log.Warn("webhook was not delivered", "host", hostOf(hook.URL), "repository", push.Repository, "error", err)
			}
		}
	}
}

// enqueue never blocks a push: with a full queue the webhook is lost, and the
// receiver's own polling finds the push later.
func (d *dispatcher) enqueue(push Push) {
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

// close delivers what waits until ctx ends.
func (d *dispatcher) close(ctx context.Context) error {
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

func (d *dispatcher) deliver(ctx context.Context, hook Webhook, push Push) error {
	name := push.Repository[strings.LastIndex(push.Repository, "/")+1:]
	body, err := json.Marshal(pushEvent{
		Ref: push.Ref, Before: push.Before, After: push.After,
		Repository: eventRepository{
			Name: name, FullName: push.Repository,
			CloneURL: push.URL, HTMLURL: strings.TrimSuffix(push.URL, ".git"),
		},
		Pusher: eventUser{Login: push.Pusher},
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
		request.Header.Set("X-Gitea-Signature", sign(hook.Secret, body))
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

// sign is the HMAC-SHA256 of body in hexadecimal digits.
func sign(secret string, body []byte) string {
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

// cloneURL is the repository's address.
func (s *Server) cloneURL(name string) string {
	return strings.TrimSuffix(s.options.BaseURL, "/") + "/" + name + ".git"
}
