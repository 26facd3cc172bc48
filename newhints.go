package mcpauth

import (
	"slices"
	"strings"

	"github.com/seed-1e292522/mcpauth/internal/explain"
)

// protocolScopes concern the authorization server alone: a client asks for them, and no call needs them.
var protocolScopes = []string{"openid", "profile", "email"}

// hint warns of a configuration that is accepted and cannot well be meant, by a cause of the catalogue.
func (b *builder) hint(text, cause string, args ...any) {
	b.warn(text, append(args, "cause", cause, "fix", explain.Finding{Cause: cause}.Fix())...)
}

// hints looks at declared rules, beside the other places that name scopes.
func (b *builder) hints(book *ruleBook) {
	required := book.scopes()
	if book.isEmpty() {
		b.hint("the policy has no rule: every tool, prompt and resource is refused to everybody", "no-policy")
		return
	}
	needed := required
	for _, scope := range required {
		needed = append(needed, b.g.policy.broader[scope]...)
	}
	used := newGrantFilter(needed)
	for _, scope := range b.config.Scopes {
		if len(used.of(&Principal{Scopes: []string{scope}})) == 0 && !slices.Contains(protocolScopes, scope) {
			b.hint("no rule needs a scope that every client is told to ask for", "scope-unused", "scope", scope)
		}
	}
	b.alike(required)
}

// alike warns of scopes that are one letter off another, in whatever place each stands.
func (b *builder) alike(required []string) {
	all := slices.Concat(required, b.config.Scopes)
	for i := range b.config.Issuers {
		for _, scopes := range b.config.Issuers[i].Claims.RoleScopes {
			all = append(all, scopes...)
		}
	}
	for scope, narrower := range b.config.Implies {
		all = append(append(all, scope), narrower...)
	}
	slices.Sort(all)
	all = slices.Compact(all)
	told := 0
	for i, one := range all {
		for _, other := range all[i+1:] {
			if oneLetterOff(one, other) && told < maxListed {
				told++
				b.hint("two scopes differ by one letter", "scope-alike", "scope", one, "other", other)
			}
		}
	}
}

// oneLetterOff reports whether two texts differ by one character, or by two that have changed
// places. Short names and numbers differ on purpose.
func oneLetterOff(a, b string) bool {
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

// isEmpty reports whether there is no rule at all.
func (b *ruleBook) isEmpty() bool {
	for _, set := range []*ruleSet{&b.tools, &b.prompts, &b.resources} {
		if len(set.keys) > 0 {
			return false
		}
	}
	return len(b.methods) == 0
}
