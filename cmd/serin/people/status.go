package people

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/serin-gitops/serin/api/v1alpha1"
)

// Status is the command that shows what happens; it is in the group "watch".
func Status() *cobra.Command {
	var conn Connection
	var everywhere bool
	var output string
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show the pipelines, promotions and rollouts of a namespace",
		Long: `Status shows what a person wants to see first: of each Pipeline the environments
with what is there and what it waits for, and of each Rollout the step, the
weight and what the checks have seen. Rollouts are in the namespaces of their
workloads: -A shows all namespaces.`,
		GroupID: "watch",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if output != "" && output != "json" {
				return fmt.Errorf("--output is %q; it must be json, or be left out", output)
			}
			cluster, namespace, err := conn.Open()
			if err != nil {
				return err
			}
			if everywhere {
				namespace = ""
			}
			seen, err := look(cmd.Context(), cluster, namespace)
			if err != nil {
				return Explain(err)
			}
			if output == "json" {
				return seen.json(cmd.OutOrStdout())
			}
			return seen.text(cmd.OutOrStdout(), namespace)
		},
	}
	conn.Flags(cmd)
	cmd.Flags().BoolVarP(&everywhere, "all-namespaces", "A", false, "show all namespaces")
	cmd.Flags().StringVarP(&output, "output", "o", "", "json for the objects themselves, with all of their status")
	return cmd
}

// seen is what there is, in the order of names.
type seen struct {
	Pipelines  []v1alpha1.Pipeline  `json:"pipelines"`
	Promotions []v1alpha1.Promotion `json:"promotions"`
	Rollouts   []v1alpha1.Rollout   `json:"rollouts"`
}

// look reads a namespace, or all where it is empty.
func look(ctx context.Context, c client.Client, namespace string) (seen, error) {
	var pipelines v1alpha1.PipelineList
	if err := c.List(ctx, &pipelines, client.InNamespace(namespace)); err != nil {
		return seen{}, err
	}
	var promotions v1alpha1.PromotionList
	if err := c.List(ctx, &promotions, client.InNamespace(namespace)); err != nil {
		return seen{}, err
	}
	var rollouts v1alpha1.RolloutList
	if err := c.List(ctx, &rollouts, client.InNamespace(namespace)); err != nil {
		return seen{}, err
	}
	s := seen{
		Pipelines:  append([]v1alpha1.Pipeline{}, pipelines.Items...),
		Promotions: append([]v1alpha1.Promotion{}, promotions.Items...),
		Rollouts:   append([]v1alpha1.Rollout{}, rollouts.Items...),
	}
	slices.SortFunc(s.Pipelines, func(a, b v1alpha1.Pipeline) int { return byName(&a, &b) })
	slices.SortFunc(s.Promotions, func(a, b v1alpha1.Promotion) int { return byName(&a, &b) })
	slices.SortFunc(s.Rollouts, func(a, b v1alpha1.Rollout) int { return byName(&a, &b) })
	return s, nil
}

func byName(a, b client.Object) int {
	return cmp.Or(cmp.Compare(a.GetNamespace(), b.GetNamespace()), cmp.Compare(a.GetName(), b.GetName()))
}

func (s seen) json(out io.Writer) error {
	encoder := json.NewEncoder(out)
	encoder.SetIndent("", "  ")
	return encoder.Encode(s)
}

// text prints what a person wants to see first: each pipeline's environments,
// then the rollouts. An empty namespace is all of them, and names have theirs
// before them.
func (s seen) text(out io.Writer, namespace string) error {
	if len(s.Pipelines)+len(s.Rollouts) == 0 {
		_, err := fmt.Fprintln(out, nothing(namespace))
		return err
	}
	name := func(o client.Object) string {
		if namespace == "" {
			return o.GetNamespace() + "/" + o.GetName()
		}
		return o.GetName()
	}
	messages := map[client.ObjectKey]string{}
	for _, p := range s.Promotions {
		messages[client.ObjectKeyFromObject(&p)] = p.Status.Message
	}
	for _, p := range s.Pipelines {
		if err := printPipeline(out, name(&p), p, messages); err != nil {
			return err
		}
	}
	for _, r := range s.Rollouts {
		if err := printRollout(out, name(&r), r); err != nil {
			return err
		}
	}
	return nil
}

// nothing says that there is nothing, and where to look.
func nothing(namespace string) string {
	if namespace == "" {
		return "no Pipeline and no Rollout in any namespace"
	}
	return fmt.Sprintf("no Pipeline and no Rollout in namespace %s; serin status -A looks in all", namespace)
}

func printPipeline(out io.Writer, name string, p v1alpha1.Pipeline, messages map[client.ObjectKey]string) error {
	fmt.Fprintf(out, "Pipeline %s: newest Release %s\n", name, cmp.Or(p.Status.LatestRelease, "none"))
	if ready := meta.FindStatusCondition(p.Status.Conditions, v1alpha1.ConditionReady); ready != nil {
		fmt.Fprintf(out, "  %s\n", ready.Message)
	}
	table := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	for _, e := range p.Status.Environments {
		says := cmp.Or(e.Held, messages[client.ObjectKey{Namespace: p.Namespace, Name: e.Promotion}], e.Waiting)
		fmt.Fprintf(table, "  %s\t%s\t%s\t%s\t%s\n", e.Name, cmp.Or(e.Release, "-"), cmp.Or(e.Promotion, "-"), cmp.Or(string(e.Phase), "-"), says)
	}
	return table.Flush()
}

func printRollout(out io.Writer, name string, r v1alpha1.Rollout) error {
	phase := cmp.Or(string(r.Status.Phase), "not looked at yet")
	_, err := fmt.Fprintf(out, "Rollout %s: %s, step %s, weight %d%%\n", name, phase, cmp.Or(r.Status.Progress, "-"), r.Status.Weight)
	if r.Status.Message != "" {
		_, err = fmt.Fprintf(out, "  %s\n", r.Status.Message)
	}
	for _, line := range r.Status.Evidence {
		_, err = fmt.Fprintf(out, "    %s\n", line)
	}
	return err
}
