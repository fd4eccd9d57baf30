package main

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/serin-gitops/serin/e2e/sandbox"
)

func TestPrintStatus(t *testing.T) {
	parts := []sandbox.PartStatus{
		{Name: "etcd", Running: true, PID: 12, Resident: 90 << 20, Log: "/logs/etcd.log"},
		{Name: "kubelet", Log: "/logs/kubelet.log"},
	}
	var out bytes.Buffer
	err := printStatus(&out, parts, 7, 210<<20)
	if err == nil || err.Error() != "1 of 2 parts do not run" {
		t.Errorf("error %v", err)
	}
	want := `etcd     running, pid 12   90 MiB   /logs/etcd.log
kubelet  not running                /logs/kubelet.log
pods     7 processes       210 MiB  
all      1 of 2 parts run  300 MiB  resident
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
	if err := printStatus(&out, parts[:1], 0, 0); err != nil {
		t.Errorf("all run: %v", err)
	}
}
