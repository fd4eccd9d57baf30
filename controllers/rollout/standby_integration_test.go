//go:build integration

package rollout_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/serin-gitops/serin/api/v1alpha1"
)

// replica is one of two processes of Serin that are there for the same namespace.
type replica struct {
	*process
	// name is that of the Service's port that leads to it, and the label of
	// the objects that the API server asks it about.
	name string
	// admission and metrics are its addresses inside the sandbox.
	admission, metrics string
}

// free gives an address inside the sandbox that nobody listens at.
func (e *env) free() string {
	e.t.Helper()
	listener, err := e.cluster().Listen(e.cluster().Addresses.Node + ":0")
	if err != nil {
		e.t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

// twice runs Serin twice, beginning at the same time, with admission as in
// config/: only that each of the two has a port of the Service of its own.
func (e *env) twice() []*replica {
	e.t.Helper()
	replicas := []*replica{{name: "first", admission: e.free(), metrics: e.free()}, {name: "second", admission: e.free(), metrics: e.free()}}
	service := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: e.namespace, Name: "serin-admission"}}
	objects := []client.Object{service}
	for i, r := range replicas {
		service.Spec.Ports = append(service.Spec.Ports, corev1.ServicePort{Name: r.name, Port: 443 + int32(i)})
		objects = append(objects, e.endpoint(r))
	}
	for _, object := range append(objects, e.configuration(replicas)) {
		if err := e.client.Create(e.t.Context(), object); err != nil {
			e.t.Fatal(err)
		}
	}
	for _, r := range replicas {
		e.begin(r)
	}
	return replicas
}

// begin starts a replica, also one that was killed, as the kubelet does in its pod.
func (e *env) begin(r *replica) {
	e.t.Helper()
	r.process = e.run("--admission-address", r.admission, "--metrics-address", r.metrics, "--lease-holder", r.name)
}

func (e *env) endpoint(r *replica) *discoveryv1.EndpointSlice {
	host, text, _ := strings.Cut(r.admission, ":")
	number, err := strconv.ParseInt(text, 10, 32)
	if err != nil {
		e.t.Fatal(err)
	}
	port := int32(number)
	return &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Namespace: e.namespace, Name: r.name, Labels: map[string]string{discoveryv1.LabelServiceName: "serin-admission"}},
		AddressType: discoveryv1.AddressTypeIPv4,
		Ports:       []discoveryv1.EndpointPort{{Name: &r.name, Port: &port}},
		Endpoints:   []discoveryv1.Endpoint{{Addresses: []string{host}}},
	}
}

// configuration is that of config/admission for Rollouts of this test, once for
// each replica. It has the one name that Serin knows: what is there is put back at
// the end.
func (e *env) configuration(replicas []*replica) *admissionv1.ValidatingWebhookConfiguration {
	e.t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "config/admission/validate.yaml"))
	if err != nil {
		e.t.Fatal(err)
	}
	var all admissionv1.ValidatingWebhookConfiguration
	if err := yaml.UnmarshalStrict(text, &all); err != nil {
		e.t.Fatal(err)
	}
	var before admissionv1.ValidatingWebhookConfiguration
	err = e.client.Get(e.t.Context(), client.ObjectKeyFromObject(&all), &before)
	if err == nil {
		err = e.client.Delete(e.t.Context(), &before)
	}
	if client.IgnoreNotFound(err) != nil {
		e.t.Fatal(err)
	}
	e.t.Cleanup(func() {
		err := client.IgnoreNotFound(e.client.Delete(context.Background(), &all))
		if err == nil && before.Name != "" {
			before.ObjectMeta = metav1.ObjectMeta{Name: before.Name, Labels: before.Labels, Annotations: before.Annotations}
			err = e.client.Create(context.Background(), &before)
		}
		if err != nil {
			e.t.Error(err)
		}
	})
	hook := all.Webhooks[0]
	all.Webhooks = nil
	for i, r := range replicas {
		one := *hook.DeepCopy()
		port := 443 + int32(i)
		one.Name = r.name + "." + one.Name
		one.ClientConfig.Service.Namespace, one.ClientConfig.Service.Port = e.namespace, &port
		one.NamespaceSelector = &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: e.namespace}}
		one.ObjectSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"asks": r.name}}
		all.Webhooks = append(all.Webhooks, one)
	}
	return &all
}

// wrong is a Rollout with a query that does not parse, about which the API server
// asks one replica.
func (e *env) wrong(r *replica) error {
	ro := &v1alpha1.Rollout{
		ObjectMeta: metav1.ObjectMeta{Namespace: e.namespace, Name: "wrong", Labels: map[string]string{"asks": r.name}},
		Spec: v1alpha1.RolloutSpec{
			WorkloadRef: v1alpha1.WorkloadReference{Kind: "StatefulSet", Name: "wrong"},
			Analysis:    v1alpha1.Analysis{Checks: []v1alpha1.Check{{Name: "errors", Ratio: &v1alpha1.RatioCheck{Total: "sum(", Bad: "x"}}}},
		},
	}
	// Nothing is stored.
	return e.client.Create(e.t.Context(), ro, client.DryRunAll)
}

// refuses waits until a replica refuses what is wrong: the API server has to hear
// of the configuration, the Service and the certificate first.
func (e *env) refuses(r *replica) {
	e.t.Helper()
	e.until("the replica "+r.name+" refuses a Rollout", func() (bool, string) {
		err := e.wrong(r)
		return err != nil && strings.Contains(err.Error(), r.name+".rollouts.serin.dev") && strings.Contains(err.Error(), "check errors: ratio.total"), fmt.Sprint(err)
	})
}

// certificate is what a replica serves with.
func (e *env) certificate(r *replica, roots *x509.CertPool) *x509.Certificate {
	e.t.Helper()
	conn, err := e.cluster().Dial(e.t.Context(), "tcp", r.admission)
	if err != nil {
		e.t.Fatal(err)
	}
	secured := tls.Client(conn, &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots, ServerName: "serin-admission." + e.namespace + ".svc"})
	defer secured.Close()
	if err := secured.HandshakeContext(e.t.Context()); err != nil {
		e.t.Fatalf("the certificate of replica %s: %v", r.name, err)
	}
	return secured.ConnectionState().PeerCertificates[0]
}

// metrics are what a replica shows of itself, by name.
func (e *env) metrics(r *replica) map[string]*dto.MetricFamily {
	e.t.Helper()
	request, err := http.NewRequestWithContext(e.t.Context(), http.MethodGet, "http://"+r.metrics+"/metrics", nil)
	if err != nil {
		e.t.Fatal(err)
	}
	response, err := (&http.Client{Transport: e.cluster().Transport()}).Do(request)
	if err != nil {
		e.t.Fatal(err)
	}
	defer response.Body.Close()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(response.Body)
	if err != nil {
		e.t.Fatal(err)
	}
	return families
}

// leads says whether a replica holds the lease, by its own word.
func (e *env) leads(r *replica) bool {
	e.t.Helper()
	all := e.metrics(r)["leader_election_master_status"].GetMetric()
	return len(all) == 1 && all[0].GetGauge().GetValue() == 1
}

// lease is that which the replicas act under.
func (e *env) lease() coordinationv1.LeaseSpec {
	e.t.Helper()
	var lease coordinationv1.Lease
	if err := e.client.Get(e.t.Context(), client.ObjectKey{Namespace: e.namespace, Name: "serin.serin.dev"}, &lease); err != nil {
		e.t.Fatal(err)
	}
	return lease.Spec
}

// goesOn states that a replica that was killed goes on with its lease when it is
// started again: it does not get it anew, for which the lease would have to run out.
func (e *env) goesOn(r *replica) {
	e.t.Helper()
	r.kill()
	before := e.lease()
	e.begin(r)
	e.until("the replica renews its lease", func() (bool, string) {
		now := e.lease()
		if diff := cmp.Diff(before, now, cmpopts.IgnoreFields(now, "RenewTime")); diff != "" {
			e.t.Fatalf("the lease changed hands (-before +after):\n%s", diff)
		}
		return before.RenewTime.Before(now.RenewTime), fmt.Sprint(now.RenewTime)
	})
}

// reconciled counts what all controllers of a replica did.
func (e *env) reconciled(r *replica) float64 {
	e.t.Helper()
	sum := 0.0
	for _, m := range e.metrics(r)["controller_runtime_reconcile_total"].GetMetric() {
		sum += m.GetCounter().GetValue()
	}
	return sum
}

// TestIntegrationTwoReplicas runs Serin's program twice: both serve admission with
// one certificate, the leader alone reconciles, and when that is killed in the
// middle of a trial the other brings it to its end, and goes on at once after a
// crash of its own.
func TestIntegrationTwoReplicas(t *testing.T) {
	e := setup(t)
	e.deploy(2)
	replicas := e.twice()
	e.adopt(func(spec *v1alpha1.RolloutSpec) { spec.Steps[0] = v1alpha1.Step{Weight: 20, Until: "Approval"} })
	for _, r := range replicas {
		e.refuses(r)
	}
	e.oneCertificate(replicas)

	leader, standby := replicas[0], replicas[1]
	if e.leads(standby) {
		leader, standby = standby, leader
	}
	before, stable := e.rollout().Status.Stable.TemplateHash, e.pods(false)
	e.trial("2")
	canary := e.pods(true)
	if at, by := e.reconciled(leader), e.reconciled(standby); at == 0 || by != 0 {
		t.Errorf("the leader reconciled %v times, the other one %v", at, by)
	}
	leader.kill()
	e.refuses(standby)
	if err := e.wrong(leader); err != nil {
		t.Errorf("what the API server asks of the one that was killed is not taken: %v", err)
	}
	e.until("the other one reconciles", func() (bool, string) {
		if diff := cmp.Diff(stable, e.pods(false)); diff != "" {
			t.Fatalf("stable's pods changed (-before +after):\n%s", diff)
		}
		by := e.reconciled(standby)
		return by > 0, fmt.Sprint(by)
	})
	if ro := e.rollout(); ro.Status.Phase != v1alpha1.RolloutPaused && ro.Status.Phase != v1alpha1.RolloutProgressing || ro.Status.Trial != 1 || !cmp.Equal(canary, e.pods(true)) {
		t.Errorf("the trial %d is %s with the canary %v, it was %v: %s", ro.Status.Trial, ro.Status.Phase, e.pods(true), canary, ro.Status.Message)
	}
	e.ask("resume")
	e.until("the new revision is stable", func() (bool, string) {
		ro, d := e.rollout(), e.workload()
		if d.Status.AvailableReplicas < 2 {
			t.Fatalf("%d of the workload's pods are available", d.Status.AvailableReplicas)
		}
		return ro.Status.Phase == v1alpha1.RolloutHealthy && ro.Status.Stable.TemplateHash != before, string(ro.Status.Phase) + ": " + ro.Status.Message
	})
	e.atRest()
	if run := e.record("app-1"); run == nil || run.Status.Verdict != "Pass" || run.Status.Completed == nil {
		t.Errorf("the record is %v", run)
	}
	e.goesOn(standby)
}

// oneCertificate states that both replicas serve with the certificate of the
// Secret, and that the API server trusts the one authority that there is.
func (e *env) oneCertificate(replicas []*replica) {
	e.t.Helper()
	var secret corev1.Secret
	if err := e.client.Get(e.t.Context(), client.ObjectKey{Namespace: e.namespace, Name: "serin-admission"}, &secret); err != nil {
		e.t.Fatal(err)
	}
	var configuration admissionv1.ValidatingWebhookConfiguration
	if err := e.client.Get(e.t.Context(), client.ObjectKey{Name: "validate.serin.dev"}, &configuration); err != nil {
		e.t.Fatal(err)
	}
	for _, hook := range configuration.Webhooks {
		if n := bytes.Count(hook.ClientConfig.CABundle, []byte("BEGIN CERTIFICATE")); n != 1 || !bytes.Equal(hook.ClientConfig.CABundle, secret.Data["ca.crt"]) {
			e.t.Errorf("webhook %s trusts %d authorities, want the one of the Secret", hook.Name, n)
		}
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(secret.Data["ca.crt"])
	if first, second := e.certificate(replicas[0], roots), e.certificate(replicas[1], roots); !first.Equal(second) {
		e.t.Errorf("the certificates are %s and %s", first.SerialNumber, second.SerialNumber)
	}
}
