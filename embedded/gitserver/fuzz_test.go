package gitserver

import (
	"bytes"
	"context"
	"io"
	"path/filepath"
	"testing"

	"github.com/go-git/go-git/v5/plumbing"
)

// FuzzRequests sends arbitrary bodies to both services: whatever comes, nothing
// panics and no reference appears.
func FuzzRequests(f *testing.F) {
	dir := filepath.Join(f.TempDir(), "fuzz.git")
	if err := initRepository(dir, "refs/heads/main"); err != nil {
		f.Fatal(err)
	}
	server, err := New(Options{Dir: filepath.Dir(dir)})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() {
		if err := server.Close(context.Background()); err != nil {
			f.Error(err)
		}
	})
	id := plumbing.NewHash("0123456789012345678901234567890123456789").String()
	f.Add([]byte("0000"))
	f.Add([]byte("0032want " + id + "\n0009done\n0000"))
	f.Add([]byte("0045want " + id + " multi_ack_detailed\n000cdeepen 10000"))
	f.Add([]byte("006a" + plumbing.ZeroHash.String() + " " + id + " refs/heads/main\x00 report-status0000PACK\x00\x00\x00\x02\x00\x00\x00\x01\x30\x78\x9c"))
	f.Fuzz(func(t *testing.T, body []byte) {
		// Errors are fine: what matters is what they leave.
		_ = uploadPack(t.Context(), io.Discard, bytes.NewReader(body), openStore(dir))
		_ = server.receivePack(io.Discard, bytes.NewReader(body), request{name: "fuzz", user: User{PushProtected: true}})
		refs, err := references(openStore(dir))
		if err != nil || len(refs) > 0 {
			t.Errorf("references %v, %v", refs, err)
		}
	})
}
