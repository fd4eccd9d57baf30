package sandbox

import (
	"fmt"
	"slices"
	"strings"

	"github.com/serin-gitops/serin/e2e/sandbox/internal/machine"
)

// PartStatus is one line of Status.
type PartStatus struct {
	Name    string
	Running bool
	PID     int
	// Resident is the memory that it holds, in bytes.
	Resident uint64
	Log      string
}

// Status lists the parts of the sandbox and whether each runs.
func Status(options Options) ([]PartStatus, error) {
	_, l, err := options.complete()
	if err != nil {
		return nil, err
	}
	var all []PartStatus
	for _, one := range parts(l, savedProfile(l)) {
		process, ok := machine.Running(l, one.name)
		status := PartStatus{Name: one.name, Running: ok, Log: l.Log(one.name)}
		if ok {
			status.PID, status.Resident = process.PID, machine.Resident(process.PID)
		}
		all = append(all, status)
	}
	return all, nil
}

// Pods counts the processes of all pods, with the shims that hold them, and the
// memory that they hold, in bytes.
func Pods(options Options) (processes int, resident uint64, err error) {
	_, l, err := options.complete()
	if err != nil {
		return 0, 0, err
	}
	pids, err := machine.PodProcesses(l)
	for _, pid := range pids {
		resident += machine.Resident(pid)
	}
	return len(pids), resident, err
}

// Resident is the memory that all parts and pods hold, in bytes.
func Resident(options Options) (uint64, error) {
	all, err := Status(options)
	if err != nil {
		return 0, err
	}
	_, sum, err := Pods(options)
	for _, one := range all {
		sum += one.Resident
	}
	return sum, err
}

// Troubles says in one line what is wrong with the sandbox itself, of which what
// happens in it fails: parts that ended, and a full disk. Empty: nothing is.
func Troubles(options Options) string {
	_, l, err := options.complete()
	if err != nil {
		return ""
	}
	all, err := Status(options)
	if err != nil {
		return ""
	}
	var found []string
	if slices.ContainsFunc(all, func(one PartStatus) bool { return one.Running }) {
		for _, one := range all {
			if !one.Running {
				found = append(found, machine.Ended(fmt.Errorf("the part %s has ended", one.Name), one.Log).Error())
			}
		}
	}
	if full := machine.FullDisk(l); full != "" {
		found = append(found, full)
	}
	return strings.Join(found, "; ")
}
