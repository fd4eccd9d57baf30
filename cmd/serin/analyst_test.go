package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/serin-gitops/serin/analysis"
	"github.com/serin-gitops/serin/api/v1alpha1"
	"github.com/serin-gitops/serin/controllers/access"
	"github.com/serin-gitops/serin/controllers/analysisrun"
)

// TestSecretsRotate wants the values of a Secret used from the next look on
// after it changed: by a server that takes only what its token endpoint gave,
// and an endpoint that knows one secret at a time.
func TestSecretsRotate(t *testing.T) {
	secret := "first-secret"
	tokens := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, given, _ := r.BasicAuth(); given != secret {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{"access_token": "for-" + secret, "token_type": "Bearer", "expires_in": 3600})
	}))
	defer tokens.Close()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer for-"+secret || r.Header.Get("X-Scope-OrgID") != "team-a" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprint(w, `{"status":"success","data":{"resultType":"scalar","result":[1,"7"]}}`)
	}))
	defer server.Close()
	object := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "metrics"},
		Data:       map[string][]byte{"clientID": []byte("serin"), "clientSecret": []byte(secret)},
	}
	cluster := fake.NewClientBuilder().WithObjects(object).Build()
	all := &sources{secrets: access.Secrets{Reader: cluster}}
	now := time.Unix(1_000_000, 0)
	look := func() analysis.Observation {
		t.Helper()
		metrics, err := all.Metrics(t.Context(), "shop", &v1alpha1.MetricSource{
			URL: server.URL, SecretRef: &v1alpha1.LocalReference{Name: "metrics"}, Headers: map[string]string{"X-Scope-OrgID": "team-a"},
			OAuth2: &v1alpha1.OAuth2{TokenURL: tokens.URL},
		})
		if err != nil {
			t.Fatal(err)
		}
		now = now.Add(time.Minute)
		check := analysis.Check{Name: "seven", Kind: analysis.KindThreshold, Interval: time.Second, Threshold: &analysis.Threshold{Query: "scalar(x)"}}
		found := metrics.Due(t.Context(), check, analysisrun.Series{}, analysis.NewState(now.Add(-time.Minute)), now)
		if len(found) != 1 {
			t.Fatalf("found %+v, want one observation", found)
		}
		return found[0]
	}
	if found := look(); found.Value == nil || *found.Value != 7 {
		t.Fatalf("found %+v, want 7", found)
	}
	secret = "second-secret"
	if found := look(); found.Absence == nil || found.Absence.Kind != analysis.Outage {
		t.Fatalf("with the secret of before: %+v, want an outage", found)
	}
	object.Data["clientSecret"] = []byte(secret)
	if err := cluster.Update(t.Context(), object); err != nil {
		t.Fatal(err)
	}
	if found := look(); found.Value == nil || *found.Value != 7 {
		t.Fatalf("with the new secret: %+v, want 7", found)
	}
	delete(object.Data, "clientSecret")
	if err := cluster.Update(t.Context(), object); err != nil {
		t.Fatal(err)
	}
	_, err := all.Metrics(t.Context(), "shop", &v1alpha1.MetricSource{
		URL: server.URL, SecretRef: &v1alpha1.LocalReference{Name: "metrics"}, OAuth2: &v1alpha1.OAuth2{TokenURL: tokens.URL},
	})
	if err == nil || !strings.Contains(err.Error(), "no key clientSecret") {
		t.Errorf("without clientSecret: %v", err)
	}
}
