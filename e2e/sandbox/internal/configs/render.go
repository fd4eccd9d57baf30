// Package configs writes what the parts of the sandbox read: their configuration
// and their credentials.
package configs

import (
	"bytes"
	"embed"
	"fmt"
	"text/template"

	"github.com/serin-gitops/serin/e2e/sandbox/internal/layout"
)

//go:embed templates
var templateFiles embed.FS

// Settings is what the templates of configuration files may use.
type Settings struct {
	Layout layout.Layout
	// Full says that Traefik and its companions run too.
	Full bool
	// GiteaSources is the directory of Gitea's module; empty in profile light.
	GiteaSources string
}

// Path joins names under the state directory.
func (s Settings) Path(names ...string) string { return s.Layout.Path(names...) }

// Socket is containerd's.
func (s Settings) Socket() string { return s.Layout.ContainerdSocket() }

// Kubeconfig is the administrator's.
func (s Settings) Kubeconfig() string { return s.Layout.Kubeconfig(layout.IdentityAdmin) }

// NodeAddress is the constant of that name, as are the methods below.
func (s Settings) NodeAddress() string { return layout.NodeAddress }

// PodCIDR is the range of pod addresses.
func (s Settings) PodCIDR() string { return layout.PodCIDR }

// DNSAddress is the Service address of the cluster's DNS.
func (s Settings) DNSAddress() string { return layout.DNSAddress }

// BootstrapPrefix names the bootstrap registry inside the sandbox.
func (s Settings) BootstrapPrefix() string { return layout.BootstrapPrefix }

// Cgroup is the parent of every pod's cgroup.
func (s Settings) Cgroup() string { return layout.CgroupName }

// LocalNames lead to the node's address.
func (s Settings) LocalNames() []string { return layout.LocalNames }

// render fills in one of the embedded templates.
func render(name string, data any) ([]byte, error) {
	text, err := templateFiles.ReadFile("templates/" + name)
	if err != nil {
		return nil, err
	}
	parsed, err := template.New(name).Option("missingkey=error").Parse(string(text))
	if err != nil {
		return nil, fmt.Errorf("template %s: %w", name, err)
	}
	var out bytes.Buffer
	if err := parsed.Execute(&out, data); err != nil {
		return nil, fmt.Errorf("template %s: %w", name, err)
	}
	return out.Bytes(), nil
}

// WriteConfigs renders every part's configuration into the state directory.
func WriteConfigs(s Settings) error {
	files := map[string]string{
		"containerd.toml":  s.Path("config", "containerd.toml"),
		"cni.conflist":     s.Path("config", "cni", "10-serin.conflist"),
		"kubelet.yaml":     s.Path("config", "kubelet.yaml"),
		"prometheus.yml":   s.Path("config", "prometheus.yml"),
		"Corefile":         s.Path("config", "Corefile"),
		"objects.yaml":     s.Path("config", "objects.yaml"),
		"node-resolv.conf": s.Path("config", "node-resolv.conf"),
	}
	if s.Full {
		files["gitea.ini"] = s.Path("config", "gitea.ini")
		files["full-objects.yaml"] = s.Path("config", "full-objects.yaml")
	}
	for name, target := range files {
		text, err := render(name, s)
		if err != nil {
			return err
		}
		if err := layout.WriteFile(target, text, 0o644); err != nil {
			return err
		}
	}
	for name, port := range map[string]int{"bootstrap.local": layout.BootstrapPort, "registry.local": layout.RegistryPort, "gitea.local": layout.GiteaPort} {
		text, err := render("hosts.toml", struct{ Target string }{layout.HostPort(layout.NodeAddress, port)})
		if err != nil {
			return err
		}
		if err := layout.WriteFile(s.Path("config", "registries", layout.HostPort(name, port), "hosts.toml"), text, 0o644); err != nil {
			return err
		}
	}
	// Pods get only the cluster's DNS; there is nothing to ask beyond it.
	return layout.WriteFile(s.Path("config", "resolv.conf"), nil, 0o644)
}
