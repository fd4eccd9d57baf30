package sandbox

import (
	"context"
	"path/filepath"

	"github.com/serin-gitops/serin/e2e/sandbox/internal/builds"
)

// ApplyRouteKinds gives profile light the kinds HTTPRoute and GRPCRoute, and
// leaves them there. No gateway serves them: traffictest.Accept plays its part.
func (c *Cluster) ApplyRouteKinds(ctx context.Context) error {
	if c.layout.Dir == "" {
		return errExisting
	}
	dir, err := builds.ModuleDir(ctx, c.layout.Root, gatewayModule)
	if err != nil {
		return err
	}
	var files []string
	for _, kind := range []string{"httproutes", "grpcroutes"} {
		files = append(files, filepath.Join(dir, "config", "crd", "experimental", "gateway.networking.k8s.io_"+kind+".yaml"))
	}
	return c.applyDefinitions(ctx, files)
}
