package main

import (
	"context"
	"fmt"
	"time"

	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/serin-gitops/serin/analysis"
	"github.com/serin-gitops/serin/analysis/observe"
	"github.com/serin-gitops/serin/analysis/probe"
	"github.com/serin-gitops/serin/analysis/prometheus"
	"github.com/serin-gitops/serin/api/v1alpha1"
	"github.com/serin-gitops/serin/controllers/access"
	"github.com/serin-gitops/serin/controllers/analysisrun"
)

// analyst gives the rollout controller's judge its eyes: pods by HTTP and time
// series by PromQL.
func (f *controllerFlags) analyst(mgr ctrl.Manager, secrets access.Secrets) (*analysisrun.Analyst, error) {
	prober, err := probe.New()
	if err != nil {
		return nil, err
	}
	opened := &sources{secrets: secrets, fallback: f.prometheus, perSecond: f.prometheusQueries}
	if err := metrics.Registry.Register(sourceStates{&opened.pool}); err != nil {
		return nil, err
	}
	return &analysisrun.Analyst{
		Client: mgr.GetClient(), Reader: mgr.GetAPIReader(), Prober: pods{prober},
		Sources: opened,
		Inspect: inspector(prober),
		Gate:    newGates(secrets),
	}, nil
}

// pods asks pods by HTTP.
type pods struct{ prober *probe.Prober }

// Looks implements analysisrun.Prober.
func (p pods) Looks(ctx context.Context, asked []analysisrun.Asked, now time.Time) []analysis.Observation {
	all := make([]probe.Asked, len(asked))
	for i, one := range asked {
		of := one.Pods
		all[i] = probe.Asked{Check: one.Check, Pods: probe.Pods{
			Canary: probed(of.Canary), Stable: probed(of.Stable), Required: probed(of.Required), Services: probed(of.Services)}}
	}
	return p.prober.Looks(ctx, all, now)
}

func probed(pods []analysisrun.Pod) []probe.Pod {
	out := make([]probe.Pod, len(pods))
	for i, pod := range pods {
		out[i] = probe.Pod(pod)
	}
	return out
}

// sources opens Prometheus servers, one client for all who use the same.
type sources struct {
	secrets  access.Secrets
	fallback string
	// perSecond is the budget of queries of each.
	perSecond float64
	pool      prometheus.Pool
}

// Metrics implements analysisrun.Sources.
func (s *sources) Metrics(ctx context.Context, namespace string, source *v1alpha1.MetricSource) (analysisrun.Metrics, error) {
	if source == nil {
		source = &v1alpha1.MetricSource{URL: s.fallback}
	}
	enter, err := s.secrets.Metrics(ctx, namespace, *source)
	if err != nil {
		return nil, err
	}
	options := optionsOf(enter)
	options.QueriesPerSecond, options.Asked, options.Withheld = s.perSecond, countMetricQuery, countWithheldQuery
	client, err := s.pool.Get(options)
	if err != nil {
		return nil, fmt.Errorf("analysis.source: %w", err)
	}
	return series{observe.Observer{Source: client}}, nil
}

func optionsOf(enter access.Metrics) prometheus.Options {
	options := prometheus.Options{
		URL: enter.URL, Username: enter.Username, Password: enter.Password, Token: enter.Bearer,
		CA: string(enter.CA), Certificate: string(enter.Certificate), Key: string(enter.Key),
		Headers: enter.Headers, ProxyURL: enter.ProxyURL,
	}
	if enter.OAuth2 != nil {
		options.OAuth2 = &prometheus.OAuth2{
			ClientID: enter.OAuth2.ClientID, ClientSecret: enter.OAuth2.ClientSecret,
			TokenURL: enter.OAuth2.TokenURL, Scopes: enter.OAuth2.Scopes,
		}
	}
	return options
}

// series asks one server.
type series struct{ observer observe.Observer }

// Due implements analysisrun.Metrics.
func (s series) Due(ctx context.Context, check analysis.Check, of analysisrun.Series, state analysis.State, now time.Time) []analysis.Observation {
	return s.observer.Due(ctx, check, observe.Trial(of), state, now)
}

// Past implements analysisrun.Metrics.
func (s series) Past(ctx context.Context, check analysis.Check, of analysisrun.Series, from, to time.Time) ([]analysis.Counts, error) {
	return s.observer.Past(ctx, check, observe.Trial(of), from, to)
}
