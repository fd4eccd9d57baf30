package signing

import (
	"bytes"
	"testing"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
)

func key(t *testing.T, passphrase string, private bool) (*openpgp.Entity, []byte) {
	t.Helper()
	entity, err := openpgp.NewEntity("Serin", "", "serin@example.com", nil)
	if err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	block := openpgp.PublicKeyType
	if private {
		block = openpgp.PrivateKeyType
	}
	writer, err := armor.Encode(&text, block, nil)
	if err != nil {
		t.Fatal(err)
	}
	if passphrase != "" {
		if err := entity.EncryptPrivateKeys([]byte(passphrase), nil); err != nil {
			t.Fatal(err)
		}
	}
	if private {
		err = entity.SerializePrivateWithoutSigning(writer, nil)
	} else {
		err = entity.Serialize(writer)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	return entity, text.Bytes()
}

func TestSign(t *testing.T) {
	for _, passphrase := range []string{"", "open sesame"} {
		entity, text := key(t, passphrase, true)
		signer, err := NewGPG(text, []byte(passphrase))
		if err != nil {
			t.Fatal(err)
		}
		signature, err := signer.Sign([]byte("tree 123\n"))
		if err != nil {
			t.Fatal(err)
		}
		ring := openpgp.EntityList{entity}
		if _, err := openpgp.CheckArmoredDetachedSignature(ring, bytes.NewReader([]byte("tree 123\n")), bytes.NewReader(signature), nil); err != nil {
			t.Errorf("passphrase %q: %v", passphrase, err)
		}
		if _, err := openpgp.CheckArmoredDetachedSignature(ring, bytes.NewReader([]byte("tree 124\n")), bytes.NewReader(signature), nil); err == nil {
			t.Error("the signature holds for another message")
		}
	}
}

func TestRefused(t *testing.T) {
	_, locked := key(t, "right", true)
	_, public := key(t, "", false)
	for name, text := range map[string][]byte{"wrong passphrase": locked, "public": public, "nonsense": []byte("nonsense"), "empty": nil} {
		if _, err := NewGPG(text, []byte("wrong")); err == nil {
			t.Errorf("%s: no error", name)
		} else if bytes.Contains([]byte(err.Error()), []byte("wrong\"")) {
			t.Errorf("%s: the error holds the passphrase: %v", name, err)
		}
	}
}
