package workload

import "time"

// Pod is what is known of one pod of the canary at one instant.
type Pod struct {
	Name string `json:"name"`
	// Created and Started are zero while unknown.
	Created time.Time `json:"created"`
	// Deleting pods are on their way out and are not judged.
	Deleting bool `json:"deleting,omitempty"`
	// Phase as the API server reports it: Pending, Running, Succeeded, Failed.
	Phase string `json:"phase"`
	// Scheduled is false while no node has been found.
	Scheduled bool `json:"scheduled"`
	// ScheduledAt is when a node was found; zero while unknown.
	ScheduledAt time.Time `json:"scheduledAt,omitzero"`
	// SchedulingMessage is the scheduler's, while it has found no node.
	SchedulingMessage string `json:"schedulingMessage,omitempty"`
	// ContainersReady is the pod condition of that name: readiness without
	// regard to readiness gates.
	ContainersReady bool `json:"containersReady"`
	// Since is when ContainersReady last changed.
	Since time.Time `json:"since"`
	// Containers holds the pod's containers, init containers included.
	Containers []Container `json:"containers,omitempty"`
}

// Container is what is known of one container.
type Container struct {
	Name     string `json:"name"`
	Init     bool   `json:"init,omitempty"`
	Restarts int32  `json:"restarts"`
	Ready    bool   `json:"ready"`
	// StartedAt is when it last started to run; zero where it does not run.
	StartedAt time.Time `json:"startedAt,omitzero"`
	// Waiting is the reason it waits for, such as ImagePullBackOff.
	Waiting        string `json:"waiting,omitempty"`
	WaitingMessage string `json:"waitingMessage,omitempty"`
	// Terminated is the reason of the current or the last termination, such as
	// OOMKilled or Error; empty when it never terminated.
	Terminated string `json:"terminated,omitempty"`
	ExitCode   int32  `json:"exitCode,omitempty"`
}

// Limits are what the canary's pods are held to.
type Limits struct {
	// UnreadyLimit is how long a pod's containers may take to become ready, and
	// stay unready later; 0 means DefaultUnreadyLimit. It does not run while the
	// pod waits for a node, or for an image source that is away.
	UnreadyLimit time.Duration `json:"unreadyLimit,omitempty"`
	// MaxRestarts of one canary pod that are still accepted.
	MaxRestarts int32 `json:"maxRestarts,omitempty"`
	// MinPods that must exist and be ready before the check passes; 0 means 1.
	MinPods int `json:"minPods,omitempty"`
}
