package explain

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Scopes looks for what a call lacks among everything that the token says.
// claims are those of a verified token; missing are the scopes that it lacks,
// granted those that it has.
func Scopes(missing, granted []string, claims map[string]any) Finding {
	lacks := "missing " + quoteAll(missing)
	for _, scope := range missing {
		for _, has := range granted {
			switch {
			case strings.Contains(has, ",") && slices.Contains(strings.Split(has, ","), scope):
				return found("scope-separator", "the token has "+quote(has)+" as one scope: separated by a comma", lacks)
			case strings.EqualFold(has, scope):
				return found("scope-case", "the token has "+quote(has), lacks)
			case strings.HasSuffix(has, "/"+scope):
				return found("scope-prefix", "the token has "+quote(has), lacks)
			}
		}
		if path := holding(claims, scope, "", 0); path != "" {
			cause := "scopes-elsewhere"
			if name := strings.ToLower(path); strings.Contains(name, "role") || strings.Contains(name, "group") {
				cause = "scopes-in-roles"
			}
			return found(cause, fmt.Sprintf("%s stands in the claim %s", quote(scope), path), lacks)
		}
	}
	for _, scope := range missing {
		if i := slices.IndexFunc(granted, func(has string) bool { return OneLetterOff(has, scope) }); i >= 0 {
			return found("scope-misspelt", "the token has "+quote(granted[i]), lacks)
		}
	}
	if len(granted) == 0 {
		return found("scopes-none", lacks, rightsClaims(claims))
	}
	return found("scope-not-granted", "the token has "+quoteAll(granted), lacks)
}

// OneLetterOff reports whether two texts differ by one character, or by two that have changed
// places. Short names and numbers differ on purpose.
func OneLetterOff(a, b string) bool {
	if min(len(a), len(b)) < 4 || a == b {
		return false
	}
	for len(a) > 0 && len(b) > 0 && a[0] == b[0] {
		a, b = a[1:], b[1:]
	}
	for len(a) > 0 && len(b) > 0 && a[len(a)-1] == b[len(b)-1] {
		a, b = a[:len(a)-1], b[:len(b)-1]
	}
	if strings.ContainsAny(a+b, "0123456789") {
		return false
	}
	swapped := len(a) == 2 && len(b) == 2 && a[0] == b[1] && a[1] == b[0]
	return swapped || max(len(a), len(b)) == 1
}

// maxNesting is how deep rights are looked for.
const maxNesting = 4

// holding returns the path of the claim that has the value: as a whole, as one of the
// words of a string, or as an element of an array.
func holding(value any, scope, path string, depth int) string {
	switch v := value.(type) {
	case string:
		if path != "" && slices.Contains(strings.Fields(v), scope) {
			return path
		}
	case []any:
		if slices.ContainsFunc(v, func(e any) bool { return e == scope }) {
			return path
		}
	case map[string]any:
		if depth == maxNesting {
			return ""
		}
		for _, name := range slices.Sorted(maps.Keys(v)) {
			step := name
			if strings.ContainsFunc(name, needsQuotes) || len(name) > maxQuoted || name == "" {
				step = quote(name)
			}
			if path != "" {
				step = path + "." + step
			}
			if at := holding(v[name], scope, step, depth+1); at != "" {
				return at
			}
		}
	}
	return ""
}

// needsQuotes tells what a claim path has in quotes, and what a log must not have bare.
func needsQuotes(r rune) bool {
	return r == '.' || r == '/' || r == '"' || r == utf8.RuneError || !unicode.IsPrint(r)
}

// rightsClaims names the claims of a token without scopes that usually hold rights.
func rightsClaims(claims map[string]any) string {
	var there []string
	for _, name := range []string{"scope", "scp", "permissions", "roles", "groups", "realm_access", "resource_access"} {
		if _, ok := claims[name]; ok {
			there = append(there, name)
		}
	}
	if there == nil {
		return ""
	}
	return "the token has the claims " + strings.Join(there, ", ")
}

// Rule says that a target has no rule, and which rule may have been meant.
func Rule(kind, name string, rules []string) Finding {
	marks := strings.NewReplacer("-", "", "_", "", ".", "", " ", "")
	plain := func(s string) string { return marks.Replace(strings.ToLower(s)) }
	meant := plain(name)
	for _, rule := range rules {
		if rule != name && (plain(rule) == meant || OneLetterOff(rule, name)) {
			return found("no-rule", fmt.Sprintf("%s %s has no rule, %s has", kind, quote(name), quote(rule)))
		}
	}
	return found("no-rule", kind+" "+quote(name)+" has no rule")
}

// Skipped is a key of the set that cannot be used.
type Skipped struct{ Kid, Why string }

// KeySet is what is known of the keys of an issuer.
type KeySet struct {
	Kids       []string // of the usable keys
	Algorithms []string // what each of them is for
	Skipped    []Skipped
	Age        string // "40s": how long ago it was last fetched; "" for static keys or none
	Failed     string // why it could not be fetched since, "" if it could
}

func (k *KeySet) facts() (facts []string) {
	if len(k.Kids) > 0 {
		facts = append(facts, "the set has "+quoteAll(k.Kids))
	}
	if k.Age != "" {
		facts = append(facts, "last fetched "+k.Age+" ago")
	}
	if k.Failed != "" {
		facts = append(facts, "failed since: "+k.Failed)
	}
	return facts
}

// Key says why no key was found for a token's kid and alg.
func Key(kid, alg string, set KeySet) Finding {
	switch {
	case set.Failed != "":
		return found("key-unknown-outage", set.lack(kid)...)
	case slices.Contains(set.Kids, kid):
		return found("key-algorithm", "the key "+quote(kid)+" is for "+set.algorithms(kid)+", the token's alg is "+quote(alg))
	}
	for _, skipped := range set.Skipped {
		if skipped.Kid == kid {
			return found("key-unusable", "the key "+quote(kid)+" is skipped: "+skipped.Why)
		}
	}
	return found("key-unknown", set.lack(kid)...)
}

// algorithms are what the keys of that name are for.
func (k *KeySet) algorithms(kid string) string {
	var all []string
	for i, other := range k.Kids {
		if other == kid && i < len(k.Algorithms) {
			all = append(all, k.Algorithms[i])
		}
	}
	if len(all) == 0 {
		return "another algorithm"
	}
	return quoteAll(all)
}

// Unsettled says that nothing verifies a token, and that the keys may be older than it.
func Unsettled(kid string, set KeySet) Finding {
	return found("key-unsettled", set.lack(kid)...)
}

// lack says what is wrong with the keys for a token.
func (k *KeySet) lack(kid string) []string {
	who := "the key set has no key " + quote(kid)
	switch {
	case kid == "":
		who = "the token names no key"
	case slices.Contains(k.Kids, kid):
		who = "the key " + quote(kid) + " has not made the signature"
	}
	return append([]string{who}, k.facts()...)
}
