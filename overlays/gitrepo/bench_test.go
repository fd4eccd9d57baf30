package gitrepo_test

import (
	"testing"

	"github.com/serin-gitops/serin/overlays/gitrepo"
	"github.com/serin-gitops/serin/overlays/gitrepotest"
)

// BenchmarkPromotion is one promotion in a repository of 50,000 files, warm.
func BenchmarkPromotion(b *testing.B) {
	for name, other := range map[string]bool{"alone": false, "after another writer": true} {
		b.Run(name, func(b *testing.B) {
			gitrepotest.BenchmarkWrite(b, newRepositories(b, b.TempDir(), gitrepo.Options{}), 50_000, other)
		})
	}
}
