// Package login finds who asks the embedded servers, by HTTP basic
// authentication (RFC 7617).
package login

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
)

// Find returns the user whose name and password the request carries; pair gives
// those of a user. A user without a password is never found. Every user is
// compared, in constant time, so that neither the time of an answer nor its
// text tells which names there are.
func Find[U any](r *http.Request, users []U, pair func(U) (name, password string)) (found U, known bool) {
	givenName, givenPassword, given := r.BasicAuth()
	if !given {
		return found, false
	}
	for _, candidate := range users {
		name, password := pair(candidate)
		if same(name, givenName)&same(password, givenPassword) == 1 && password != "" {
			found, known = candidate, true
		}
	}
	return found, known
}

// Given says whether the request carries credentials at all. Some clients of
// registries send an empty name and password for none.
func Given(r *http.Request) bool {
	name, password, basic := r.BasicAuth()
	if basic {
		return name != "" || password != ""
	}
	return r.Header.Get("Authorization") != ""
}

// same compares hashes, so that the time taken tells nothing of the content,
// its length neither.
func same(a, b string) int {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:])
}
