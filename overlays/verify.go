package overlays

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/serin-gitops/serin/environments"
)

// Verify says whether after differs from before in nothing but the images: each
// changed field must have been an image of one of their repositories and be now
// exactly that image, and each image must be used somewhere. The error names
// the object and the field.
func Verify(before, after Manifests, images []environments.Image) error {
	old := byKey(before)
	fresh := byKey(after)
	for _, o := range before.Objects {
		if _, ok := fresh[o.key()]; !ok {
			return fmt.Errorf("%s: the edit would remove the object", o)
		}
	}
	wanted := map[string]environments.Image{}
	for _, image := range images {
		wanted[image.Repository] = image
	}
	for _, o := range after.Objects {
		was, ok := old[o.key()]
		if !ok {
			return fmt.Errorf("%s: the edit would add the object", o)
		}
		if err := onlyImages(was.fields, o.fields, "", wanted, o.Kind == "Secret"); err != nil {
			return fmt.Errorf("%s: %w", o, err)
		}
	}
	for _, image := range images {
		used := slices.ContainsFunc(after.Objects, func(o Object) bool { return holds(o.fields, image) })
		if !used {
			return fmt.Errorf("no object of the overlay uses %s after the edit; is the image's name in the manifests %q, and does the overlay's images entry name it?", image.Short(), image.Repository)
		}
	}
	return nil
}

func byKey(m Manifests) map[string]Object {
	objects := make(map[string]Object, len(m.Objects))
	for _, o := range m.Objects {
		objects[o.key()] = o
	}
	return objects
}

// onlyImages compares two values of a field.
func onlyImages(was, is any, at string, wanted map[string]environments.Image, secret bool) error {
	if reflect.DeepEqual(was, is) {
		return nil
	}
	switch was := was.(type) {
	case map[string]any:
		is, ok := is.(map[string]any)
		if !ok {
			break
		}
		names := slices.Collect(maps.Keys(was))
		for name := range is {
			if _, both := was[name]; !both {
				names = append(names, name)
			}
		}
		slices.Sort(names)
		for _, name := range names {
			if err := onlyImages(was[name], is[name], strings.TrimPrefix(at+"."+name, "."), wanted, secret); err != nil {
				return err
			}
		}
		return nil
	case []any:
		is, ok := is.([]any)
		if !ok || len(is) != len(was) {
			break
		}
		for i := range was {
			if err := onlyImages(was[i], is[i], fmt.Sprintf("%s[%d]", at, i), wanted, secret); err != nil {
				return err
			}
		}
		return nil
	case string:
		if is, ok := is.(string); ok && isIntended(was, is, wanted) {
			return nil
		}
	}
	return fmt.Errorf("field %s: the edit would change it from %s to %s, and only images may change", at, shown(was, secret), shown(is, secret))
}

// isIntended says whether one of the wanted images took the place of another of
// its repository.
func isIntended(was, is string, wanted map[string]environments.Image) bool {
	now, err := environments.ParseImage(is)
	if err != nil {
		return false
	}
	image, ok := wanted[now.Repository]
	if !ok || now != image {
		return false
	}
	before, err := environments.ParseImage(was)
	return err == nil && before.Repository == now.Repository
}

// shown is a value for an error: short, and never a Secret's.
func shown(v any, secret bool) string {
	switch {
	case v == nil:
		return "nothing"
	case secret:
		return "*** (a Secret's value)"
	}
	text := fmt.Sprintf("%q", fmt.Sprint(v))
	if len(text) > 120 {
		text = text[:117] + "...\""
	}
	return text
}

// holds says whether some string of a value is the image.
func holds(v any, image environments.Image) bool {
	switch v := v.(type) {
	case map[string]any:
		for _, child := range v {
			if holds(child, image) {
				return true
			}
		}
	case []any:
		for _, child := range v {
			if holds(child, image) {
				return true
			}
		}
	case string:
		return v == image.String()
	}
	return false
}
