package sandbox

import (
	"bytes"
	"embed"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"text/template"
)

//go:embed templates
var templateFiles embed.FS

// settings is what the templates of configuration files may use.
type settings struct {
	layout layout
	// Full says that Traefik and its companions run too.
	Full bool
	// GiteaSources is the directory of Gitea's module; empty in profile light.
	GiteaSources string
}

// Path joins names under the state directory.
func (s settings) Path(names ...string) string { return s.layout.path(names...) }

// Socket is containerd's.
func (s settings) Socket() string { return s.layout.containerdSocket() }

// Kubeconfig is the administrator's.
func (s settings) Kubeconfig() string { return s.layout.kubeconfig(identityAdmin) }

// NodeAddress is the constant of that name, as are the methods below.
func (s settings) NodeAddress() string { return NodeAddress }

// PodCIDR is the range of pod addresses.
func (s settings) PodCIDR() string { return PodCIDR }

// DNSAddress is the Service address of the cluster's DNS.
func (s settings) DNSAddress() string { return DNSAddress }

// BootstrapPrefix names the bootstrap registry inside the sandbox.
func (s settings) BootstrapPrefix() string { return BootstrapPrefix }

// Cgroup is the parent of every pod's cgroup.
func (s settings) Cgroup() string { return cgroupName }

// LocalNames lead to the node's address.
func (s settings) LocalNames() []string { return localNames }

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

// writeConfigs renders every part's configuration into the state directory.
func writeConfigs(s settings) error {
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
		if err := writeFile(target, text, 0o644); err != nil {
			return err
		}
	}
	for name, port := range map[string]int{"bootstrap.local": bootstrapPort, "registry.local": registryPort, "gitea.local": giteaPort} {
		text, err := render("hosts.toml", struct{ Target string }{hostPort(NodeAddress, port)})
		if err != nil {
			return err
		}
		if err := writeFile(s.Path("config", "registries", hostPort(name, port), "hosts.toml"), text, 0o644); err != nil {
			return err
		}
	}
	// Pods get only the cluster's DNS; there is nothing to ask beyond it.
	return writeFile(s.Path("config", "resolv.conf"), nil, 0o644)
}

// writeFile replaces a file as a whole, so that a reader never sees half of it,
// and makes its directory.
func writeFile(path string, text []byte, mode os.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	next, err := os.CreateTemp(filepath.Dir(path), ".next-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(next.Name()) }()
	_, err = next.Write(text)
	if closeErr := next.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Chmod(next.Name(), mode)
	}
	if err == nil {
		err = os.Rename(next.Name(), path)
	}
	return err
}

func hostPort(host string, port int) string { return host + ":" + strconv.Itoa(port) }
