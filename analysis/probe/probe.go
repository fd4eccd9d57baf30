// Package probe asks pods by HTTP: whether they are healthy, and which peers
// they are connected to. It observes; package analysis judges.
package probe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/google/cel-go/cel"
	"github.com/hashicorp/go-retryablehttp"
	"golang.org/x/sync/errgroup"

	"github.com/serin-gitops/serin/analysis"
)

const (
	// DefaultTimeout bounds one request.
	DefaultTimeout = 5 * time.Second
	// MaxTimeout is the most that a check may set: what a look waits for keeps
	// other Rollouts waiting.
	MaxTimeout = analysis.MaxProbeTimeout
	// patience is how long a look goes on to ask further pods, for all its checks
	// together. Those that it did not come to are not in the observations.
	patience = 15 * time.Second
	// limit is when what is still evaluated is given up: after the last request that
	// began in time has run into its timeout.
	limit = patience + MaxTimeout + 5*time.Second
	// maxBody bounds what is read of one answer.
	maxBody = 1 << 20
	// maxHeader bounds what is read of an answer's headers, in bytes.
	maxHeader = 64 << 10
	// parallel bounds the requests of one look that run at once, shared out evenly
	// among its checks, each of which has one at least.
	parallel = 32
)

// Pod is where a pod can be asked.
type Pod struct {
	Name string
	IP   string
}

// Pods are those a check concerns.
type Pods struct {
	Canary []Pod
	Stable []Pod
	// Required are the pods that must be among the canary's peers.
	Required []Pod
	// Services lead to the canary's pods; an http check asks them too.
	Services []Pod
}

// Asked is one check of a look, and the pods that it concerns.
type Asked struct {
	Check analysis.Check
	Pods  Pods
}

// Prober asks pods. It is safe for use by many at once.
type Prober struct {
	client      *retryablehttp.Client
	expressions *expressions
	room        *room
	pulse       *pulse
}

// New makes a Prober.
func New() (*Prober, error) {
	return NewDialling((&net.Dialer{Timeout: MaxTimeout}).DialContext)
}

// NewDialling makes a Prober that reaches pods as it is told.
func NewDialling(dial func(ctx context.Context, network, address string) (net.Conn, error)) (*Prober, error) {
	programs, err := newExpressions()
	if err != nil {
		return nil, err
	}
	client := retryablehttp.NewClient()
	client.Logger = nil
	// One failed request is what a probe is to find; the judge's rule of "N of
	// M looks" takes the place of retries.
	client.RetryMax = 0
	client.ErrorHandler = retryablehttp.PassthroughErrorHandler
	client.HTTPClient = &http.Client{
		// Pods are asked directly and may not send the controller elsewhere.
		Transport: &http.Transport{
			DialContext:         dial,
			MaxIdleConnsPerHost: 1, IdleConnTimeout: 30 * time.Second,
			TLSHandshakeTimeout: MaxTimeout, ForceAttemptHTTP2: true,
			MaxResponseHeaderBytes: maxHeader,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return &Prober{client: client, expressions: programs, room: newRoom(), pulse: newPulse()}, nil
}

// Check says whether a check's expressions compile; a wrong one is an
// *analysis.Absence of kind BadQuery.
func (p *Prober) Check(check analysis.Check) error {
	switch {
	case check.HTTP != nil:
		_, err := p.expressions.compile(expressionOf(*check.HTTP), cel.BoolType)
		return err
	case check.Peers != nil:
		_, err := p.peerPrograms(*check.Peers)
		return err
	}
	return nil
}

// Look asks all pods that an http or peers check concerns and gives the
// observation at now. Its messages hold no part of an answer's body.
func (p *Prober) Look(ctx context.Context, check analysis.Check, pods Pods, now time.Time) analysis.Observation {
	return p.Looks(ctx, []Asked{{Check: check, Pods: pods}}, now)[0]
}

// Looks does the same for all checks of a look side by side, so that pods which
// hang for one check keep no other one waiting. The observations are in the order
// of the checks.
func (p *Prober) Looks(ctx context.Context, asked []Asked, now time.Time) []analysis.Observation {
	patient, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	limited, end := context.WithTimeout(ctx, limit)
	defer end()
	turn := turn{patient: patient, limited: limited, parallel: max(1, parallel/max(1, len(asked)))}
	observations := make([]analysis.Observation, len(asked))
	var group errgroup.Group
	for i, one := range asked {
		group.Go(func() error {
			turn := turn
			turn.lost = new(atomic.Pointer[string])
			observations[i] = p.look(ctx, turn, one, now)
			return nil
		})
	}
	_ = group.Wait() // none of the functions returns an error
	return observations
}

// turn is what one check has of a look.
type turn struct {
	// patient ends when no further pod is asked.
	patient context.Context
	// limited ends when no answer is evaluated any more.
	limited context.Context
	// parallel bounds the requests that run at once.
	parallel int
	// lost is why an answer was not judged that is no fault of a pod; nil where all
	// were.
	lost *atomic.Pointer[string]
}

// Why an answer was not judged.
const (
	noProcessor = "not every answer came in time, and Serin had too little processor time to read them"
	noRoom      = "not every answer could be read: too many large ones came at once, or their expressions took too long"
)

// lose notes that an answer is missing. The first reason stands.
func (t turn) lose(why string) { t.lost.CompareAndSwap(nil, &why) }

func (p *Prober) look(ctx context.Context, turn turn, asked Asked, now time.Time) analysis.Observation {
	check, pods := asked.Check, asked.Pods
	o := analysis.Observation{Check: check.Name, Window: analysis.Window{Start: now, End: now}}
	var err error
	switch {
	case len(pods.Canary) == 0:
		err = &analysis.Absence{Kind: analysis.NoData, Message: "there is no canary pod to ask"}
	case check.HTTP != nil:
		o.Probes, err = p.http(ctx, turn, *check.HTTP, append(slices.Clone(pods.Canary), pods.Services...))
		for i := len(pods.Canary); i < len(o.Probes); i++ {
			o.Probes[i].Service = true
		}
		o.Probes = slices.DeleteFunc(o.Probes, func(r analysis.ProbeResult) bool { return r.Pod == "" })
	case check.Peers != nil:
		o.Probes, err = p.peers(ctx, turn, *check.Peers, pods)
	default:
		err = &analysis.Absence{Kind: analysis.BadQuery, Message: fmt.Sprintf("kind %s is not asked of pods", check.Kind)}
	}
	why := turn.lost.Load()
	switch {
	case why != nil:
		// What is missing may be the bad answers or the good ones: those that came prove
		// nothing, and no check accepts it as if there were none.
		err = &analysis.Absence{Kind: analysis.Partial, Message: *why}
	case err != nil:
	case ctx.Err() != nil:
		// Cut short by the caller, not by the pods.
		err = &analysis.Absence{Kind: analysis.Partial, Message: "the look was interrupted"}
	case len(o.Probes) == 0:
		err = &analysis.Absence{Kind: analysis.Partial, Message: "no canary pod had answered all that it was asked when the look's time was over"}
	}
	if err != nil {
		o.Probes = nil
		if !errors.As(err, &o.Absence) {
			o.Absence = &analysis.Absence{Kind: analysis.Outage, Message: err.Error()}
		}
	}
	return o
}

// http asks pods until the turn is over; those left have an empty result.
func (p *Prober) http(ctx context.Context, turn turn, check analysis.HTTP, pods []Pod) ([]analysis.ProbeResult, error) {
	program, err := p.expressions.compile(expressionOf(check), cel.BoolType)
	if err != nil {
		return nil, err
	}
	at := endpoint{scheme: check.Scheme, port: check.Port, path: check.Path, host: check.Host, timeout: check.Timeout}
	return each(turn, pods, func(pod Pod) analysis.ProbeResult {
		result := analysis.ProbeResult{Pod: pod.Name}
		err := p.ask(ctx, turn, at, pod, func(r response) error {
			result.Number = float64(r.status)
			var err error
			result.Pass, err = evaluate[bool](turn.limited, program, r)
			switch {
			case errors.Is(err, errNotJudged):
				return err
			case err != nil:
				result.Pass = false
				result.Message = fmt.Sprintf("GET %s: status %d, and the expression cannot be evaluated: %v", at.describe(), r.status, err)
			case !result.Pass:
				result.Message = fmt.Sprintf("GET %s: status %d does not fulfil %s", at.describe(), r.status, expressionOf(check))
			default:
				result.Message = fmt.Sprintf("GET %s: status %d", at.describe(), r.status)
			}
			return nil
		})
		if err != nil {
			result.Message = err.Error()
		}
		return result
	}), nil
}

// each asks pods, some at once, until the turn is over, and keeps their order.
// The answer of a pod that was not asked is the zero value.
func each[P, T any](turn turn, pods []P, ask func(P) T) []T {
	answers := make([]T, len(pods))
	var group errgroup.Group
	group.SetLimit(turn.parallel)
	for i, pod := range pods {
		group.Go(func() error {
			if turn.patient.Err() == nil {
				answers[i] = ask(pod)
			}
			return nil
		})
	}
	_ = group.Wait() // none of the functions returns an error
	return answers
}

// endpoint is where pods are asked.
type endpoint struct {
	method  string
	scheme  string
	port    int32
	path    string
	host    string
	timeout time.Duration
}

func (e endpoint) describe() string { return ":" + strconv.Itoa(int(e.port)) + e.pathOrRoot() }

func (e endpoint) methodOrGet() string {
	if e.method == "" {
		return http.MethodGet
	}
	return e.method
}

func (e endpoint) pathOrRoot() string {
	if strings.HasPrefix(e.path, "/") {
		return e.path
	}
	return "/" + e.path
}

func (e endpoint) url(ip string) (string, error) {
	scheme := e.scheme
	if scheme == "" {
		scheme = "http"
	}
	u, err := url.Parse(scheme + "://" + net.JoinHostPort(ip, strconv.Itoa(int(e.port))) + e.pathOrRoot())
	if err != nil {
		return "", fmt.Errorf("path %q cannot be parsed", e.path)
	}
	return u.String(), nil
}

// ask makes one request and has use read the answer, while there is room for it.
// The error tells a person what happened, without the answer's body; it is
// errNotJudged where that is no fault of the pod, and the turn is told why.
func (p *Prober) ask(ctx context.Context, turn turn, e endpoint, pod Pod, use func(response) error) error {
	timeout := e.timeout
	if timeout <= 0 {
		timeout = DefaultTimeout
	}
	timeout = min(timeout, MaxTimeout)
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	before := p.pulse.begin()
	err := p.request(ctx, turn, e, pod, use)
	missed := p.pulse.end() - before
	switch {
	case errors.Is(err, errNotJudged):
		turn.lose(noRoom)
		return err
	case !timedOut(err):
		return err
	case missed >= timeout/tolerable:
		// The answer may have been there for long, with nobody to read it.
		turn.lose(noProcessor)
		return errNotJudged
	}
	return fmt.Errorf("%s %s: no answer within %s", e.methodOrGet(), e.describe(), timeout)
}

// request is ask without the timeout. What ran into that is told by timedOut.
func (p *Prober) request(ctx context.Context, turn turn, e endpoint, pod Pod, use func(response) error) error {
	if pod.IP == "" {
		return errors.New("the pod has no address yet")
	}
	target, err := e.url(pod.IP)
	if err != nil {
		return err
	}
	method := e.methodOrGet()
	request, err := retryablehttp.NewRequestWithContext(ctx, method, target, nil)
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, e.describe(), err)
	}
	request.Host = e.host
	request.Header.Set("User-Agent", "serin")
	answer, err := p.client.Do(request)
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, e.describe(), cause(err))
	}
	defer func() { _ = answer.Body.Close() }()
	body := &bounded{from: io.LimitReader(answer.Body, maxBody+1), room: p.room.texts}
	defer body.giveBack()
	text, err := io.ReadAll(body)
	if err != nil {
		return fmt.Errorf("%s %s: reading the answer: %w", method, e.describe(), cause(err))
	}
	if len(text) > maxBody {
		return fmt.Errorf("%s %s: the answer is larger than 1 MiB", method, e.describe())
	}
	headers := make(map[string]string, len(answer.Header))
	for name, values := range answer.Header {
		headers[strings.ToLower(name)] = strings.Join(values, ", ")
	}
	giveBack, err := p.room.enter(turn.patient, text)
	if err != nil {
		return err
	}
	defer giveBack()
	return use(response{status: answer.StatusCode, headers: headers, body: text})
}

// timedOut tells an answer that did not come in time.
func timedOut(err error) bool {
	var timeout net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout()
}

// cause is the innermost reason that says something to a person.
func cause(err error) error {
	var outer *url.Error
	if errors.As(err, &outer) {
		return outer.Err
	}
	return err
}

// expressionOf gives the check's expression or the default.
func expressionOf(check analysis.HTTP) string {
	if check.Expression != "" {
		return check.Expression
	}
	return "status >= 200 && status < 400"
}
