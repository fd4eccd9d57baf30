package configs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"time"

	"github.com/serin-gitops/serin/e2e/sandbox/internal/layout"
)

// subjects are the users and groups that RBAC knows the identities by.
var subjects = []struct{ identity, user, group string }{
	{layout.IdentityAdmin, "sandbox-admin", "system:masters"},
	{layout.IdentityControllerManager, "system:kube-controller-manager", ""},
	{layout.IdentityScheduler, "system:kube-scheduler", ""},
	{layout.IdentityKubelet, "system:node:" + layout.NodeName, "system:nodes"},
	{layout.IdentityProxy, "system:kube-proxy", ""},
}

// certificateLife bounds the life of the sandbox's certificates.
const certificateLife = 365 * 24 * time.Hour

// authority signs the sandbox's certificates. It is made once per data
// directory and its key never leaves that directory.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	pem         []byte
}

// WritePKI makes every key, certificate and kubeconfig, unless they are there.
// The administrator's kubeconfig is written last and marks completeness.
func WritePKI(l layout.Layout, now time.Time) error {
	if _, err := os.Stat(l.Kubeconfig(layout.IdentityAdmin)); err == nil {
		return nil
	}
	ca, err := newAuthority(now)
	if err != nil {
		return err
	}
	if err := layout.WriteFile(l.Path("pki", "ca.crt"), ca.pem, 0o644); err != nil {
		return err
	}
	if err := writeServiceAccountKey(l); err != nil {
		return err
	}
	cert, key, err := ca.issue(serverTemplate(), now)
	if err != nil {
		return err
	}
	if err := layout.WriteFile(l.Path("pki", "server.crt"), cert, 0o644); err != nil {
		return err
	}
	if err := layout.WriteFile(l.Path("pki", "server.key"), key, 0o600); err != nil {
		return err
	}
	for i := len(subjects) - 1; i >= 0; i-- {
		if err := ca.writeClient(l, subjects[i].identity, subjects[i].user, subjects[i].group, now); err != nil {
			return fmt.Errorf("credentials of %s: %w", subjects[i].identity, err)
		}
	}
	return nil
}

func newAuthority(now time.Time) (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "serin-sandbox"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(certificateLife),
		IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &authority{certificate, key, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})}, nil
}

// serverTemplate is the one serving certificate of all parts: they share the
// node's address and the loopback.
func serverTemplate() *x509.Certificate {
	return &x509.Certificate{
		Subject:     pkix.Name{CommonName: "serin-sandbox-server"},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames: []string{
			"localhost", layout.NodeName, "kubernetes", "kubernetes.default",
			"kubernetes.default.svc", "kubernetes.default.svc.cluster.local",
		},
		IPAddresses: []net.IP{net.ParseIP("127.0.0.1"), net.ParseIP(layout.NodeAddress), net.ParseIP(layout.KubernetesIP)},
	}
}

// issue signs a certificate with a new key and returns both as PEM.
func (a *authority) issue(template *x509.Certificate, now time.Time) (certPEM, keyPEM []byte, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	if template.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120)); err != nil {
		return nil, nil, err
	}
	template.NotBefore, template.NotAfter = now.Add(-time.Hour), now.Add(certificateLife)
	template.KeyUsage = x509.KeyUsageDigitalSignature
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, &key.PublicKey, a.key)
	if err != nil {
		return nil, nil, err
	}
	keyPEM, err = encodeKey(key)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), keyPEM, err
}

// writeClient issues a client certificate and wraps it in a kubeconfig.
func (a *authority) writeClient(l layout.Layout, identity, user, group string, now time.Time) error {
	name := pkix.Name{CommonName: user}
	if group != "" {
		name.Organization = []string{group}
	}
	cert, key, err := a.issue(&x509.Certificate{Subject: name, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}, now)
	if err != nil {
		return err
	}
	encode := base64.StdEncoding.EncodeToString
	text, err := render("kubeconfig.yaml", struct{ Server, CA, Identity, Cert, Key string }{
		"https://" + layout.HostPort("127.0.0.1", layout.APIPort), encode(a.pem), identity, encode(cert), encode(key),
	})
	if err != nil {
		return err
	}
	if identity == layout.IdentityAdmin {
		// The API server presents the same certificate to the kubelet.
		if err := layout.WriteFile(l.Path("pki", "admin.crt"), cert, 0o644); err != nil {
			return err
		}
		if err := layout.WriteFile(l.Path("pki", "admin.key"), key, 0o600); err != nil {
			return err
		}
	}
	return layout.WriteFile(l.Kubeconfig(identity), text, 0o600)
}

// writeServiceAccountKey makes the key that signs service account tokens.
func writeServiceAccountKey(l layout.Layout) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	text, err := encodeKey(key)
	if err != nil {
		return err
	}
	return layout.WriteFile(l.Path("pki", "service-account.key"), text, 0o600)
}

func encodeKey(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}), nil
}
