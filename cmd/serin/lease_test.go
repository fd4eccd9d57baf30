package main

import (
	"testing"

	"k8s.io/client-go/rest"
)

// TestLease holds the lease by the pod where all is known of it, and leaves it to
// controller-runtime where there is none.
func TestLease(t *testing.T) {
	for name, tc := range map[string]struct {
		pod, uid, namespace string
		off                 bool
		// identity is empty where no lease is made.
		identity string
		wrong    bool
	}{
		"a pod":              {pod: "serin-1", uid: "u-1", namespace: "serin-system", identity: "serin-1_u-1"},
		"no pod":             {namespace: "serin-system"},
		"no UID":             {pod: "serin-1", namespace: "serin-system"},
		"no name":            {uid: "u-1", namespace: "serin-system"},
		"no namespace":       {pod: "serin-1", uid: "u-1", wrong: true},
		"no leader election": {pod: "serin-1", uid: "u-1", namespace: "serin-system", off: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("POD_NAME", tc.pod)
			t.Setenv("POD_UID", tc.uid)
			f := controllerFlags{leaderElect: !tc.off, namespace: tc.namespace, holder: podHolder()}
			lease, err := f.lease(&rest.Config{Host: "127.0.0.1"})
			if (err != nil) != tc.wrong {
				t.Fatal(err)
			}
			if lease == nil {
				if tc.identity != "" {
					t.Error("there is no lease")
				}
				return
			}
			if lease.Identity() != tc.identity || lease.Describe() != tc.namespace+"/"+leaseName {
				t.Errorf("%s holds %s, want %s", lease.Identity(), lease.Describe(), tc.identity)
			}
		})
	}
}
