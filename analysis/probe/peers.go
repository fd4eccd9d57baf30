package probe

import (
	"context"
	"fmt"
	"net/http"
	"slices"

	"github.com/google/cel-go/cel"

	"github.com/serin-gitops/serin/analysis"
)

// peerPrograms are the compiled expressions of a peers check.
type peerPrograms struct {
	list cel.Program
	self cel.Program
}

func (p *Prober) peerPrograms(check analysis.Peers) (peerPrograms, error) {
	list, err := p.expressions.compile(check.List, cel.ListType(cel.StringType))
	if err != nil {
		return peerPrograms{}, err
	}
	programs := peerPrograms{list: list}
	if check.Self != nil {
		programs.self, err = p.expressions.compile(check.Self.Expression, cel.StringType)
	}
	return programs, err
}

// node is what a pod says about itself and its peers.
type node struct {
	pod   Pod
	peers []string
	self  string
	// err is why one of the two is missing.
	err error
}

// wish is what one pod is asked for.
type wish struct {
	pod        Pod
	list, self bool
}

// peers asks the canary's pods for their peers, and stable's and the required
// pods as far as the check compares with them, all side by side.
func (p *Prober) peers(ctx context.Context, turn turn, check analysis.Peers, pods Pods) ([]analysis.ProbeResult, error) {
	programs, err := p.peerPrograms(check)
	if err != nil {
		return nil, err
	}
	var wishes []wish
	for _, pod := range pods.Canary {
		wishes = append(wishes, wish{pod: pod, list: true, self: check.SeenFromOtherSide})
	}
	if check.MustInclude != "" || check.SeenFromOtherSide {
		for _, pod := range pods.Required {
			wishes = append(wishes, wish{pod: pod, list: check.SeenFromOtherSide, self: true})
		}
	}
	required := len(wishes)
	if check.MinShareOfStable > 0 {
		for _, pod := range pods.Stable {
			wishes = append(wishes, wish{pod: pod, list: true})
		}
	}
	nodes := each(turn, wishes, func(w wish) node { return p.node(ctx, turn, check, programs, w) })
	canary := nodes[:len(pods.Canary):len(pods.Canary)]
	others := neighbourhood{required: answered(nodes[len(pods.Canary):required:required]), stable: answered(nodes[required:])}
	if (check.MustInclude != "" || check.SeenFromOtherSide) && len(others.required) == 0 {
		// Their absence is not the canary's fault.
		return nil, &analysis.Absence{Kind: analysis.NoData, Message: fmt.Sprintf("none of the %d required pods says who it is", len(pods.Required))}
	}
	results := make([]analysis.ProbeResult, 0, len(canary))
	for _, n := range slices.DeleteFunc(canary, notAsked) {
		results = append(results, others.assess(check, n))
	}
	return results, nil
}

// node asks one pod for its peers, its identity or both. Where no time is left to
// ask for both, the pod was not asked.
func (p *Prober) node(ctx context.Context, turn turn, check analysis.Peers, programs peerPrograms, w wish) node {
	n := node{pod: w.pod}
	at := endpoint{method: check.Method, scheme: check.Scheme, port: check.Port, path: check.Path, timeout: check.Timeout}
	if w.list {
		n.err = p.askOK(ctx, turn, at, w.pod, func(r response) (err error) {
			if n.peers, err = evaluate[[]string](turn.limited, programs.list, r); err != nil {
				return fmt.Errorf("the list of peers at %s cannot be read: %w", at.describe(), err)
			}
			slices.Sort(n.peers)
			n.peers = slices.Compact(n.peers)
			return nil
		})
	}
	if w.self && check.Self != nil && n.err == nil {
		if turn.patient.Err() != nil {
			return node{}
		}
		at.path, at.method = check.Self.Path, check.Self.Method
		n.err = p.askOK(ctx, turn, at, w.pod, func(r response) (err error) {
			if n.self, err = evaluate[string](turn.limited, programs.self, r); err != nil {
				return fmt.Errorf("the identity at %s cannot be read: %w", at.describe(), err)
			}
			return nil
		})
	}
	return n
}

// askOK wants status 200.
func (p *Prober) askOK(ctx context.Context, turn turn, at endpoint, pod Pod, use func(response) error) error {
	return p.ask(ctx, turn, at, pod, func(r response) error {
		if r.status != http.StatusOK {
			return fmt.Errorf("%s: status %d, want 200", at.describe(), r.status)
		}
		return use(r)
	})
}

// neighbourhood is what the canary's pods are compared with.
type neighbourhood struct {
	stable   []node
	required []node
}

// assess judges one canary pod's place among its peers.
func (h neighbourhood) assess(check analysis.Peers, n node) analysis.ProbeResult {
	result := analysis.ProbeResult{Pod: n.pod.Name, Number: float64(len(n.peers))}
	if n.err != nil {
		result.Message = n.err.Error()
		return result
	}
	count := len(n.peers)
	if count < check.Min {
		result.Message = fmt.Sprintf("%d peers, at least %d wanted", count, check.Min)
		return result
	}
	if median, ok := h.median(); ok && float64(count) < check.MinShareOfStable*median {
		result.Message = fmt.Sprintf("%d peers, at least %.0f%% of stable's median of %g wanted", count, check.MinShareOfStable*100, median)
		return result
	}
	if message := h.connected(check, n); message != "" {
		result.Message = message
		return result
	}
	result.Pass = true
	result.Message = fmt.Sprintf("%d peers", count)
	if len(h.required) > 0 {
		result.Message += ", the required pods among them"
	}
	return result
}

// connected says which required pod is missing, from either side.
func (h neighbourhood) connected(check analysis.Peers, n node) string {
	all := check.MustInclude == analysis.IncludeAll
	included, seen := 0, 0
	wanted := 0
	var missing, blind string
	for _, r := range h.required {
		if r.pod.Name == n.pod.Name {
			continue
		}
		wanted++
		if slices.Contains(n.peers, r.self) {
			included++
		} else if missing == "" {
			missing = r.pod.Name
		}
		if slices.Contains(r.peers, n.self) {
			seen++
		} else if blind == "" {
			blind = r.pod.Name
		}
	}
	if wanted == 0 {
		return ""
	}
	if check.MustInclude != "" && (included == 0 || all && included < wanted) {
		return fmt.Sprintf("%d of %d required pods are among its peers, %s is not", included, wanted, missing)
	}
	if check.SeenFromOtherSide && (seen == 0 || all && seen < wanted) {
		return fmt.Sprintf("%d of %d required pods list it as a peer, %s does not", seen, wanted, blind)
	}
	return ""
}

// median number of stable's peers.
func (h neighbourhood) median() (float64, bool) {
	if len(h.stable) == 0 {
		return 0, false
	}
	counts := make([]int, 0, len(h.stable))
	for _, n := range h.stable {
		counts = append(counts, len(n.peers))
	}
	slices.Sort(counts)
	mid := len(counts) / 2
	if len(counts)%2 == 1 {
		return float64(counts[mid]), true
	}
	return float64(counts[mid-1]+counts[mid]) / 2, true
}

// answered keeps the nodes that could be asked.
func answered(nodes []node) []node {
	return slices.DeleteFunc(nodes, func(n node) bool { return n.err != nil || notAsked(n) })
}

// notAsked tells the pods that a look did not come to.
func notAsked(n node) bool { return n.pod.Name == "" }
