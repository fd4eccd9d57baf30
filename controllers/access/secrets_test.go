package access

import (
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/serin-gitops/serin/api/v1alpha1"
	"github.com/serin-gitops/serin/overlays"
	"github.com/serin-gitops/serin/registry"
)

const hidden = "swordfish"

func secrets(data map[string]string) Secrets {
	s := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "s"}, Data: map[string][]byte{}}
	for key, value := range data {
		s.Data[key] = []byte(value)
	}
	return Secrets{Reader: fake.NewClientBuilder().WithObjects(s).Build()}
}

func TestGit(t *testing.T) {
	ref := &v1alpha1.LocalReference{Name: "s"}
	for _, c := range []struct {
		name   string
		url    string
		ref    *v1alpha1.LocalReference
		data   map[string]string
		want   overlays.Remote
		refuse string
	}{
		{"anonymous", "http://h/r", nil, nil, overlays.Remote{}, ""},
		{"basic", "http://h/r", ref, map[string]string{"username": "u", "password": hidden + "\n"}, overlays.Remote{Username: "u", Password: hidden}, ""},
		{"token", "http://h/r", ref, map[string]string{"token": hidden}, overlays.Remote{Bearer: hidden}, ""},
		{"user and token", "http://h/r", ref, map[string]string{"username": "u", "token": hidden}, overlays.Remote{Username: "u", Password: hidden}, ""},
		{"no password", "http://h/r", ref, map[string]string{"username": hidden}, overlays.Remote{}, "neither username and password nor token"},
		{"ssh without key", "ssh://h/r", ref, map[string]string{"password": hidden}, overlays.Remote{}, "identity"},
		{"missing", "http://h/r", &v1alpha1.LocalReference{Name: "other"}, nil, overlays.Remote{}, "Secret ns/other, which spec.source.secretRef names: it does not exist"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := secrets(c.data).Git(t.Context(), "ns", v1alpha1.Source{URL: c.url, SecretRef: c.ref})
			if c.refuse != "" {
				refused(t, err, c.refuse)
				return
			}
			c.want.URL = c.url
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func refused(t *testing.T, err error, says string) {
	t.Helper()
	var problem *SecretError
	if !errors.As(err, &problem) || !strings.Contains(err.Error(), says) {
		t.Errorf("error %v, want a SecretError that says %q", err, says)
	}
	if strings.Contains(err.Error(), hidden) {
		t.Errorf("the error holds a secret: %v", err)
	}
}

func TestRegistry(t *testing.T) {
	auth := base64.StdEncoding.EncodeToString([]byte("u:" + hidden))
	config := func(host string) map[string]string {
		return map[string]string{corev1.DockerConfigJsonKey: `{"auths":{"` + host + `":{"auth":"` + auth + `"}}}`}
	}
	want := registry.Credentials{Username: "u", Password: hidden}
	for _, c := range []struct {
		name, repository, endpoint string
		data                       map[string]string
		refuse                     string
	}{
		{"docker configuration", "ghcr.io/acme/web", "", config("ghcr.io"), ""},
		{"with https", "ghcr.io/acme/web", "", config("https://ghcr.io"), ""},
		{"Docker Hub", "acme/web", "", config("https://index.docker.io/v1/"), ""},
		{"endpoint", "ghcr.io/acme/web", "mirror:5000", config("mirror:5000"), ""},
		{"basic", "ghcr.io/acme/web", "", map[string]string{"username": "u", "password": hidden}, ""},
		{"another host", "ghcr.io/acme/web", "", config("quay.io"), "has no entry for ghcr.io"},
		{"not base64", "ghcr.io/acme/web", "", map[string]string{corev1.DockerConfigJsonKey: `{"auths":{"ghcr.io":{"auth":"!` + hidden + `"}}}`}, "not base64"},
		{"not JSON", "ghcr.io/acme/web", "", map[string]string{corev1.DockerConfigJsonKey: hidden}, "not the JSON"},
		{"empty", "ghcr.io/acme/web", "", nil, "neither"},
	} {
		t.Run(c.name, func(t *testing.T) {
			image := v1alpha1.ImageSource{Repository: c.repository, Endpoint: c.endpoint, SecretRef: &v1alpha1.LocalReference{Name: "s"}}
			got, err := secrets(c.data).Registry(t.Context(), "ns", image)
			if c.refuse != "" {
				refused(t, err, c.refuse)
				return
			}
			if diff := cmp.Diff(want, got); diff != "" || err != nil {
				t.Errorf("%v %s", err, diff)
			}
		})
	}
}

func TestWebhook(t *testing.T) {
	ref := &v1alpha1.LocalReference{Name: "s"}
	const key = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	for _, c := range []struct {
		name          string
		ref           *v1alpha1.LocalReference
		data          map[string]string
		secret, token string
		refuse        string
	}{
		{"none", nil, nil, "", "", ""},
		{"both", ref, map[string]string{"secret": key + "\n", "token": hidden}, key, hidden, ""},
		{"token", ref, map[string]string{"token": hidden}, "", hidden, ""},
		{"neither", ref, map[string]string{"password": hidden}, "", "", "neither secret nor token"},
		{"not base64", ref, map[string]string{"secret": hidden + "!"}, "", "", "its secret is not base64"},
		{"missing", &v1alpha1.LocalReference{Name: "other"}, nil, "", "", "spec.analysis.checks[name=load].webhook.secretRef names: it does not exist"},
	} {
		t.Run(c.name, func(t *testing.T) {
			secret, token, err := secrets(c.data).Webhook(t.Context(), "ns", "load", c.ref)
			if c.refuse != "" {
				refused(t, err, c.refuse)
				return
			}
			if err != nil || secret != c.secret || token != c.token {
				t.Errorf("got %q, %q and %v", secret, token, err)
			}
		})
	}
}
