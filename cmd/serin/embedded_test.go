package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Servers that anybody may push to would let anybody choose what the cluster
// runs.
func TestEmbeddedServersNeedUsers(t *testing.T) {
	cases := []struct {
		name, users, says string
	}{
		{"no file", "", "registry.users is missing"},
		{"an empty file", "[]", "there is no user"},
		{"no password", "- {name: ci}", `user "ci": name and password are required`},
		{"an unknown field", "- {name: ci, pasword: s3cret}", "pasword"},
		{"a user", "- {name: ci, password: s3cret}", ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			path := ""
			if c.users != "" {
				path = filepath.Join(t.TempDir(), "users.yaml")
				if err := os.WriteFile(path, []byte(c.users), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			users, err := readUsers("registry", path)
			switch {
			case c.says == "":
				if err != nil || len(users) != 1 {
					t.Errorf("got %d users, %v", len(users), err)
				}
			case err == nil || !strings.Contains(err.Error(), c.says):
				t.Errorf("got %v, want an error that says %q", err, c.says)
			case strings.Contains(err.Error(), "s3cret"):
				t.Errorf("a password is in the error: %v", err)
			}
		})
	}
}
