package access

import (
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/serin-gitops/serin/api/v1alpha1"
)

// GrantError says that a Pipeline may not use the objects of a namespace.
type GrantError struct {
	// Pipeline's namespace, and the one that does not let it in.
	From, Namespace string
	// What the Pipeline would have used, such as "Deployment shop-prod/web".
	What string
}

func (e *GrantError) Error() string {
	return fmt.Sprintf("namespace %s does not let Pipelines of namespace %s use %s: annotate it with %s: %q",
		e.Namespace, e.From, e.What, v1alpha1.AnnotationAllowPipelines, e.From)
}

// Grants say which namespaces let which Pipelines in. Serin may read workloads
// and annotate Flux' objects everywhere; whoever may write a Pipeline in one
// namespace may not, so a namespace has to say that it lets Pipelines of others
// in.
type Grants struct {
	// Reader asks the API server for the metadata of Namespaces, one by one, so that
	// Serin needs no right to list them.
	Reader client.Reader
}

// Check says whether Pipelines of a namespace may use what is in another one;
// their own always. A namespace that is not there holds nothing. Errors:
// GrantError, and that of reading.
func (g Grants) Check(ctx context.Context, from, namespace, what string) error {
	if from == namespace {
		return nil
	}
	found := &metav1.PartialObjectMetadata{}
	found.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Namespace"))
	err := g.Reader.Get(ctx, client.ObjectKey{Name: namespace}, found)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read namespace %s, for what it says of Pipelines: %w", namespace, err)
	}
	for allowed := range strings.SplitSeq(found.Annotations[v1alpha1.AnnotationAllowPipelines], ",") {
		if slices.Contains([]string{"*", from}, strings.TrimSpace(allowed)) {
			return nil
		}
	}
	return &GrantError{From: from, Namespace: namespace, What: what}
}
