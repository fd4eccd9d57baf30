package webhooks

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"net/http"
	"strings"
)

// signatureHeaders carry the HMAC-SHA256 of the body in hexadecimal digits, by
// itself or after "sha256=".
var signatureHeaders = []string{
	"X-Hub-Signature-256",
	"X-Hub-Signature",
	"X-Gitea-Signature",
	"X-Forgejo-Signature",
	"X-Gogs-Signature",
	"X-Jfrog-Event-Auth",
}

// tokenHeaders carry the secret itself.
var tokenHeaders = []string{
	"X-Serin-Token",
	"X-Gitlab-Token",
	"X-Jfrog-Event-Auth",
	"Authorization",
}

// authentic says whether a request knows one of the secrets: by a signature, by
// a header, or by the path, for senders that can do neither (Docker Hub, Quay).
// It tries all of them, so that the time taken tells nothing.
func authentic(req *http.Request, path string, body []byte, secrets []string) bool {
	found := 0
	for _, secret := range secrets {
		if secret == "" {
			continue
		}
		want := signature(secret, body)
		for _, header := range signatureHeaders {
			given, err := hex.DecodeString(strings.TrimPrefix(req.Header.Get(header), "sha256="))
			if err == nil {
				found |= equal(given, want)
			}
		}
		for _, header := range tokenHeaders {
			found |= sameText(token(req.Header.Get(header)), secret)
		}
		_, password, _ := req.BasicAuth()
		found |= sameText(password, secret) | sameText(path, secret)
	}
	return found == 1
}

// token strips the scheme of an Authorization header; Harbor and others send
// the secret bare.
func token(header string) string {
	return strings.TrimPrefix(header, "Bearer ")
}

func signature(secret string, body []byte) []byte {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body) // a hash never fails
	return mac.Sum(nil)
}

func equal(a, b []byte) int { return subtle.ConstantTimeCompare(a, b) }

// sameText compares hashes, so that not even the secret's length shows.
func sameText(a, b string) int {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return equal(x[:], y[:])
}
