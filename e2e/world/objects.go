package world

import (
	"fmt"

	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// isNoKind says whether the API server does not know the kind (yet).
func isNoKind(err error) bool { return meta.IsNoMatchError(err) }

// itemsOf are a list's objects.
func itemsOf(list client.ObjectList) []client.Object {
	var objects []client.Object
	items, err := meta.ExtractList(list)
	if err != nil {
		return nil // a list of ours always has items
	}
	for _, item := range items {
		if object, ok := item.(client.Object); ok {
			objects = append(objects, object)
		}
	}
	return objects
}

// missingUnless is nothing where ok holds, else what is missing.
func missingUnless(ok bool, format string, args ...any) string {
	if ok {
		return ""
	}
	return fmt.Sprintf(format, args...)
}
