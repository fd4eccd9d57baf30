package people

import (
	"context"
	"fmt"
	"os"
	"os/user"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/serin-gitops/serin/api/v1alpha1"
	"github.com/serin-gitops/serin/environments"
	"github.com/serin-gitops/serin/environments/rollout"
)

// request is a command that asks something of one object by an annotation.
type request struct {
	use, word, short string
	// kind is that of the object, which the first argument names.
	kind string
}

const (
	kindPromotion = "Promotion"
	kindPipeline  = "Pipeline"
	kindRollout   = "Rollout"
)

// object is an empty one of the kind.
func (r request) object() client.Object {
	switch r.kind {
	case kindPromotion:
		return &v1alpha1.Promotion{}
	case kindPipeline:
		return &v1alpha1.Pipeline{}
	}
	return &v1alpha1.Rollout{}
}

// Requests are the commands that decide; they are in the group "decide".
func Requests() []*cobra.Command {
	var commands []*cobra.Command
	for _, r := range requests() {
		commands = append(commands, r.command())
	}
	return commands
}

func requests() []request {
	return []request{
		{use: "approve PROMOTION", word: v1alpha1.RequestApprove, kind: kindPromotion,
			short: "Approve a promotion: its pull request is merged, or its approval gate opened"},
		{use: "reject PROMOTION", word: v1alpha1.RequestReject, kind: kindPromotion,
			short: "Reject a promotion: its pull request is closed and not opened again for this Release; once Git has it, it is taken back as one that failed"},
		{use: "retry PIPELINE ENVIRONMENT", word: v1alpha1.RequestRetry, kind: kindPipeline,
			short: "Try the Release that failed or was rejected last in an environment once more, out of quarantine"},
		{use: "promote PIPELINE ENVIRONMENT RELEASE", word: v1alpha1.RequestPromote, kind: kindPipeline,
			short: "Bring a Release into an environment, even an older or a rejected one"},
		{use: "resume PIPELINE ENVIRONMENT", word: v1alpha1.RequestResume, kind: kindPipeline,
			short: "End the hold of an environment whose images a person changed in Git"},
		{use: "abort ROLLOUT", word: v1alpha1.RequestAbort, kind: kindRollout,
			short: "Fail the trial under way: the canary loses its traffic at once"},
		{use: "pause ROLLOUT", word: v1alpha1.RequestPause, kind: kindRollout,
			short: "Stop the clock of a rollout's step; a failure still rolls back"},
		{use: "resume-rollout ROLLOUT", word: v1alpha1.RequestResume, kind: kindRollout,
			short: "Let a paused rollout go on, or pass a step that waits for approval"},
		{use: "skip ROLLOUT", word: v1alpha1.RequestSkip, kind: kindRollout,
			short: "End the step under way as soon as the verdict passes"},
		{use: "promote-rollout ROLLOUT", word: v1alpha1.RequestPromote, kind: kindRollout,
			short: "Take the canary in full now, without the steps that are left"},
		{use: "retry-rollout ROLLOUT", word: v1alpha1.RequestRetry, kind: kindRollout,
			short: "Try the held revision of a rollout that was rolled back once more"},
	}
}

func (r request) command() *cobra.Command {
	var conn Connection
	var reason string
	cmd := &cobra.Command{
		Use:               r.use,
		Short:             r.short,
		Long:              r.short + ".\n\nIt sets an annotation, which the controller carries out once; who asked and why are kept beside it.",
		GroupID:           "decide",
		Args:              exactly(r.use),
		ValidArgsFunction: r.complete(&conn),
		RunE: func(cmd *cobra.Command, args []string) error {
			cluster, namespace, err := conn.Open()
			if err != nil {
				return err
			}
			key := client.ObjectKey{Namespace: namespace, Name: args[0]}
			if err := r.ask(cmd.Context(), cluster, key, args[1:], reason, time.Now()); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "asked %s %s to %s; see what comes of it with: serin status -n %s\n",
				r.kind, key, strings.Join(append([]string{r.word}, args[1:]...), " "), namespace)
			return nil
		},
	}
	conn.Flags(cmd)
	cmd.Flags().StringVar(&reason, "reason", "", "why, for the record")
	return cmd
}

// ask annotates the object. The time makes each request a new one.
func (r request) ask(ctx context.Context, c client.Client, key client.ObjectKey, arguments []string, reason string, now time.Time) error {
	object := r.object()
	if err := c.Get(ctx, key, object); err != nil {
		return Named(err, r.kind, key)
	}
	refusal, err := r.refused(ctx, c, object, arguments)
	if err != nil {
		return Explain(err)
	}
	if refusal != "" {
		return fmt.Errorf("%s %s: %s", r.kind, key, refusal)
	}
	before, _ := object.DeepCopyObject().(client.Object)
	annotations := object.GetAnnotations()
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations[v1alpha1.AnnotationRequest] = environments.NewRequest(environments.Verb(r.word), now, arguments...)
	annotations[v1alpha1.AnnotationBy] = who()
	delete(annotations, v1alpha1.AnnotationReason)
	if reason != "" {
		annotations[v1alpha1.AnnotationReason] = reason
	}
	object.SetAnnotations(annotations)
	return Named(c.Patch(ctx, object, client.MergeFrom(before)), r.kind, key)
}

// refused says why the controller would refuse the request upon the object as it
// is, so that the person learns of it at once; empty where it would not.
func (r request) refused(ctx context.Context, c client.Client, object client.Object, arguments []string) (string, error) {
	switch object := object.(type) {
	case *v1alpha1.Promotion:
		record := environments.Promotion{Phase: environments.Phase(object.Status.Phase), Environment: object.Spec.Environment}
		if shown := object.Status.PullRequest; shown != nil {
			record.Proposal = &environments.Proposal{Restores: shown.Purpose == "Rollback"}
		}
		return environments.Refusal(environments.Verb(r.word), record), nil
	case *v1alpha1.Pipeline:
		return missing(ctx, c, object, arguments)
	case *v1alpha1.Rollout:
		return rollout.Refusal(rollout.Verb(r.word), rollout.Phase(object.Status.Phase), object.Status.Unfinished), nil
	}
	return "", nil
}

// missing says which of environment and Release a Pipeline does not have.
func missing(ctx context.Context, c client.Client, pipeline *v1alpha1.Pipeline, arguments []string) (string, error) {
	if known := environmentsOf(pipeline); len(arguments) > 0 && !slices.Contains(known, arguments[0]) {
		return fmt.Sprintf("it has no environment %s; it has %s", arguments[0], strings.Join(known, ", ")), nil
	}
	if len(arguments) < 2 {
		return "", nil
	}
	var release v1alpha1.Release
	err := c.Get(ctx, client.ObjectKey{Namespace: pipeline.Namespace, Name: arguments[1]}, &release)
	if apierrors.IsNotFound(err) || err == nil && release.Spec.Pipeline != pipeline.Name {
		return fmt.Sprintf("it has no Release %s; \"kubectl get releases -n %s\" lists those it has", arguments[1], pipeline.Namespace), nil
	}
	return "", err
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
