package people

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/serin-gitops/serin/api/v1alpha1"
)

// exactly wants the arguments that a command's use names, such as "retry PIPELINE
// ENVIRONMENT", and says which are missing or too many.
func exactly(use string) cobra.PositionalArgs {
	wanted := strings.Fields(use)[1:]
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < len(wanted):
			return fmt.Errorf("missing: %s; use it as \"%s\"", strings.Join(wanted[len(args):], " and "), cmd.UseLine())
		case len(args) > len(wanted):
			return fmt.Errorf("%q is too much; use it as \"%s\"", strings.Join(args[len(wanted):], " "), cmd.UseLine())
		}
		for i, arg := range args {
			// A slash would be taken for the next argument.
			if arg == "" || strings.ContainsAny(arg, "/@ ") {
				return fmt.Errorf("%s cannot be %q: it is a name", wanted[i], arg)
			}
		}
		return nil
	}
}

// complete offers names to a shell: of objects of the kind that the first argument
// is, and then of that Pipeline's environments and Releases.
func (r request) complete(conn *Connection) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		names, err := r.names(cmd.Context(), conn, args)
		if err != nil {
			cobra.CompErrorln(err.Error())
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	}
}

// names are what may stand behind the arguments that are there.
func (r request) names(ctx context.Context, conn *Connection, args []string) ([]string, error) {
	if len(args) >= strings.Count(r.use, " ") {
		return nil, nil
	}
	cluster, namespace, err := conn.Open()
	if err != nil {
		return nil, err
	}
	var names []string
	switch len(args) {
	case 0:
		list := &metav1.PartialObjectMetadataList{}
		list.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind(r.kind + "List"))
		err = cluster.List(ctx, list, client.InNamespace(namespace))
		for _, one := range list.Items {
			names = append(names, one.Name)
		}
	case 1:
		pipeline := &v1alpha1.Pipeline{}
		err = cluster.Get(ctx, client.ObjectKey{Namespace: namespace, Name: args[0]}, pipeline)
		names = environmentsOf(pipeline)
	default:
		releases := &v1alpha1.ReleaseList{}
		err = cluster.List(ctx, releases, client.InNamespace(namespace))
		for _, one := range releases.Items {
			if one.Spec.Pipeline == args[0] {
				names = append(names, one.Name)
			}
		}
	}
	return names, err
}

func environmentsOf(pipeline *v1alpha1.Pipeline) []string {
	names := make([]string, 0, len(pipeline.Spec.Environments))
	for _, environment := range pipeline.Spec.Environments {
		names = append(names, environment.Name)
	}
	return names
}
