package gate

import (
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"strings"
	"unicode"

	"github.com/serin-gitops/serin/analysis"
)

// maxMessage bounds what is kept of a receiver's message, in bytes.
const maxMessage = 200

// verdict is the JSON that a receiver may answer.
type verdict struct {
	Verdict string `json:"verdict"`
	Message string `json:"message"`
}

// read says what an answer means. The error is an *analysis.Absence where the
// gate is not ready yet, else an outage.
func read(status int, contentType string, body []byte) (*analysis.Answer, error) {
	switch {
	case status >= 200 && status <= 299:
		return accepted(status, contentType, body)
	case status == http.StatusRequestTimeout || status == http.StatusTooManyRequests:
		return nil, fmt.Errorf("status %d: it has no time for an answer", status)
	case status >= 400 && status <= 499:
		said, _ := parse(contentType, body) // what it says is only shown
		return &analysis.Answer{Status: status, Message: withStatus(status, said.Message)}, nil
	case status >= 300 && status <= 399:
		return nil, fmt.Errorf("status %d: it redirects, which is not followed; give the final address in webhook.url", status)
	}
	return nil, fmt.Errorf("status %d", status)
}

// accepted reads an answer of 2xx.
func accepted(status int, contentType string, body []byte) (*analysis.Answer, error) {
	said, err := parse(contentType, body)
	if err != nil {
		return nil, fmt.Errorf("status %d: %w", status, err)
	}
	switch said.Verdict {
	case string(analysis.Pass), string(analysis.Fail):
		return &analysis.Answer{Pass: said.Verdict == string(analysis.Pass), Status: status, Message: withStatus(status, said.Message)}, nil
	case string(analysis.Inconclusive):
		return nil, &analysis.Absence{Kind: analysis.Pending, Message: withStatus(status, said.Message)}
	case "":
		if status == http.StatusAccepted && len(strings.TrimSpace(string(body))) == 0 {
			return nil, &analysis.Absence{Kind: analysis.Pending, Message: withStatus(status, "")}
		}
		return &analysis.Answer{Pass: true, Status: status, Message: withStatus(status, said.Message)}, nil
	}
	return nil, fmt.Errorf("status %d: its verdict is %q; it must be Pass, Fail or Inconclusive", status, clean(said.Verdict))
}

// parse reads the JSON of an answer. A body that is an object is read as one
// whatever its type says; one that only claims to be JSON is an error, since a
// part of it may be missing.
func parse(contentType string, body []byte) (verdict, error) {
	var said verdict
	err := json.Unmarshal(body, &said)
	if err == nil {
		return said, nil
	}
	media, _, _ := mime.ParseMediaType(contentType)
	if len(strings.TrimSpace(string(body))) > 0 && (media == "application/json" || strings.HasPrefix(strings.TrimSpace(string(body)), "{")) {
		return verdict{}, fmt.Errorf(`its body is not JSON of the form {"verdict": "Pass", "message": "..."}`)
	}
	return verdict{}, nil
}

// withStatus writes what a receiver says, and the status.
func withStatus(status int, message string) string {
	if message = clean(message); message == "" {
		message = http.StatusText(status)
	}
	return fmt.Sprintf("%s (status %d)", message, status)
}

// clean makes a receiver's text fit to be shown: one line without control or
// invisible characters, bounded.
func clean(text string) string {
	text = strings.Join(strings.FieldsFunc(strings.ToValidUTF8(text, ""), func(r rune) bool {
		return unicode.IsSpace(r) || unicode.IsControl(r)
	}), " ")
	text = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, text)
	if len(text) > maxMessage {
		text = strings.ToValidUTF8(text[:maxMessage], "") + "..."
	}
	return text
}
