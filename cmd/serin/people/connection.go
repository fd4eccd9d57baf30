// Package people has the commands for people: they show what Serin does in a
// cluster and tell it what to do.
package people

import (
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/serin-gitops/serin/api/v1alpha1"
)

// patience bounds one request to the API server: a person waits for the answer.
const patience = 20 * time.Second

// Connection is how a person's command reaches the cluster.
type Connection struct {
	kubeconfig, namespace, context string
}

// Flags adds the flags to a command.
func (c *Connection) Flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&c.kubeconfig, "kubeconfig", "", "the kubeconfig file (default: $KUBECONFIG, ~/.kube/config, or the pod's own account)")
	cmd.Flags().StringVar(&c.context, "context", "", "the context in that file")
	cmd.Flags().StringVarP(&c.namespace, "namespace", "n", "", "the namespace (default: the context's)")
}

// Open gives a client and the namespace that is meant. The cluster is not asked
// anything yet.
func (c *Connection) Open() (cluster client.Client, namespace string, err error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = c.kubeconfig
	loader := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{CurrentContext: c.context})
	namespace = c.namespace
	if namespace == "" {
		if namespace, _, err = loader.Namespace(); err != nil {
			return nil, "", unknown(err)
		}
	}
	config, err := loader.ClientConfig()
	if err != nil {
		return nil, "", unknown(err)
	}
	config.Timeout = patience
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		return nil, "", err
	}
	cluster, err = client.New(config, client.Options{Scheme: scheme})
	return cluster, namespace, err
}

// unknown says why no cluster is known.
func unknown(err error) error {
	if clientcmd.IsEmptyConfig(err) {
		return errors.New("no cluster is known: there is no kubeconfig in $KUBECONFIG or ~/.kube/config; name one by --kubeconfig")
	}
	return fmt.Errorf("kubeconfig: %w", err)
}

// Explain says of an error of the API server what the person can do.
func Explain(err error) error {
	var unanswered *url.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &unanswered):
		return fmt.Errorf("the cluster does not answer: %w; is it up, and is the kubeconfig or --context the right one?", unanswered)
	case meta.IsNoMatchError(err):
		return fmt.Errorf("the cluster does not know Serin's kinds (%w): install Serin there, or choose another cluster by --context or --kubeconfig", err)
	case apierrors.IsForbidden(err):
		return fmt.Errorf("%w; the roles serin-view (to look) and serin-edit (to decide) allow it", err)
	case apierrors.IsUnauthorized(err):
		return fmt.Errorf("the cluster does not accept the credentials of the kubeconfig: %w", err)
	}
	return err
}

// Named is Explain for a request about one object: one that is not there is said
// by its kind, name and namespace.
func Named(err error, kind string, key client.ObjectKey) error {
	if apierrors.IsNotFound(err) {
		return fmt.Errorf("there is no %s %s in namespace %s; \"kubectl get %ss -n %s\" lists those that are", kind, key.Name, key.Namespace, kind, key.Namespace)
	}
	return Explain(err)
}
