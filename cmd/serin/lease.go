package main

import (
	"fmt"
	"os"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	coordinationv1 "k8s.io/client-go/kubernetes/typed/coordination/v1"
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
// holder's name: then controller-runtime makes a lease whose holder is the process,
// and which has to run out after a crash.
func (f *controllerFlags) lease(config *rest.Config) (resourcelock.Interface, error) {
	if !f.leaderElect || f.holder == "" {
		return nil, nil
	}
	if f.namespace == "" {
		return nil, fmt.Errorf("lease of holder %s: its namespace is not known, set POD_NAMESPACE or --namespace", f.holder)
	}
	config = rest.AddUserAgent(rest.CopyConfig(config), "leader-election")
	// One request that hangs is not to cost the lease.
	config.Timeout = renewDeadline / 2
	client, err := coordinationv1.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("lease of holder %s: %w", f.holder, err)
	}
	return &resourcelock.LeaseLock{
		LeaseMeta:  metav1.ObjectMeta{Namespace: f.namespace, Name: leaseName},
		Client:     client,
		LockConfig: resourcelock.ResourceLockConfig{Identity: f.holder},
	}, nil
}
