package main

import (
	"crypto/tls"
	"errors"
	"time"

	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/serin-gitops/serin/analysis"
	"github.com/serin-gitops/serin/analysis/gate"
	"github.com/serin-gitops/serin/analysis/observe"
	"github.com/serin-gitops/serin/analysis/probe"
	"github.com/serin-gitops/serin/controllers/admission"
	"github.com/serin-gitops/serin/controllers/analysisrun/checks"
)

// What config/admission/validate.yaml and config/manager name.
const (
	admissionService       = "serin-admission"
	admissionConfiguration = "validate.serin.dev"
)

// inspector parses what a check would ask, as its first look would.
func inspector(prober *probe.Prober) checks.Inspect {
	return func(check analysis.Check, args map[string]string) error {
		return errors.Join(observe.Check(check, observe.Trial{Args: args}), prober.Check(check), gate.Check(check))
	}
}

// addAdmission has the API server ask Serin about Rollouts and templates that
// are written.
func (f *controllerFlags) addAdmission(mgr ctrl.Manager) error {
	if f.admissionAddress == "" {
		return nil
	}
	prober, err := probe.New()
	if err != nil {
		return err
	}
	if f.namespace == "" {
		return errors.New("--admission-address needs --namespace, the one of the Service that the API server asks; empty switches it off")
	}
	certificates := &admission.Certificates{
		Reader: mgr.GetAPIReader(), Writer: mgr.GetClient(),
		Secret:        types.NamespacedName{Namespace: f.namespace, Name: admissionService},
		Host:          admissionService + "." + f.namespace + ".svc",
		Configuration: admissionConfiguration, Now: time.Now,
	}
	validator := &admission.Validator{Reader: mgr.GetClient(), Inspect: inspector(prober)}
	handler, err := validator.Handler(mgr.GetScheme(), mgr.GetLogger().WithName("admission"))
	if err != nil {
		return err
	}
	if err := mgr.Add(certificates); err != nil {
		return err
	}
	return mgr.Add(&httpServer{
		name: "admission", address: f.admissionAddress, handler: handler,
		tls: &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: certificates.Get},
	})
}
