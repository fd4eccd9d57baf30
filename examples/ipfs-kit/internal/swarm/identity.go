package swarm

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/libp2p/go-libp2p/core/crypto"
)

// identityFile is the name of the private key in a master's data directory.
const identityFile = "identity.key"

// LoadIdentity reads the private key kept in directory, and makes and keeps
// one when there is none yet, so that a master is the same peer after a
// restart.
func LoadIdentity(directory string) (crypto.PrivKey, error) {
	path := filepath.Join(directory, identityFile)
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return newIdentity(path)
	}
	if err != nil {
		return nil, fmt.Errorf("read the identity: %w", err)
	}
	key, err := crypto.UnmarshalPrivateKey(raw)
	if err != nil {
		return nil, fmt.Errorf("identity %s is damaged, remove it to get a new one: %w", path, err)
	}
	return key, nil
}

// newIdentity writes the key beside its place and renames it, so that a crash
// never leaves half a key.
func newIdentity(path string) (crypto.PrivKey, error) {
	key, _, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make an identity: %w", err)
	}
	raw, err := crypto.MarshalPrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encode the identity: %w", err)
	}
	if err := os.WriteFile(path+".new", raw, 0o600); err != nil {
		return nil, fmt.Errorf("keep the identity: %w", err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return nil, fmt.Errorf("keep the identity: %w", err)
	}
	return key, nil
}
