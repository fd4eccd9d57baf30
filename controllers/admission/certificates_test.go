package admission

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
)

const host = "serin-admission.serin-system.svc"

var secretName = types.NamespacedName{Namespace: "serin-system", Name: "serin-admission"}

func configuration() *admissionv1.ValidatingWebhookConfiguration {
	return &admissionv1.ValidatingWebhookConfiguration{
		ObjectMeta: metav1.ObjectMeta{Name: "validate.serin.dev"},
		Webhooks:   []admissionv1.ValidatingWebhook{{Name: "rollouts.serin.dev"}, {Name: "templates.serin.dev"}},
	}
}

func replica(c client.Client, now *time.Time) *Certificates {
	return &Certificates{Reader: c, Writer: c, Secret: secretName, Host: host, Configuration: "validate.serin.dev", Now: func() time.Time { return *now }}
}

// trusts says whether a client that trusts what the API server was told reaches
// a replica.
func trusts(t *testing.T, c client.Client, of *Certificates) error {
	t.Helper()
	var told admissionv1.ValidatingWebhookConfiguration
	if err := c.Get(t.Context(), types.NamespacedName{Name: "validate.serin.dev"}, &told); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(told.Webhooks[0].ClientConfig.CABundle, told.Webhooks[1].ClientConfig.CABundle) {
		t.Error("the two webhooks have other authorities")
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(told.Webhooks[0].ClientConfig.CABundle)
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.TLS = &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: of.Get}
	server.StartTLS()
	defer server.Close()
	transport := &http.Transport{TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots, ServerName: host}}
	defer transport.CloseIdleConnections()
	response, err := (&http.Client{Transport: transport}).Get(server.URL)
	if err == nil {
		_, _ = io.Copy(io.Discard, response.Body)
		_ = response.Body.Close()
	}
	return err
}

// TestCertificates follows two replicas over a year: each is trusted at any
// time, also while only one of them has the newest certificate.
func TestCertificates(t *testing.T) {
	c := fake.NewClientBuilder().WithObjects(configuration()).Build()
	now := time.Now()
	first, second := replica(c, &now), replica(c, &now)
	if _, err := first.Get(nil); err == nil {
		t.Error("there is a certificate before any was made")
	}
	ensure := func(of *Certificates) *tls.Certificate {
		t.Helper()
		if err := of.Ensure(t.Context()); err != nil {
			t.Fatal(err)
		}
		current, err := of.Get(nil)
		if err != nil {
			t.Fatal(err)
		}
		return current
	}
	made := ensure(first)
	if !bytes.Equal(ensure(second).Certificate[0], made.Certificate[0]) {
		t.Error("the second replica made another certificate")
	}
	now = now.Add(lifetime/2 + time.Hour)
	if !bytes.Equal(ensure(first).Certificate[0], made.Certificate[0]) {
		t.Error("a certificate is renewed half its life too soon")
	}
	now = now.Add(lifetime / 4)
	if bytes.Equal(ensure(first).Certificate[0], made.Certificate[0]) {
		t.Fatal("the certificate is not renewed in the last third of its life")
	}
	for name, of := range map[string]*Certificates{"new": first, "old": second} {
		if err := trusts(t, c, of); err != nil {
			t.Errorf("the replica with the %s certificate is not trusted: %v", name, err)
		}
	}
	now = now.Add(lifetime / 2)
	ensure(second)
	var secret corev1.Secret
	if err := c.Get(t.Context(), secretName, &secret); err != nil {
		t.Fatal(err)
	}
	// All were made today, by the library's own clock.
	if n := strings.Count(string(secret.Data[authorities]), "BEGIN CERTIFICATE"); n != 1 {
		t.Errorf("%d authorities are trusted, want the newest alone: the others have expired", n)
	}
}

// between is a client of a replica that does something else right after it read
// the Secret, once.
func between(c client.WithWatch, do func()) client.Client {
	done := false
	return interceptor.NewClient(c, interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, object client.Object, options ...client.GetOption) error {
			err := c.Get(ctx, key, object, options...)
			if _, secret := object.(*corev1.Secret); secret && !done {
				done = true
				do()
			}
			return err
		},
	})
}

// TestReplicasAtOnce has two replicas make, and renew, the certificate at the
// same time, and wants both trusted right after.
func TestReplicasAtOnce(t *testing.T) {
	for name, age := range map[string]time.Duration{"make": 0, "renew": lifetime * 3 / 4, "keep": lifetime / 2} {
		t.Run(name, func(t *testing.T) {
			c := fake.NewClientBuilder().WithObjects(configuration()).Build()
			early, late := time.Now(), time.Now().Add(age)
			if age > 0 {
				if err := replica(c, &early).Ensure(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			// The first has read the Secret when the other is done; where it finds
			// nothing to renew, the other one's clock is ahead.
			ahead := time.Now().Add(lifetime * 3 / 4)
			other := replica(c, &ahead)
			first := replica(between(c, func() {
				if err := other.Ensure(t.Context()); err != nil {
					t.Error(err)
				}
			}), &late)
			if err := first.Ensure(t.Context()); err != nil {
				t.Fatal(err)
			}
			for name, of := range map[string]*Certificates{"first": first, "other": other} {
				if err := trusts(t, c, of); err != nil {
					t.Errorf("the %s replica is not trusted: %v", name, err)
				}
			}
		})
	}
}

// TestCertificatesAreMended wants a broken Secret and an emptied configuration
// mended, and a configuration that is not there said.
func TestCertificatesAreMended(t *testing.T) {
	broken := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: secretName.Namespace, Name: secretName.Name}, Type: corev1.SecretTypeTLS,
		Data: map[string][]byte{corev1.TLSCertKey: []byte("nonsense"), corev1.TLSPrivateKeyKey: nil, authorities: []byte("more of it")},
	}
	c := fake.NewClientBuilder().WithObjects(broken).Build()
	now := time.Now()
	of := replica(c, &now)
	if err := of.Ensure(t.Context()); err == nil || !strings.Contains(err.Error(), "ValidatingWebhookConfiguration validate.serin.dev") {
		t.Errorf("without a configuration: %v", err)
	}
	if err := c.Create(t.Context(), configuration()); err != nil {
		t.Fatal(err)
	}
	if err := of.Ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := trusts(t, c, of); err != nil {
		t.Error(err)
	}
}
