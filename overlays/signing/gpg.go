// Package signing signs commits.
package signing

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/ProtonMail/go-crypto/openpgp"

	"github.com/serin-gitops/serin/overlays"
)

// GPG signs with an OpenPGP key (RFC 9580), as gpg does for git commit -S.
type GPG struct {
	entity *openpgp.Entity
}

var _ overlays.Signer = (*GPG)(nil)

// NewGPG reads an armoured private key, and unlocks it with the passphrase where
// it has one. Errors never hold the key or the passphrase.
func NewGPG(key, passphrase []byte) (*GPG, error) {
	ring, err := openpgp.ReadArmoredKeyRing(bytes.NewReader(key))
	if err != nil {
		return nil, fmt.Errorf("signing key: not an armoured OpenPGP key: %w", err)
	}
	if len(ring) != 1 {
		return nil, fmt.Errorf("signing key: the ring has %d keys, want 1", len(ring))
	}
	entity := ring[0]
	if entity.PrivateKey == nil {
		return nil, errors.New("signing key: it is a public key; give the private one (gpg --export-secret-keys --armor)")
	}
	if entity.PrivateKey.Encrypted {
		if err := entity.DecryptPrivateKeys(passphrase); err != nil {
			return nil, errors.New("signing key: the passphrase does not unlock it")
		}
	}
	return &GPG{entity: entity}, nil
}

// Sign returns an armoured detached signature.
func (g *GPG) Sign(message []byte) ([]byte, error) {
	var signature bytes.Buffer
	if err := openpgp.ArmoredDetachSign(&signature, g.entity, bytes.NewReader(message), nil); err != nil {
		return nil, fmt.Errorf("sign the commit: %w", err)
	}
	return signature.Bytes(), nil
}
