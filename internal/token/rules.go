package token

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Rules say what the tokens of one issuer must look like, and where their claims stand.
type Rules struct {
	Audiences  []string // of which aud must have one
	Algorithms []string // that alg may name
	Types      []string // that typ may name; "" stands for none
	NoJWTs     bool     // the issuer makes access tokens that only it can read

	MaxLifetime         time.Duration // exp minus iat; 0: no limit
	AllowMissingSubject bool          // where a client is named
	AllowIDTokenClaims  bool
	Required            []Required

	AcceptsBound bool // tokens that are bound to a key of the client by cnf.jkt
	NeedsBound   bool // and no others

	ScopeClaims   []Path
	Union         bool // all of ScopeClaims count, and not the first that is present
	RoleClaims    []Path
	RoleScopes    map[string][]string // by role
	ClientClaim   Path                // nil: the usual ones
	AudienceClaim Path                // read where aud is absent; nil: nowhere
}

// Path leads to a claim: the names of members, each inside the one before.
type Path []string

// Required is a claim that must have one of some values.
type Required struct {
	Name   string // as it is configured
	Path   Path
	Values []string
}

// Checker judges tokens by the rules of one issuer. It is made by [NewChecker] and never changes.
type Checker struct {
	Rules
	normalAudiences []string
	acceptable      string // the audiences, for the operator
	needsIssuedAt   bool
}

// NewChecker makes rules ready. It keeps what they hold.
func NewChecker(rules Rules) *Checker {
	k := &Checker{Rules: rules, acceptable: fmt.Sprintf("one of %q", rules.Audiences)}
	for _, audience := range rules.Audiences {
		if normal, ok := normalURI(audience); ok {
			k.normalAudiences = append(k.normalAudiences, normal)
		}
	}
	k.Types = make([]string, len(rules.Types))
	for i, typ := range rules.Types {
		k.Types[i] = mediaType(typ)
	}
	strict := len(k.Types) == 1 && k.Types[0] == "at+jwt"
	k.needsIssuedAt = strict || rules.MaxLifetime > 0
	return k
}

// ParsePath takes a claim path apart: names with dots between, those that have a dot or a
// slash in double quotes.
func ParsePath(path string) (names Path, ok bool) {
	for rest := path; ; {
		var name string
		if quoted, is := strings.CutPrefix(rest, `"`); is {
			if name, rest, ok = strings.Cut(quoted, `"`); !ok {
				return nil, false
			}
		} else {
			end := strings.IndexByte(rest, '.')
			if end < 0 {
				end = len(rest)
			}
			name, rest = rest[:end], rest[end:]
			if strings.ContainsAny(name, `"/`) {
				return nil, false
			}
		}
		if name == "" {
			return nil, false
		}
		names = append(names, name)
		if rest == "" {
			return names, true
		}
		if rest, ok = strings.CutPrefix(rest, "."); !ok {
			return nil, false
		}
	}
}

// forbiddenTypes are media types of JWTs that are no access tokens, whatever
// the configuration (RFC 8725 section 3.11).
var forbiddenTypes = []string{
	"dpop+jwt", "oauth-id-jag+jwt", "token-introspection+jwt", "logout+jwt", "secevent+jwt",
	"oauth-authz-req+jwt", "client-authentication+jwt", "entity-statement+jwt", "kb+jwt",
	"vc+sd-jwt", "dc+sd-jwt",
}

// IsForbiddenType reports whether JWTs of a media type are no access tokens, whatever the rules.
func IsForbiddenType(typ string) bool { return slices.Contains(forbiddenTypes, mediaType(typ)) }

// IsIDTokenType reports whether JWTs of a media type say that they are ID tokens. No registry has one, and issuers write what they like.
func IsIDTokenType(typ string) bool {
	return slices.Contains([]string{"id+jwt", "id_token+jwt", "id-token+jwt"}, mediaType(typ))
}

// mediaType is typ in the short, lower-case form (RFC 7515 section 4.1.9).
func mediaType(typ string) string {
	return strings.TrimPrefix(lowerASCII(typ), "application/")
}

// lowerASCII leaves all but A to Z alone: strings.ToLower would make a k of the
// Kelvin sign, and two names equal that are not.
func lowerASCII(s string) string {
	if isLowerASCII(s) {
		return s
	}
	lower := []byte(s)
	for i, c := range lower {
		if 'A' <= c && c <= 'Z' {
			lower[i] = c + ('a' - 'A')
		}
	}
	return string(lower)
}

func isLowerASCII(s string) bool {
	for i := range len(s) {
		if c := s[i]; 'A' <= c && c <= 'Z' {
			return false
		}
	}
	return true
}

// normalURI writes scheme and host in lower case, drops the default port and
// gives an empty path its slash (RFC 3986 section 6.2.2.1 and 6.2.3). Nothing
// else about a URI is equivalent here.
func normalURI(s string) (string, bool) {
	scheme, rest, ok := strings.Cut(s, "://")
	scheme = lowerASCII(scheme)
	if !ok || scheme != "https" && scheme != "http" {
		return "", false
	}
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	host, path := lowerASCII(rest[:end]), rest[end:]
	if scheme == "https" {
		host = strings.TrimSuffix(host, ":443")
	} else {
		host = strings.TrimSuffix(host, ":80")
	}
	if path == "" {
		path = "/"
	}
	return scheme + "://" + host + path, host != "" && !strings.Contains(host, "@")
}
