package main

import (
	"context"
	"time"

	"github.com/serin-gitops/serin/analysis"
	"github.com/serin-gitops/serin/analysis/gate"
	"github.com/serin-gitops/serin/api/v1alpha1"
	"github.com/serin-gitops/serin/controllers/access"
	"github.com/serin-gitops/serin/controllers/analysisrun"
)

// gates asks gates outside.
type gates struct {
	secrets access.Secrets
	client  *gate.Client
}

func newGates(secrets access.Secrets) gates { return gates{secrets: secrets, client: gate.New()} }

// Ask implements analysisrun.Gate.
func (g gates) Ask(ctx context.Context, check analysis.Check, q analysisrun.Question, now time.Time) analysis.Observation {
	secret, token, err := g.secrets.Webhook(ctx, q.Namespace, check.Name, q.Credentials)
	if err != nil {
		return analysis.Observation{Check: check.Name, Window: analysis.Window{Start: now, End: now}, Absence: &analysis.Absence{Kind: analysis.Outage, Message: err.Error()}}
	}
	return g.client.Ask(ctx, check, gate.Question{
		Check: check.Name, Namespace: q.Namespace, Rollout: q.Rollout, Workload: q.Workload, Trial: q.Trial,
		Step: q.Step, Weight: q.Weight, Serving: q.Serving, Stable: revision(q.Stable), Canary: revision(q.Canary), Args: q.Args,
	}, gate.Credentials{Secret: secret, Token: token}, now)
}

func revision(r v1alpha1.Revision) gate.Revision {
	return gate.Revision{Images: r.Images, Hash: r.TemplateHash, PodTemplateHash: r.PodTemplateHash}
}
