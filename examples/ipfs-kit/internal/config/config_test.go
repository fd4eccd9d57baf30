package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const secret = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"

func environment(pairs map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		value, ok := pairs[name]
		return value, ok
	}
}

func TestLoad(t *testing.T) {
	file := filepath.Join(t.TempDir(), "config.json")
	if err := os.WriteFile(file, []byte(`{"workKiB": 16}`), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := Load(environment(map[string]string{
		"ROLE": "worker", "POD_NAME": "w-1", "MASTERS": "a:8080, b:8080,", "CLUSTER_SECRET": secret, "CONFIG_FILE": file,
	}))
	if err != nil {
		t.Fatal(err)
	}
	key := make([]byte, 32)
	for i := range key {
		key[i] = byte(i)
	}
	want := Config{
		Role: Worker, Pod: "w-1", HTTPAddress: ":8080", SwarmAddress: "/ip4/0.0.0.0/tcp/4001",
		Masters: []string{"a:8080", "b:8080"}, DataDirectory: "/data", Secret: key,
		Settings: Settings{WorkKiB: 16, RejoinSeconds: 2, DrainSeconds: 3},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Load (-want +got):\n%s", diff)
	}
}

func TestLoadRefuses(t *testing.T) {
	file := filepath.Join(t.TempDir(), "config.json")
	if err := os.WriteFile(file, []byte(`{"workKiB": 0}`), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		env  map[string]string
		want string
	}{
		"role":             {map[string]string{"ROLE": "boss", "CLUSTER_SECRET": secret}, `ROLE is "boss"`},
		"no masters":       {map[string]string{"ROLE": "worker", "CLUSTER_SECRET": secret}, "MASTERS is empty"},
		"no secret":        {map[string]string{"ROLE": "master"}, "CLUSTER_SECRET is not 32 bytes"},
		"short secret":     {map[string]string{"ROLE": "master", "CLUSTER_SECRET": "abcd"}, "CLUSTER_SECRET is not 32 bytes"},
		"missing settings": {map[string]string{"ROLE": "master", "CLUSTER_SECRET": secret, "CONFIG_FILE": "/no/such"}, "read CONFIG_FILE"},
		"bad settings":     {map[string]string{"ROLE": "master", "CLUSTER_SECRET": secret, "CONFIG_FILE": file}, "workKiB 0"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := Load(environment(test.env))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("Load: got error %v, want one with %q", err, test.want)
			}
			if strings.Contains(err.Error(), "abcd") {
				t.Errorf("the error shows the secret: %v", err)
			}
		})
	}
}
