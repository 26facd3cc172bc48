package explain

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/seed-1e292522/mcpauth/internal/fetch"
	"github.com/seed-1e292522/mcpauth/internal/foreign"
)

// maxQuoted bounds what of a sender's string stands in a finding.
const maxQuoted = 128

// Bounds of what is compared with the configuration. Nobody has verified a
// token that is explained: what a stranger can make of it must cost little.
const (
	maxAudiences = 16
	maxCompared  = 2 << 10 // bytes of an issuer
)

// quote shows a sender's string.
func quote(s string) string { return foreign.QuoteShort(s, maxQuoted) }

// quoteAll shows the first few of a list.
func quoteAll(list []string) string {
	var shown []string
	for i, s := range list {
		if i == 5 {
			shown = append(shown, fmt.Sprintf("and %d more", len(list)-i))
			break
		}
		shown = append(shown, quote(s))
	}
	return strings.Join(shown, ", ")
}

// schemes are the names of the authentication schemes that may be shown. Any
// other first word could be a secret.
var schemes = []string{"basic", "digest", "dpop", "token", "apikey", "api-key", "negotiate", "ntlm", "hawk", "aws4-hmac-sha256", "bearer"}

// Authorization says why a header field holds no bearer token.
func Authorization(value string) Finding {
	scheme, rest, _ := strings.Cut(strings.TrimSpace(value), " ")
	switch {
	case value == "":
		return found("no-credentials")
	case strings.HasPrefix(scheme, "eyJ"):
		return found("token-without-scheme")
	case rest == "" && strings.EqualFold(scheme, "bearer"):
		return found("token-empty")
	case slices.Contains(schemes, strings.ToLower(scheme)):
		return found("scheme", "the scheme is "+quote(scheme))
	}
	return found("scheme", "the scheme is none that is known here")
}

// Compact says why a text is no signed JWT. Nothing of the text is repeated.
func Compact(token string) Finding {
	dots := strings.Count(token, ".")
	switch {
	case strings.HasPrefix(token, `"`) || strings.HasPrefix(token, "'"):
		return found("token-quoted")
	case len(token) > 7 && strings.EqualFold(token[:7], "bearer "):
		return found("token-twice-bearer")
	case dots == 4:
		return found("token-encrypted")
	case dots != 2:
		return found("token-opaque", fmt.Sprintf("%d dots in %d bytes, a signed JWT has two", dots, len(token)))
	}
	return found("token-malformed")
}

// Algorithm says what is wrong with a token's alg.
func Algorithm(alg string) Finding {
	switch {
	case strings.HasPrefix(strings.ToUpper(alg), "HS"):
		return found("token-hmac", "alg is "+quote(alg))
	case strings.EqualFold(alg, "none"):
		return found("token-unsigned")
	case alg == "":
		return found("algorithm")
	}
	return found("algorithm", "alg is "+quote(alg))
}

// Issuer compares a token's iss with the configured issuers.
func Issuer(got string, configured []string) Finding {
	if len(got) > maxCompared {
		configured = nil
	}
	for _, test := range []struct {
		cause string
		is    func(got, configured string) bool
		text  string
	}{
		{"issuer-slash", onlySlash, "the token says %s, configured is %s"},
		{"issuer-metadata-url", isMetadataOf, "the token says %s, configured is %s"},
		{"issuer-entra-version", otherEntraVersion, "the token says %s, configured is %s"},
		{"issuer-scheme", onlyScheme, "the token says %s, configured is %s"},
		{"issuer-host", samePath, "the token says %s, configured is %s"},
		{"issuer-path", sameHost, "the token says %s, configured is %s"},
	} {
		for _, url := range configured {
			if test.is(got, url) {
				return found(test.cause, fmt.Sprintf(test.text, quote(got), quote(url)))
			}
		}
	}
	return found("issuer-unknown", "the token says "+quote(got))
}

func onlySlash(a, b string) bool {
	return a != b && strings.TrimSuffix(a, "/") == strings.TrimSuffix(b, "/")
}

func onlyScheme(a, b string) bool {
	schemeA, restA, okA := strings.Cut(a, "://")
	schemeB, restB, okB := strings.Cut(b, "://")
	return okA && okB && schemeA != schemeB && strings.TrimSuffix(restA, "/") == strings.TrimSuffix(restB, "/")
}

func isMetadataOf(got, configured string) bool {
	before, after, ok := strings.Cut(configured, "/.well-known/")
	_, path, _ := strings.Cut(after, "/")
	if path != "" {
		before += "/" + path
	}
	return ok && strings.TrimSuffix(before, "/") == strings.TrimSuffix(got, "/")
}

// otherEntraVersion: v1 is https://sts.windows.net/TENANT/, v2 ends with TENANT/v2.0.
func otherEntraVersion(got, configured string) bool {
	version := func(issuer string) (v int, tenant string) {
		if rest, ok := strings.CutPrefix(issuer, "https://sts.windows.net/"); ok {
			return 1, strings.TrimSuffix(rest, "/")
		}
		if rest, ok := strings.CutSuffix(strings.TrimSuffix(issuer, "/"), "/v2.0"); ok {
			return 2, rest[strings.LastIndexByte(rest, '/')+1:]
		}
		return 0, ""
	}
	v, tenant := version(got)
	w, same := version(configured)
	return v+w == 3 && tenant == same
}

// samePath: one name of the host for another, and more than the scheme is the same: the path, the name without the
// port, or a port that is written out.
func samePath(a, b string) bool {
	u, v, ok := parse(a, b)
	path := strings.TrimSuffix(u.Path, "/")
	same := path != "" || u.Hostname() == v.Hostname() || u.Port() != "" && u.Port() == v.Port()
	return ok && same && u.Host != v.Host && path == strings.TrimSuffix(v.Path, "/")
}

// sameMachine: two names of this machine, and all else is the same.
func sameMachine(a, b string) bool {
	u, v, ok := parse(a, b)
	return ok && fetch.IsLoopbackHost(u.Hostname()) && fetch.IsLoopbackHost(v.Hostname()) && u.Scheme == v.Scheme && u.Port() == v.Port() && samePath(a, b)
}

func sameHost(a, b string) bool {
	u, v, ok := parse(a, b)
	return ok && u.Host == v.Host
}

func parse(a, b string) (u, v *url.URL, ok bool) {
	u, errA := url.Parse(a)
	v, errB := url.Parse(b)
	if errA != nil || errB != nil || u.Host == "" || v.Host == "" {
		return &url.URL{}, &url.URL{}, false
	}
	return u, v, true
}

// EmptyAudience is for a token whose aud is a list of nothing.
func EmptyAudience(resource string) Finding {
	return found("audience-empty", "tokens must carry "+quote(resource))
}

// areScopes reports whether an audience is made of the token's scopes. A single plain word
// may name an API and a scope.
func areScopes(aud, scopes []string) bool {
	if len(aud) == 1 {
		aud = strings.Split(aud[0], " ")
	}
	if len(aud) == 1 && (!strings.Contains(aud[0], ":") || strings.Contains(aud[0], "://")) {
		return false
	}
	return !slices.ContainsFunc(aud, func(a string) bool { return !slices.Contains(scopes, a) })
}

// Audience compares a token's aud with what is accepted. clientID is the
// token's client and issuer its issuer, if known, and scopes are its own.
func Audience(aud []string, resource, clientID, issuer string, scopes []string) Finding {
	want := "tokens must carry " + quote(resource)
	if len(aud) == 0 {
		return found("audience-missing", want)
	}
	got := "the token is for " + quoteAll(aud)
	aud = aud[:min(len(aud), maxAudiences)]
	any := func(is func(string) bool) bool { return slices.ContainsFunc(aud, is) }
	against := func(is func(a, b string) bool) func(string) bool {
		return func(a string) bool { return is(a, resource) }
	}
	switch {
	case any(against(onlySlash)):
		return found("audience-slash", got, want)
	case any(against(onlyScheme)):
		return found("audience-scheme", got, want)
	case areScopes(aud, scopes):
		return found("audience-scopes", got, want)
	case clientID != "" && slices.Contains(aud, clientID):
		return found("audience-client-id", got, want)
	case any(func(a string) bool {
		return a == "https://graph.microsoft.com" || a == "00000003-0000-0000-c000-000000000000"
	}):
		return found("audience-graph", got, want)
	case any(func(a string) bool {
		return issuer != "" && strings.TrimSuffix(a, "/") == strings.TrimSuffix(issuer, "/")
	}):
		return found("audience-issuer", got, want)
	case any(against(sameHost)):
		return found("audience-path", got, want)
	case any(against(sameMachine)):
		return found("audience-loopback", got, want)
	case any(against(samePath)):
		return found("audience-host", got, want)
	case any(func(a string) bool { return a == "account" }):
		return found("audience-account", got, want)
	case any(func(a string) bool { return !strings.Contains(a, "://") || strings.HasPrefix(a, "api://") }):
		return found("audience-identifier", got, want)
	}
	return found("audience-other", got, want)
}

// freshToken is the age below which an expired token speaks of clocks and not
// of a client that does not refresh.
const freshToken = 5 * time.Minute

// Expired looks at the times of a token that is too old. issued may be zero.
func Expired(issued, expiry, now time.Time) Finding {
	late := "expired " + now.Sub(expiry).Round(time.Second).String() + " ago"
	if issued.IsZero() || !issued.Before(expiry) {
		return found("expired", late)
	}
	lived := "it lived for " + expiry.Sub(issued).Round(time.Second).String()
	if age := now.Sub(issued); age < freshToken {
		return found("expired-clock", late, lived, "it was issued "+age.Round(time.Second).String()+" ago by the issuer's clock")
	}
	return found("expired", late, lived)
}

// farFuture is where seconds end and milliseconds begin: the year 5138.
const farFuture = 100_000_000_000

// Future looks at a token that is from the future.
func Future(issued, notBefore, now time.Time) Finding {
	moment, cause, name := issued, "clock-behind", "iat"
	if notBefore.After(issued) {
		moment, name = notBefore, "nbf"
		if !issued.IsZero() && !issued.After(now) {
			cause = "not-before"
		}
	}
	if moment.Unix() > farFuture {
		return found("milliseconds")
	}
	return found(cause, name+" is "+moment.Sub(now).Round(time.Second).String()+" from now")
}
