// Package signing signs commits with an OpenPGP or an SSH key, as git does with
// gpg.format openpgp and ssh.
package signing

import (
	"bytes"
	"crypto/rand"
	"crypto/sha512"
	"encoding/pem"
	"errors"
	"fmt"

	"github.com/ProtonMail/go-crypto/openpgp"
	"golang.org/x/crypto/ssh"

	"github.com/serin-gitops/serin/overlays"
)

// errKey does not say what the parser met: that may be part of the key.
var errKey = errors.New("the signing key cannot be read; give an armoured OpenPGP private key or an SSH private key in PEM, with its passphrase")

// New reads a private key: an armoured OpenPGP key or an SSH key in PEM. The
// passphrase is empty for a key that has none.
func New(key []byte, passphrase string) (overlays.Signer, error) {
	if bytes.Contains(key, []byte("BEGIN PGP PRIVATE KEY BLOCK")) {
		return newPGP(key, passphrase)
	}
	return newSSH(key, passphrase)
}

// pgpSigner signs with an OpenPGP key.
type pgpSigner struct{ entity *openpgp.Entity }

func newPGP(key []byte, passphrase string) (overlays.Signer, error) {
	keyring, err := openpgp.ReadArmoredKeyRing(bytes.NewReader(key))
	if err != nil || len(keyring) != 1 || keyring[0].PrivateKey == nil {
		return nil, errKey
	}
	entity := keyring[0]
	if entity.PrivateKey.Encrypted {
		if err := entity.DecryptPrivateKeys([]byte(passphrase)); err != nil {
			return nil, errKey
		}
	}
	return pgpSigner{entity}, nil
}

// Sign makes an armoured detached signature.
func (s pgpSigner) Sign(message []byte) ([]byte, error) {
	var b bytes.Buffer
	if err := openpgp.ArmoredDetachSign(&b, s.entity, bytes.NewReader(message), nil); err != nil {
		return nil, fmt.Errorf("sign with OpenPGP: %w", err)
	}
	return b.Bytes(), nil
}

// sshSigner signs with an SSH key.
type sshSigner struct{ key ssh.Signer }

func newSSH(key []byte, passphrase string) (overlays.Signer, error) {
	parse := func() (ssh.Signer, error) { return ssh.ParsePrivateKey(key) }
	if passphrase != "" {
		parse = func() (ssh.Signer, error) { return ssh.ParsePrivateKeyWithPassphrase(key, []byte(passphrase)) }
	}
	signer, err := parse()
	if err != nil {
		return nil, errKey
	}
	return sshSigner{signer}, nil
}

// The format is OpenSSH's PROTOCOL.sshsig; git uses the namespace "git".
const (
	sshMagic     = "SSHSIG"
	sshNamespace = "git"
	sshHash      = "sha512"
)

// Sign makes an armoured SSH signature.
func (s sshSigner) Sign(message []byte) ([]byte, error) {
	digest := sha512.Sum512(message)
	blob := append([]byte(sshMagic), ssh.Marshal(struct {
		Namespace, Reserved, Hash string
		Digest                    []byte
	}{sshNamespace, "", sshHash, digest[:]})...)
	signature, err := s.sign(blob)
	if err != nil {
		return nil, fmt.Errorf("sign with SSH: %w", err)
	}
	out := append([]byte(sshMagic), ssh.Marshal(struct {
		Version                   uint32
		PublicKey                 []byte
		Namespace, Reserved, Hash string
		Signature                 []byte
	}{1, s.key.PublicKey().Marshal(), sshNamespace, "", sshHash, ssh.Marshal(signature)})...)
	return pem.EncodeToMemory(&pem.Block{Type: "SSH SIGNATURE", Bytes: out}), nil
}

// sign uses SHA-512 with RSA keys: the format forbids the old SHA-1.
func (s sshSigner) sign(blob []byte) (*ssh.Signature, error) {
	if s.key.PublicKey().Type() != ssh.KeyAlgoRSA {
		return s.key.Sign(rand.Reader, blob)
	}
	signer, ok := s.key.(ssh.AlgorithmSigner)
	if !ok {
		return nil, errors.New("the RSA key cannot sign with SHA-512")
	}
	return signer.SignWithAlgorithm(rand.Reader, blob, ssh.KeyAlgoRSASHA512)
}
