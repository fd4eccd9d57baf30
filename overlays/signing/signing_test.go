package signing_test

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"golang.org/x/crypto/ssh"

	"github.com/serin-gitops/serin/overlays/signing"
)

const passphrase = "a made-up passphrase"

var message = []byte("tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904\n\nSigned\n")

// sshKey makes a key's PEM; to lock it with a passphrase is slow on purpose.
func sshKey(t *testing.T, key crypto.PrivateKey, phrase string) []byte {
	t.Helper()
	block, err := ssh.MarshalPrivateKey(key, "")
	if phrase != "" {
		block, err = ssh.MarshalPrivateKeyWithPassphrase(key, "", []byte(phrase))
	}
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(block)
}

func TestSSH(t *testing.T) {
	t.Parallel()
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	old, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	locked := sshKey(t, edwards, passphrase)
	t.Run("ed25519", func(t *testing.T) { expectSSH(t, sshKey(t, edwards, ""), "") })
	t.Run("rsa", func(t *testing.T) { expectSSH(t, sshKey(t, old, ""), "") })
	t.Run("with passphrase", func(t *testing.T) { expectSSH(t, locked, passphrase) })
	for name, phrase := range map[string]string{"wrong passphrase": "s3cret", "no passphrase": ""} {
		t.Run(name, func(t *testing.T) { expectUnreadable(t, string(locked), phrase) })
	}
}

// expectSSH signs, and verifies by the format's own fields and by ssh-keygen.
func expectSSH(t *testing.T, key []byte, phrase string) {
	signer, err := signing.New(key, phrase)
	if err != nil {
		t.Fatal(err)
	}
	armoured, err := signer.Sign(message)
	if err != nil {
		t.Fatal(err)
	}
	block, rest := pem.Decode(armoured)
	if block == nil || block.Type != "SSH SIGNATURE" || len(rest) != 0 || !bytes.HasPrefix(block.Bytes, []byte("SSHSIG\x00\x00\x00\x01")) {
		t.Fatalf("not an SSH signature:\n%s", armoured)
	}
	keygen, err := exec.LookPath("ssh-keygen")
	if err != nil {
		t.Log("ssh-keygen is not installed: only the signature's frame was checked")
		return
	}
	file := filepath.Join(t.TempDir(), "signature")
	if err := os.WriteFile(file, armoured, 0o600); err != nil {
		t.Fatal(err)
	}
	for text, good := range map[string]bool{string(message): true, "another": false} {
		cmd := exec.Command(keygen, "-Y", "check-novalidate", "-n", "git", "-s", file)
		cmd.Stdin = strings.NewReader(text)
		if out, err := cmd.CombinedOutput(); (err == nil) != good {
			t.Errorf("ssh-keygen on %q: %v\n%s", text, err, out)
		}
	}
}

func TestPGP(t *testing.T) {
	entity, err := openpgp.NewEntity("Serin", "", "serin@example.com", nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, phrase := range map[string]string{"plain": "", "with passphrase": passphrase} {
		t.Run(name, func(t *testing.T) {
			if phrase != "" {
				if err := entity.EncryptPrivateKeys([]byte(phrase), nil); err != nil {
					t.Fatal(err)
				}
			}
			signer, err := signing.New(armoured(t, entity), phrase)
			if err != nil {
				t.Fatal(err)
			}
			signature, err := signer.Sign(message)
			if err != nil {
				t.Fatal(err)
			}
			keyring := openpgp.EntityList{entity}
			if _, err := openpgp.CheckArmoredDetachedSignature(keyring, bytes.NewReader(message), bytes.NewReader(signature), nil); err != nil {
				t.Error(err)
			}
			if _, err := openpgp.CheckArmoredDetachedSignature(keyring, strings.NewReader("another"), bytes.NewReader(signature), nil); err == nil {
				t.Error("the signature fits another text")
			}
			if err := entity.DecryptPrivateKeys([]byte(phrase)); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func armoured(t *testing.T, entity *openpgp.Entity) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := armor.Encode(&b, openpgp.PrivateKeyType, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := entity.SerializePrivateWithoutSigning(w, nil); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestUnreadableKeys(t *testing.T) {
	for name, key := range map[string]string{
		"nothing":    "",
		"garbage":    "s3cret garbage",
		"broken PGP": "-----BEGIN PGP PRIVATE KEY BLOCK-----\n\ns3cret\n-----END PGP PRIVATE KEY BLOCK-----\n",
	} {
		t.Run(name, func(t *testing.T) { expectUnreadable(t, key, "") })
	}
}

func expectUnreadable(t *testing.T, key, phrase string) {
	if _, err := signing.New([]byte(key), phrase); err == nil || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("got %v, want an error without the key", err)
	}
}
