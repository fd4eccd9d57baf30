package main

import (
	"fmt"
	"os"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

const (
	leaseName = "serin.serin.dev"
	// renewDeadline is how long whoever holds the lease may fail to renew it before it
	// stops to act; controller-runtime's default.
	renewDeadline = 10 * time.Second
)

// podHolder is the pod as a holder of the lease; nothing outside of one. The UID
// tells it from an earlier pod of its name.
func podHolder() string {
	name, uid := os.Getenv("POD_NAME"), os.Getenv("POD_UID")
	if name == "" || uid == "" {
		return ""
	}
	return name + "_" + uid
}

// lease is what one replica acts under. A process that the kubelet starts again in
// its pod goes on with the lease of the one that it has seen end. Nil without a
// holder's name: then controller-runtime makes a lease for a holder that is
// the process, and which has to run out after a crash.
func (f *controllerFlags) lease(config *rest.Config) (resourcelock.Interface, error) {
	if !f.leaderElect || f.holder == "" {
		return nil, nil
	}
	if f.namespace == "" {
		return nil, fmt.Errorf("--lease-holder %s: give --namespace too, the lease's", f.holder)
	}
	return resourcelock.NewFromKubeconfig(resourcelock.LeasesResourceLock, f.namespace, leaseName,
		resourcelock.ResourceLockConfig{Identity: f.holder}, config, renewDeadline)
}
