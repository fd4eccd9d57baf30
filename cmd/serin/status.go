package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/serin-gitops/serin/api/v1alpha1"
)

func statusCommand() *cobra.Command {
	var conn connection
	cmd := &cobra.Command{
		Use:     "status",
		Short:   "Show the pipelines, promotions and rollouts of a namespace",
		GroupID: "watch",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := conn.open()
			if err != nil {
				return err
			}
			return status(cmd.Context(), c, conn.namespace, cmd.OutOrStdout())
		},
	}
	conn.flags(cmd)
	return cmd
}

// status prints what a person wants to see first: each pipeline's environments,
// then the rollouts.
func status(ctx context.Context, c client.Client, namespace string, out io.Writer) error {
	var pipelines v1alpha1.PipelineList
	if err := c.List(ctx, &pipelines, client.InNamespace(namespace)); err != nil {
		return err
	}
	var promotions v1alpha1.PromotionList
	if err := c.List(ctx, &promotions, client.InNamespace(namespace)); err != nil {
		return err
	}
	var rollouts v1alpha1.RolloutList
	if err := c.List(ctx, &rollouts, client.InNamespace(namespace)); err != nil {
		return err
	}
	messages := map[string]string{}
	for _, p := range promotions.Items {
		messages[p.Name] = p.Status.Message
	}
	for _, p := range pipelines.Items {
		printPipeline(out, p, messages)
	}
	slices.SortFunc(rollouts.Items, func(a, b v1alpha1.Rollout) int { return cmp.Compare(a.Name, b.Name) })
	for _, r := range rollouts.Items {
		fmt.Fprintf(out, "Rollout %s: %s, step %s, weight %d%%\n  %s\n", r.Name, r.Status.Phase, cmp.Or(r.Status.Progress, "-"), r.Status.Weight, r.Status.Message)
		for _, line := range r.Status.Evidence {
			fmt.Fprintf(out, "    %s\n", line)
		}
	}
	if len(pipelines.Items)+len(rollouts.Items) == 0 {
		fmt.Fprintf(out, "no Pipeline and no Rollout in namespace %s\n", namespace)
	}
	return nil
}

func printPipeline(out io.Writer, p v1alpha1.Pipeline, messages map[string]string) {
	fmt.Fprintf(out, "Pipeline %s: newest Release %s\n", p.Name, cmp.Or(p.Status.LatestRelease, "none"))
	if ready := meta.FindStatusCondition(p.Status.Conditions, v1alpha1.ConditionReady); ready != nil {
		fmt.Fprintf(out, "  %s\n", ready.Message)
	}
	table := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	for _, e := range p.Status.Environments {
		says := cmp.Or(e.Held, messages[e.Promotion], e.Waiting)
		fmt.Fprintf(table, "  %s\t%s\t%s\t%s\t%s\n", e.Name, cmp.Or(e.Release, "-"), cmp.Or(e.Promotion, "-"), cmp.Or(string(e.Phase), "-"), says)
	}
	_ = table.Flush() // out's own error shows at the next write
}
