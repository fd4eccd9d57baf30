package rollout

import (
	"time"

	"github.com/serin-gitops/serin/environments"
)

// Do names a mutation.
type Do string

// The mutations. Each is idempotent.
const (
	// Nothing is to be changed.
	Nothing Do = ""
	// Label lets the admission policy hold every new revision of the workload,
	// and takes every other mark off it.
	Label Do = "Label"
	// EnsureServices makes the Services of stable and canary, and narrows or
	// widens the one of stable as Action.Narrow says.
	EnsureServices Do = "EnsureServices"
	// HoldFloor lets the autoscaler keep at least Action.Replicas of stable;
	// ReleaseFloor gives its floor back.
	HoldFloor    Do = "HoldFloor"
	ReleaseFloor Do = "ReleaseFloor"
	// CreateCanary makes the canary Deployment with Action.Replicas.
	CreateCanary Do = "CreateCanary"
	// ScaleCanary gives it Action.Replicas.
	ScaleCanary Do = "ScaleCanary"
	// OpenGate admits Action.Pod to traffic.
	OpenGate Do = "OpenGate"
	// SetWeight sends Action.Weight of the traffic to the canary.
	SetWeight Do = "SetWeight"
	// StopTraffic takes the canary out of all traffic: weight 0, all gates
	// closed; each is tried even where the other one fails.
	StopTraffic Do = "StopTraffic"
	// Unhold lets the native controller roll the workload's own template.
	Unhold Do = "Unhold"
	// ReturnToStable gives the workload the template of stable again.
	ReturnToStable Do = "ReturnToStable"
	// ReleaseRoute gives the route back as the user wrote it.
	ReleaseRoute Do = "ReleaseRoute"
	// DeleteCanary removes the canary Deployment with its pods.
	DeleteCanary Do = "DeleteCanary"
	// AbandonCanary lets the canary Deployment go without its last pods, which
	// end when their nodes answer again.
	AbandonCanary Do = "AbandonCanary"
	// Forget takes all marks off the workload.
	Forget Do = "Forget"
	// LetGo lets the deletion of the Rollout itself go on.
	LetGo Do = "LetGo"
)

// Action is at most one mutation, and why.
type Action struct {
	Do     Do
	Reason string
	// Weight of SetWeight.
	Weight environments.Weight
	// Replicas of HoldFloor, CreateCanary and ScaleCanary.
	Replicas int32
	// Pod of OpenGate.
	Pod string
	// Narrow of EnsureServices.
	Narrow bool
}

// Health is what the plan says of the whole, for conditions.
type Health string

// The healths.
const (
	// Good: at rest, and as it should be.
	Good Health = "Good"
	// Working: something is under way.
	Working Health = "Working"
	// Stuck: a person, or Git, has to change something.
	Stuck Health = "Stuck"
)

// Event is something that people want to read of.
type Event struct {
	// Reason is a stable token.
	Reason  string
	Message string
	Warning bool
}

// Plan is what to do now.
type Plan struct {
	// Status is written before Action is carried out.
	Status Status
	Action Action
	// Event is told once Status is written.
	Event *Event
	// Health and Reason (a stable token) are for the conditions.
	Health Health
	Reason string
	// RequeueAfter is when to look again where nothing else wakes; 0 is never.
	RequeueAfter time.Duration
}
