package main

import (
	"context"
	"fmt"
	"os"
	"os/user"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/serin-gitops/serin/api/v1alpha1"
	"github.com/serin-gitops/serin/environments"
)

// connection is how a person's command reaches the cluster.
type connection struct {
	kubeconfig, namespace, context string
}

func (c *connection) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&c.kubeconfig, "kubeconfig", "", "the kubeconfig file (default: $KUBECONFIG, ~/.kube/config, or the pod's own account)")
	cmd.Flags().StringVar(&c.context, "context", "", "the context in that file")
	cmd.Flags().StringVarP(&c.namespace, "namespace", "n", "", "the namespace (default: the context's)")
}

// open makes a client and fills in the namespace.
func (c *connection) open() (client.Client, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = c.kubeconfig
	loader := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{CurrentContext: c.context})
	if c.namespace == "" {
		namespace, _, err := loader.Namespace()
		if err != nil {
			return nil, err
		}
		c.namespace = namespace
	}
	config, err := loader.ClientConfig()
	if err != nil {
		return nil, err
	}
	return client.New(config, client.Options{Scheme: scheme()})
}

// request is a command that asks something of one object by an annotation.
type request struct {
	use, word, short string
	object           func() client.Object
}

func requestCommands() []*cobra.Command {
	promotion := func() client.Object { return &v1alpha1.Promotion{} }
	pipeline := func() client.Object { return &v1alpha1.Pipeline{} }
	rollout := func() client.Object { return &v1alpha1.Rollout{} }
	requests := []request{
		{use: "approve PROMOTION", word: v1alpha1.RequestApprove, object: promotion,
			short: "Approve a promotion: its pull request is merged, or its approval gate opened"},
		{use: "reject PROMOTION", word: v1alpha1.RequestReject, object: promotion,
			short: "Reject a promotion: its pull request is closed and not opened again for this Release; once Git has it, it is taken back as one that failed"},
		{use: "retry PIPELINE ENVIRONMENT", word: v1alpha1.RequestRetry, object: pipeline,
			short: "Try the Release that failed or was rejected last in an environment once more, out of quarantine"},
		{use: "promote PIPELINE ENVIRONMENT RELEASE", word: v1alpha1.RequestPromote, object: pipeline,
			short: "Bring a Release into an environment, even an older or a rejected one"},
		{use: "resume PIPELINE ENVIRONMENT", word: v1alpha1.RequestResume, object: pipeline,
			short: "End the hold of an environment whose images a person changed in Git"},
		{use: "abort ROLLOUT", word: v1alpha1.RequestAbort, object: rollout,
			short: "Fail the trial under way: the canary loses its traffic at once"},
		{use: "pause ROLLOUT", word: v1alpha1.RequestPause, object: rollout,
			short: "Stop the clock of a rollout's step; a failure still rolls back"},
		{use: "resume-rollout ROLLOUT", word: v1alpha1.RequestResume, object: rollout,
			short: "Let a paused rollout go on, or pass a step that waits for approval"},
		{use: "skip ROLLOUT", word: v1alpha1.RequestSkip, object: rollout,
			short: "End the step under way as soon as the verdict passes"},
		{use: "promote-rollout ROLLOUT", word: v1alpha1.RequestPromote, object: rollout,
			short: "Take the canary in full now, without the steps that are left"},
		{use: "retry-rollout ROLLOUT", word: v1alpha1.RequestRetry, object: rollout,
			short: "Try the held revision of a rollout that was rolled back once more"},
	}
	commands := make([]*cobra.Command, 0, len(requests))
	for _, r := range requests {
		commands = append(commands, r.command())
	}
	return commands
}

func (r request) command() *cobra.Command {
	var conn connection
	var reason string
	cmd := &cobra.Command{
		Use:     r.use,
		Short:   r.short,
		Long:    r.short + ".\n\nIt sets an annotation, which the controller carries out once; who asked and why are kept beside it.",
		GroupID: "decide",
		Args:    cobra.ExactArgs(strings.Count(r.use, " ")),
		RunE: func(cmd *cobra.Command, args []string) error {
			word := strings.Join(append([]string{r.word}, args[1:]...), "/")
			c, err := conn.open()
			if err != nil {
				return err
			}
			object := r.object()
			if err := ask(cmd.Context(), c, object, types.NamespacedName{Namespace: conn.namespace, Name: args[0]}, word, reason, time.Now()); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "asked %s/%s to %s; see what comes of it with: serin status -n %s\n", conn.namespace, args[0], word, conn.namespace)
			return nil
		},
	}
	conn.flags(cmd)
	cmd.Flags().StringVar(&reason, "reason", "", "why, for the record")
	return cmd
}

// ask annotates the object. The time makes each request a new one.
func ask(ctx context.Context, c client.Client, object client.Object, key types.NamespacedName, word, reason string, now time.Time) error {
	if err := c.Get(ctx, key, object); err != nil {
		return err
	}
	if refusal := refused(object, environments.Verb(word)); refusal != "" {
		return fmt.Errorf("promotion %s: %s", key, refusal)
	}
	before, _ := object.DeepCopyObject().(client.Object)
	annotations := object.GetAnnotations()
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations[v1alpha1.AnnotationRequest] = environments.NewRequest(environments.Verb(word), now)
	annotations[v1alpha1.AnnotationBy] = who()
	delete(annotations, v1alpha1.AnnotationReason)
	if reason != "" {
		annotations[v1alpha1.AnnotationReason] = reason
	}
	object.SetAnnotations(annotations)
	return c.Patch(ctx, object, client.MergeFrom(before))
}

// refused says why the controller would refuse a request upon a Promotion as it
// is, so that the person learns of it at once; empty where it would not.
func refused(object client.Object, verb environments.Verb) string {
	promotion, is := object.(*v1alpha1.Promotion)
	if !is {
		return ""
	}
	record := environments.Promotion{Phase: environments.Phase(promotion.Status.Phase), Environment: promotion.Spec.Environment}
	if shown := promotion.Status.PullRequest; shown != nil {
		record.Proposal = &environments.Proposal{Restores: shown.Purpose == "Rollback"}
	}
	return environments.Refusal(verb, record)
}

// who is the person at the terminal, as far as the machine knows; the API
// server's audit log knows for certain.
func who() string {
	host, _ := os.Hostname()
	name := "unknown"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	return name + "@" + host
}
