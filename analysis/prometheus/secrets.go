package prometheus

import (
	"encoding/base64"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

const (
	redacted = "(redacted)"
	// shortest is how long, in bytes, a secret has to be for all its occurrences to
	// be taken out: shorter ones are parts of ordinary words.
	shortest = 4
	// shortestBare is the same for what may be a name, or a setting: a user, and
	// parameters of a URL. Shorter ones are taken out where they stand in a URL.
	shortestBare = 8
)

// secrets are the texts that may not occur in a message, longest first.
type secrets []string

// secretsOf finds all that a person may have meant to be secret.
func secretsOf(o Options) secrets {
	known := secrets{o.Password, o.Token, o.Key}
	if o.Username+o.Password != "" {
		known = append(known, base64.StdEncoding.EncodeToString([]byte(o.Username+":"+o.Password)))
	}
	addresses := []string{o.URL, o.ProxyURL}
	if o.OAuth2 != nil {
		known, addresses = append(known, o.OAuth2.ClientSecret), append(addresses, o.OAuth2.TokenURL)
	}
	for _, value := range o.Headers { // they are sorted below
		known = append(known, value)
	}
	for _, address := range addresses {
		known = append(known, withinURL(address)...)
	}
	for _, secret := range slices.Clone(known) {
		known = append(known, url.QueryEscape(secret), url.PathEscape(secret))
	}
	known = slices.DeleteFunc(known, func(s string) bool { return len(s) < shortest })
	slices.SortFunc(known, func(a, b string) int {
		if len(a) != len(b) {
			return len(b) - len(a)
		}
		return strings.Compare(a, b)
	})
	return slices.Compact(known)
}

// withinURL gives the user, the password and the parameters of an address.
func withinURL(address string) []string {
	u, err := url.Parse(address)
	if err != nil {
		return nil
	}
	var found []string
	password, _ := u.User.Password()
	found = append(found, password)
	bare := []string{u.User.Username(), u.Fragment}
	for _, values := range u.Query() { // the caller sorts
		bare = append(bare, values...)
	}
	return append(found, slices.DeleteFunc(bare, func(s string) bool { return len(s) < shortestBare })...)
}

var (
	// addresses finds URLs: scheme, user and password, host and path, parameters.
	addresses = regexp.MustCompile(`([A-Za-z][A-Za-z0-9+.-]*://)([^\s"'<>/?#]*@)?([^\s"'<>?#]*)(\?[^\s"'<>#]*)?(#[^\s"'<>]*)?`)
	// authorisations finds what the header Authorization holds.
	authorisations = regexp.MustCompile(`(?i)\b(bearer|basic)(\s+|%20|\+)[A-Za-z0-9._~+/=-]{16,}`)
)

// clean takes secrets out of a message, whoever put them there: the server, which
// may send back all that it was sent, a proxy, or a redirect.
func (s secrets) clean(message string) string {
	for _, secret := range s {
		message = strings.ReplaceAll(message, secret, redacted)
	}
	message = addresses.ReplaceAllStringFunc(message, func(address string) string {
		parts := addresses.FindStringSubmatch(address)
		plain := parts[1] + parts[3]
		if parts[4] != "" {
			plain += "?" + redacted
		}
		return plain
	})
	return authorisations.ReplaceAllString(message, "$1 "+redacted)
}

// plain is an address as messages name it: where it is, and nothing that may be
// secret.
func plain(u *url.URL) string {
	switch {
	case u.Host != "":
		return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}).String()
	case strings.ContainsAny(u.Opaque+u.Path, "@"):
		return "(unreadable)"
	}
	return (&url.URL{Scheme: u.Scheme, Opaque: u.Opaque, Path: u.Path}).String()
}

// redactURL does the same with a text that may be none.
func redactURL(raw string) string {
	if u, err := url.Parse(raw); err == nil {
		return plain(u)
	}
	return "(unreadable)"
}
