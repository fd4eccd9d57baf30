package world

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// looks are what is asked of a cluster in which something went wrong.
var looks = [][]string{
	{"logs", "--namespace=" + SerinNamespace, "deployment/serin", "--tail=5000"},
	{"get", "pods", "--all-namespaces", "--output=wide"},
	{"get", "pipelines,releases,promotions,rollouts", "--all-namespaces", "--output=yaml"},
	{"get", "deployments,replicasets,statefulsets", "--all-namespaces", "--output=wide"},
	{"get", "events", "--all-namespaces", "--sort-by=.metadata.creationTimestamp"},
}

// Look writes Serin's log, and what the cluster says of the world's objects, into
// a file: the cluster, or the world in it, may be gone before anybody can look.
// No Secret is among them.
func (w *World) Look(ctx context.Context, path string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return err
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	for _, look := range looks {
		_, _ = fmt.Fprintf(file, "\n== kubectl %q\n", look)
		command := exec.CommandContext(ctx, w.Kubectl, append([]string{"--kubeconfig=" + w.Kubeconfig}, look...)...)
		command.Stdout, command.Stderr = file, file
		if err := command.Run(); err != nil {
			// What cannot be asked, such as of kinds that are not installed, says so in
			// the file; the others still tell.
			_, _ = fmt.Fprintln(file, err)
		}
	}
	return errors.Join(file.Sync(), file.Close())
}
