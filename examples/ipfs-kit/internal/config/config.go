// Package config reads what one ipfs-kit process is told by its environment
// and by the file mounted from its ConfigMap.
package config

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"
)

// Role says what a peer does in the cluster.
type Role string

// The roles a process can have.
const (
	// Master keeps its identity on a volume; workers join it.
	Master Role = "master"
	// Worker serves requests and joins the masters.
	Worker Role = "worker"
)

// secretBytes is the length of a libp2p pre-shared key.
const secretBytes = 32

// Config is everything a process needs to start.
type Config struct {
	// Role is from ROLE.
	Role Role
	// Pod is the name of the pod, from POD_NAME, else the host name.
	Pod string
	// HTTPAddress is the listen address of the HTTP server, from HTTP_ADDRESS.
	HTTPAddress string
	// SwarmAddress is the multiaddr that libp2p listens on, from SWARM_ADDRESS.
	SwarmAddress string
	// Masters are host:port of the masters' HTTP servers, from MASTERS
	// (separated by commas). A name with several addresses stands for all of
	// them, as with a headless Service.
	Masters []string
	// DataDirectory holds the identity of a master, from DATA_DIRECTORY.
	DataDirectory string
	// Secret is the key of the private network, decoded from CLUSTER_SECRET.
	// It must not be logged.
	Secret []byte
	// Settings are read from the file named by CONFIG_FILE.
	Settings Settings
}

// Settings are the values of the mounted configuration file.
type Settings struct {
	// WorkKiB is how many KiB one request to /work hashes.
	WorkKiB int `json:"workKiB"`
	// RejoinSeconds is how often a worker looks whether it still sees its masters.
	RejoinSeconds int `json:"rejoinSeconds"`
	// DrainSeconds is how long the process goes on serving, not ready, after SIGTERM.
	DrainSeconds int `json:"drainSeconds"`
}

// RejoinInterval is Settings.RejoinSeconds as a duration.
func (s Settings) RejoinInterval() time.Duration {
	return time.Duration(s.RejoinSeconds) * time.Second
}

// DrainTime is Settings.DrainSeconds as a duration.
func (s Settings) DrainTime() time.Duration {
	return time.Duration(s.DrainSeconds) * time.Second
}

// Load reads the configuration. lookup is os.LookupEnv outside tests.
func Load(lookup func(string) (string, bool)) (Config, error) {
	get := func(name, fallback string) string {
		if value, ok := lookup(name); ok && value != "" {
			return value
		}
		return fallback
	}
	host, err := os.Hostname()
	if err != nil {
		return Config{}, fmt.Errorf("read the host name: %w", err)
	}
	c := Config{
		Role:          Role(get("ROLE", string(Worker))),
		Pod:           get("POD_NAME", host),
		HTTPAddress:   get("HTTP_ADDRESS", ":8080"),
		SwarmAddress:  get("SWARM_ADDRESS", "/ip4/0.0.0.0/tcp/4001"),
		Masters:       split(get("MASTERS", "")),
		DataDirectory: get("DATA_DIRECTORY", "/data"),
	}
	secret, secretErr := parseSecret(get("CLUSTER_SECRET", ""))
	settings, settingsErr := readSettings(get("CONFIG_FILE", ""))
	c.Secret, c.Settings = secret, settings
	return c, errors.Join(c.checkRole(), secretErr, settingsErr)
}

func (c Config) checkRole() error {
	switch {
	case c.Role != Master && c.Role != Worker:
		return fmt.Errorf("ROLE is %q: set it to %q or %q", c.Role, Master, Worker)
	case c.Role == Worker && len(c.Masters) == 0:
		return errors.New("MASTERS is empty: a worker needs at least one host:port of a master")
	}
	return nil
}

// parseSecret decodes CLUSTER_SECRET, in the form IPFS Cluster uses: 32 bytes
// in hexadecimal digits. The value never becomes part of an error.
func parseSecret(value string) ([]byte, error) {
	secret, err := hex.DecodeString(value)
	if err != nil || len(secret) != secretBytes {
		return nil, fmt.Errorf("CLUSTER_SECRET is not %d bytes in hexadecimal digits: make one with `openssl rand -hex %d`",
			secretBytes, secretBytes)
	}
	return secret, nil
}

func readSettings(path string) (Settings, error) {
	settings := Settings{WorkKiB: 4, RejoinSeconds: 2, DrainSeconds: 3}
	if path == "" {
		return settings, nil
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return settings, fmt.Errorf("read CONFIG_FILE: %w", err)
	}
	if err := json.Unmarshal(raw, &settings); err != nil {
		return settings, fmt.Errorf("parse CONFIG_FILE %s: %w", path, err)
	}
	if settings.WorkKiB < 1 || settings.RejoinSeconds < 1 || settings.DrainSeconds < 0 {
		return settings, fmt.Errorf("CONFIG_FILE %s: workKiB %d and rejoinSeconds %d must be at least 1, drainSeconds %d at least 0",
			path, settings.WorkKiB, settings.RejoinSeconds, settings.DrainSeconds)
	}
	return settings, nil
}

func split(list string) []string {
	var parts []string
	for part := range strings.SplitSeq(list, ",") {
		if part = strings.TrimSpace(part); part != "" {
			parts = append(parts, part)
		}
	}
	return parts
}
