package oci

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/serin-gitops/serin/registry"
)

// maxMessage bounds how much of a registry's own words is passed on, in bytes.
const maxMessage = 300

// explain turns an error of the client into one of the port, naming the
// subject, without the query of a URL (a redirect to storage is signed there)
// and without a page of HTML.
func explain(subject string, err error) error {
	partial := ""
	if errors.Is(err, registry.ErrPartial) {
		partial = ": " + registry.ErrPartial.Error()
	}
	switch cause := causeOf(err); {
	case partial != "":
		return &explained{text: subject + partial + ": " + cause.Error(), is: []error{registry.ErrPartial, cause}}
	case errors.Is(cause, registry.ErrUnauthorized):
		return fmt.Errorf("%s: %w; check the secret, and that it may read this repository", subject, cause)
	default:
		return fmt.Errorf("%s: %w", subject, cause)
	}
}

// explained is an error with a text of its own and several causes.
type explained struct {
	text string
	is   []error
}

func (e *explained) Error() string   { return e.text }
func (e *explained) Unwrap() []error { return e.is }

// causeOf finds what the port promises in an error of the client.
func causeOf(err error) error {
	var limited *registry.LimitedError
	if errors.As(err, &limited) {
		return limited
	}
	if errors.Is(err, registry.ErrNotFound) {
		return err
	}
	var answer *transport.Error
	if errors.As(err, &answer) {
		return answerOf(answer)
	}
	var request *url.Error
	if !errors.As(err, &request) {
		return err
	}
	cause := fmt.Errorf("%s %s: %w", strings.ToUpper(request.Op), place(request.URL), request.Err)
	if errors.Is(err, errPlainHTTP) && !errors.Is(request.Err, errPlainHTTP) {
		return fmt.Errorf("%w (over https: %w)", errPlainHTTP, cause)
	}
	return cause
}

// answerOf says what the registry answered, and which of the port's errors it is.
func answerOf(answer *transport.Error) error {
	said := fmt.Sprintf("the registry answered %d %s", answer.StatusCode, http.StatusText(answer.StatusCode))
	if len(answer.Errors) > 0 {
		message := fmt.Sprintf("%s %s", answer.Errors[0].Code, answer.Errors[0].Message)
		said += " (" + strings.ToValidUTF8(message[:min(len(message), maxMessage)], "") + ")"
	}
	switch answer.StatusCode {
	case http.StatusUnauthorized, http.StatusForbidden:
		return fmt.Errorf("%w: %s", registry.ErrUnauthorized, said)
	case http.StatusNotFound:
		return fmt.Errorf("%w: %s", registry.ErrNotFound, said)
	}
	return errors.New(said)
}

// place is host and path of an address, without its query and user.
func place(address string) string {
	parsed, err := url.Parse(address)
	if err != nil {
		return "an address that does not parse"
	}
	return parsed.Host + parsed.Path
}

// isHeaderMissing recognises go-containerregistry's complaint about a HEAD
// answer without content length, type or digest; it has no type of its own.
func isHeaderMissing(err error) bool {
	return strings.Contains(err.Error(), "response did not include")
}
