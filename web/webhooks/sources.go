package webhooks

import (
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// maxHints bounds what one request can set off.
const maxHints = 100

// source is one sender's format.
type source struct {
	// name is the metrics label.
	name string
	// matches recognises the format by headers and the body's top fields.
	matches func(http.Header, fields) bool
	// parse reads the hints; none for an event of no interest.
	parse func(http.Header, []byte) ([]Hint, error)
}

// fields are the names at the top of a JSON object.
type fields map[string]json.RawMessage

func (f fields) has(names ...string) bool {
	for _, name := range names {
		if _, ok := f[name]; !ok {
			return false
		}
	}
	return true
}

// text is a field's string, empty where it is none.
func (f fields) text(name string) string {
	var s string
	if json.Unmarshal(f[name], &s) != nil {
		return ""
	}
	return s
}

// sources are tried in this order. Gitea and its forks also send GitHub's
// headers, so they stand before GitHub.
var sources = []source{
	{"gitea", byHeader("X-Gitea-Event", "X-Forgejo-Event", "X-Gogs-Event"), parseGitea},
	{"github", byHeader("X-GitHub-Event"), parseGitHub},
	{"gitlab", byHeader("X-Gitlab-Event"), parseGitLab},
	{"distribution", func(_ http.Header, f fields) bool { return f.has("events") }, parseDistribution},
	{"ecr", func(_ http.Header, f fields) bool { return f.text("source") == "aws.ecr" }, parseECR},
	{"harbor", func(_ http.Header, f fields) bool {
		return f.has("event_data") || strings.HasPrefix(f.text("type"), "harbor.")
	}, parseHarbor},
	{"dockerhub", func(_ http.Header, f fields) bool { return f.has("push_data", "repository") }, parseDockerHub},
	{"quay", func(_ http.Header, f fields) bool { return f.has("docker_url") }, parseQuay},
	{"acr", func(_ http.Header, f fields) bool { return f.has("target", "request", "action") }, parseACR},
	{"artifactory", func(_ http.Header, f fields) bool {
		return f.text("domain") == "docker" || f.has("repo_key", "image_name")
	}, parseArtifactory},
	{"generic", func(_ http.Header, f fields) bool { return f.has("image") }, parseGeneric},
}

// unknownSource is the metrics label of what is recognised by none.
const unknownSource = "unknown"

func byHeader(names ...string) func(http.Header, fields) bool {
	return func(h http.Header, _ fields) bool {
		return slices.ContainsFunc(names, func(name string) bool { return h.Get(name) != "" })
	}
}

// errMalformed: the body cannot be read as what it says it is.
var errMalformed = errors.New("the body cannot be read")

// parse recognises a request's sender and reads its hints. Of an unknown sender
// there are none, and no error.
func parse(header http.Header, body []byte) (string, []Hint, error) {
	body, err := unwrap(header, body)
	if err != nil {
		return unknownSource, nil, err
	}
	var top fields
	if err := json.Unmarshal(body, &top); err != nil {
		return unknownSource, nil, fmt.Errorf("%w: want a JSON object", errMalformed)
	}
	for _, s := range sources {
		if !s.matches(header, top) {
			continue
		}
		hints, err := s.parse(header, body)
		if err != nil {
			return s.name, nil, fmt.Errorf("%w as the %s format: %w", errMalformed, s.name, err)
		}
		return s.name, distinct(hints), nil
	}
	return unknownSource, nil, nil
}

// unwrap takes the JSON out of a form, as GitHub and Gitea send it where they
// are set to application/x-www-form-urlencoded.
func unwrap(header http.Header, body []byte) ([]byte, error) {
	// What is no media type is no form; the body then speaks for itself.
	if mediaType, _, _ := mime.ParseMediaType(header.Get("Content-Type")); mediaType != "application/x-www-form-urlencoded" {
		return body, nil
	}
	form, err := url.ParseQuery(string(body))
	if err != nil || !form.Has("payload") {
		return nil, fmt.Errorf("%w: the form has no field payload", errMalformed)
	}
	return []byte(form.Get("payload")), nil
}

// distinct drops repeated and empty hints, and those over the bound.
func distinct(hints []Hint) []Hint {
	var kept []Hint
	for _, h := range hints {
		if h.Kind == Image && h.Repository == "" || h.Kind != Image && len(h.URLs) == 0 {
			continue
		}
		same := func(o Hint) bool {
			return h.Kind == o.Kind && h.Repository == o.Repository && h.Tag == o.Tag && h.Digest == o.Digest &&
				h.Branch == o.Branch && h.Merged == o.Merged && h.Number == o.Number && slices.Equal(h.URLs, o.URLs)
		}
		if len(kept) < maxHints && !slices.ContainsFunc(kept, same) {
			kept = append(kept, h)
		}
	}
	return kept
}
