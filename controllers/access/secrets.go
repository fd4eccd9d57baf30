// Package access enters what a Pipeline or a Rollout names: Git repositories,
// registries and metric sources, with the credentials of Secrets. Secrets are
// read one by one when they are needed and are never cached, so Serin needs no
// right to list or watch them.
package access

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/serin-gitops/serin/api/v1alpha1"
	"github.com/serin-gitops/serin/overlays"
	"github.com/serin-gitops/serin/registry"
)

// SecretError says what is wrong with a Secret that is named somewhere. Its
// text holds names and keys, never a value.
type SecretError struct {
	Namespace, Name string
	// Field names the Secret.
	Field   string
	Problem string
}

func (e *SecretError) Error() string {
	return fmt.Sprintf("Secret %s/%s, which %s names: %s", e.Namespace, e.Name, e.Field, e.Problem)
}

// Secrets reads Secrets.
type Secrets struct {
	// Reader asks the API server, not a cache.
	Reader client.Reader
}

// read gets a Secret; nil where none is named.
func (s Secrets) read(ctx context.Context, namespace string, ref *v1alpha1.LocalReference, field string) (*secret, error) {
	if ref == nil {
		return &secret{}, nil
	}
	var found corev1.Secret
	err := s.Reader.Get(ctx, types.NamespacedName{Namespace: namespace, Name: ref.Name}, &found)
	if apierrors.IsNotFound(err) {
		return nil, &SecretError{Namespace: namespace, Name: ref.Name, Field: field, Problem: "it does not exist; create it"}
	}
	if err != nil {
		return nil, fmt.Errorf("read Secret %s/%s, which %s names: %w", namespace, ref.Name, field, err)
	}
	return &secret{Secret: found, field: field}, nil
}

// secret is a Secret and the field that names it.
type secret struct {
	corev1.Secret
	field string
}

func (s *secret) text(key string) string {
	return strings.TrimRight(string(s.Data[key]), "\r\n")
}

func (s *secret) problem(format string, args ...any) error {
	return &SecretError{Namespace: s.Namespace, Name: s.Name, Field: s.field, Problem: fmt.Sprintf(format, args...)}
}

// Git says how to enter a deploy repository: username and password, or token
// (bearer, or the password where there is a username), or identity, known_hosts
// and password (the key's passphrase) for SSH; ca.crt.
func (s Secrets) Git(ctx context.Context, namespace string, source v1alpha1.Source) (overlays.Remote, error) {
	found, err := s.read(ctx, namespace, source.SecretRef, "spec.source.secretRef")
	if err != nil {
		return overlays.Remote{}, err
	}
	remote := overlays.Remote{URL: source.URL, CA: found.Data["ca.crt"]}
	if source.SecretRef == nil {
		return remote, nil
	}
	remote.Username, remote.Password = found.text("username"), found.text("password")
	remote.PrivateKey, remote.KnownHosts = found.Data["identity"], found.Data["known_hosts"]
	if token := found.text("token"); token != "" {
		if remote.Username != "" {
			remote.Password = token
		} else {
			remote.Bearer = token
		}
	}
	if strings.HasPrefix(source.URL, "ssh://") && len(remote.PrivateKey) == 0 {
		return overlays.Remote{}, found.problem("an ssh address needs the key identity (a private key in PEM); add it")
	}
	if strings.HasPrefix(source.URL, "http") && remote.Password == "" && remote.Bearer == "" {
		return overlays.Remote{}, found.problem("it has neither username and password nor token; add them")
	}
	return remote, nil
}

// SigningKey is the armoured private key that signs commits, and its
// passphrase; empty where none is named.
func (s Secrets) SigningKey(ctx context.Context, namespace string, source v1alpha1.Source) (key, passphrase []byte, err error) {
	found, err := s.read(ctx, namespace, source.SigningKeySecretRef, "spec.source.signingKeySecretRef")
	if err != nil || source.SigningKeySecretRef == nil {
		return nil, nil, err
	}
	if len(found.Data["git.asc"]) == 0 {
		return nil, nil, found.problem("it has no key git.asc (an armoured private GPG key); add it")
	}
	return found.Data["git.asc"], []byte(found.text("passphrase")), nil
}

// Registry says how to enter an image's registry.
func (s Secrets) Registry(ctx context.Context, namespace string, image v1alpha1.ImageSource) (registry.Credentials, error) {
	field := fmt.Sprintf("spec.images[repository=%s].secretRef", image.Repository)
	found, err := s.read(ctx, namespace, image.SecretRef, field)
	if err != nil {
		return registry.Credentials{}, err
	}
	credentials := registry.Credentials{Insecure: image.Insecure, CA: found.Data["ca.crt"]}
	if image.SecretRef == nil {
		return credentials, nil
	}
	if config, ok := found.Data[corev1.DockerConfigJsonKey]; ok {
		credentials.Username, credentials.Password, err = fromDockerConfig(config, Host(image))
		if err != nil {
			return registry.Credentials{}, found.problem("%s", err)
		}
		return credentials, nil
	}
	credentials.Username, credentials.Password = found.text("username"), found.text("password")
	if credentials.Password == "" {
		return registry.Credentials{}, found.problem("it has neither %s nor username and password; add them", corev1.DockerConfigJsonKey)
	}
	return credentials, nil
}

// Host is the registry that an image is asked for at.
func Host(image v1alpha1.ImageSource) string {
	if image.Endpoint != "" {
		return image.Endpoint
	}
	host, _, found := strings.Cut(image.Repository, "/")
	if !found || (!strings.ContainsAny(host, ".:") && host != "localhost") {
		return "docker.io"
	}
	return host
}

// fromDockerConfig finds a host's entry in the JSON of a docker configuration.
func fromDockerConfig(config []byte, host string) (username, password string, err error) {
	var parsed struct {
		Auths map[string]struct{ Username, Password, Auth string }
	}
	if err := json.Unmarshal(config, &parsed); err != nil {
		return "", "", fmt.Errorf("%s is not the JSON of a docker configuration", corev1.DockerConfigJsonKey)
	}
	names := []string{host, "https://" + host, "http://" + host, "https://" + host + "/v1/", "https://" + host + "/v2/"}
	if host == "docker.io" {
		names = append(names, "index.docker.io", "https://index.docker.io/v1/")
	}
	for _, name := range names {
		entry, ok := parsed.Auths[name]
		if !ok {
			continue
		}
		if entry.Auth == "" {
			return entry.Username, entry.Password, nil
		}
		plain, err := base64.StdEncoding.DecodeString(entry.Auth)
		if err != nil {
			return "", "", fmt.Errorf("%s: the auth of %s is not base64", corev1.DockerConfigJsonKey, host)
		}
		username, password, _ = strings.Cut(string(plain), ":")
		return username, password, nil
	}
	return "", "", fmt.Errorf("%s has no entry for %s; add one", corev1.DockerConfigJsonKey, host)
}
