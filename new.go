package mcpauth

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/seed-1e292522/mcpauth/internal/challenge"
	"github.com/seed-1e292522/mcpauth/internal/explain"
	"github.com/seed-1e292522/mcpauth/internal/fetch"
	"github.com/seed-1e292522/mcpauth/internal/keys"
	"github.com/seed-1e292522/mcpauth/internal/mcp"
	"github.com/seed-1e292522/mcpauth/internal/onward"
)

// New checks the whole configuration and makes a [Middleware] of it. It makes
// no network request and starts nothing. The error joins one *[ConfigError]
// for each mistake.
func New(config Config) (*Middleware, error) { return newBeside(nil, config) }

// newBeside is New for a resource that has the keys of issuers together with another one, if there is one.
func newBeside(other *Middleware, config Config) (*Middleware, error) {
	m := &Middleware{memory: newMemory()}
	m.operator.onDecision, m.operator.onServed = config.OnDecision, config.OnServed
	m.operator.log, m.operator.loops = cmp.Or(config.Logger, slog.New(slog.DiscardHandler)), newLoops()
	m.keys, m.poster = keys.NewRegistry(config.Transport, m.operator.log), fetch.NewPoster(config.Transport)
	if other != nil {
		m.keys, m.poster = other.keys, other.poster
	}
	b := builder{config: &config, m: m, before: ofNobody}
	if err := errors.Join(b.compile()...); err != nil {
		return nil, err
	}
	m.current.Store(b.g)
	m.standing.Good("", time.Now(), true)
	b.tellWarnings()
	return m, nil
}

// compile makes a generation of the configuration, and returns every mistake.
func (b *builder) compile() []error {
	config := b.config
	b.g = newGeneration(&b.m.operator)
	b.g.resource, b.g.maxBody, b.g.public.legacyAS = config.Resource, config.MaxBody, config.LegacyASMetadata
	b.g.verifier = verifier{resource: config.Resource, leeway: config.Leeway, revoked: config.Revoked, issuers: make(map[string]*issuer, len(config.Issuers))}
	b.resource()
	b.leeway()
	b.body()
	b.scopes()
	b.policy()
	b.origins()
	b.issuers()
	b.metadata()
	b.sessions()
	if len(b.errs) == 0 {
		b.g.refuser.renderAnswers()
		b.g.public.issuers = slices.DeleteFunc(slices.Clone(b.g.verifier.ordered), func(s *issuer) bool { return s.unlisted })
		b.edition()
		b.fixed()
	}
	return b.errs
}

func (b *builder) tellWarnings() {
	for _, warning := range b.warnings {
		b.m.operator.log.Warn("mcpauth: "+warning.text, warning.args...)
	}
}

func newGeneration(o *operator) *generation {
	g := new(generation)
	g.public.refuser, g.public.unasked, g.public.log = &g.refuser, &o.unasked, o.log
	g.refuser.origins = &g.public.origins
	return g
}

// builder turns a Config into a Middleware, field by field.
type builder struct {
	config   *Config
	m        *Middleware
	g        *generation
	before   *generation // that this one follows
	keeps    bool        // the Revoked of that one
	cold     []*issuer   // whose keys come from a new place
	asked    []*issuer   // that are asked about tokens in a new way
	renewed  []func()    // for those that are asked as before, when the generation comes into force
	url      *url.URL    // of the resource; nil if it is unusable
	errs     []error
	warnings []warning
}

// warning is logged for a configuration that is accepted.
type warning struct {
	text string
	args []any
}

func (b *builder) warn(text string, args ...any) {
	b.warnings = append(b.warnings, warning{text, args})
}

func (b *builder) fail(field, value, reason string) {
	b.errs = append(b.errs, newConfigError(field, value, reason))
}

// identifier checks a URL that identifies a resource or an issuer.
func (b *builder) identifier(field, raw string) *url.URL {
	u, err := url.Parse(raw)
	switch {
	case raw == "":
		b.fail(field, `""`, "required: the https URL, exactly as the other side writes it")
	case strings.TrimSpace(raw) != raw:
		b.fail(field, shownURL(raw), "begins or ends with white space: remove it")
	case err == nil && (u.Host == "https:" || u.Host == "http:"):
		b.fail(field, shownURL(raw), "the scheme stands twice: remove one")
	case err != nil || u.Hostname() == "":
		b.fail(field, shownURL(raw), "not an absolute URL: write https://host/path")
	case u.User != nil:
		b.fail(field, "a URL with user information", "an identifier has none: remove it")
	case strings.Contains(raw, "#"):
		b.fail(field, shownURL(raw), "an identifier has no fragment: remove it")
	case strings.ContainsFunc(raw, func(r rune) bool { return r <= ' ' || r >= 0x7f }):
		b.fail(field, shownURL(raw), "write it in ASCII: the host as xn--, the path percent-encoded")
	case !fetch.HasOneReading(u.Hostname()):
		b.fail(field, shownURL(raw), "the host can be read in more than one way: write a name, or an address of four numbers or of IPv6")
	case u.ForceQuery:
		b.fail(field, shownURL(raw), "ends with an empty query: remove the question mark")
	case u.Scheme == "http" && isInternal(u.Hostname()) && !fetch.IsLoopbackHost(u.Hostname()):
		b.fail(field, shownURL(raw), "must be https, under a name that clients reach, too; for development write http://localhost:PORT and set AllowInsecureLoopback: docs/operations.md, Development in containers")
	case u.Scheme != "https" && !(u.Scheme == "http" && fetch.IsLoopbackHost(u.Hostname())):
		b.fail(field, shownURL(raw), "must be https")
	case u.Scheme == "http" && !b.config.AllowInsecureLoopback:
		b.fail(field, shownURL(raw), "must be https; for development on this machine set AllowInsecureLoopback")
	default:
		return u
	}
	return nil
}

// isInternal reports whether a host is one that the public does not reach: of a container, or on a private address.
func isInternal(host string) bool {
	return !strings.Contains(host, ".") || strings.HasSuffix(host, ".internal") || fetch.IsPrivateHost(host)
}

func (b *builder) resource() {
	raw := b.config.Resource
	b.url = b.identifier("Resource", raw)
	if b.url == nil {
		return
	}
	if !strings.HasPrefix(raw, b.url.Scheme+"://"+strings.ToLower(b.url.Host)) {
		b.fail("Resource", shown(raw), "write scheme and host in lower case")
		b.url = nil
		return
	}
	if len(b.url.Path) > 1 && strings.HasSuffix(b.url.Path, "/") {
		b.warn("Resource ends with a slash: clients that dial the URL without it will ask for tokens that are refused", "resource", raw)
	}
	if b.url.RawQuery != "" {
		b.warn("Resource has a query: few clients can cope with it", "resource", raw)
	}
}

func (b *builder) leeway() {
	switch {
	case b.g.verifier.leeway == 0:
		b.g.verifier.leeway = defaultLeeway
	case b.g.verifier.leeway < 0 || b.g.verifier.leeway > maxLeeway:
		b.fail("Leeway", b.g.verifier.leeway.String(), "must be between 0 and 5m")
	}
}

func (b *builder) body() {
	switch {
	case b.g.maxBody == 0:
		b.g.maxBody = maxBody
	case b.g.maxBody < minBody || b.g.maxBody > maxHeldForCaller:
		b.fail("MaxBody", strconv.FormatInt(b.g.maxBody, 10), fmt.Sprintf("is in bytes: must be between %d and %d, or 0 for %d", minBody, maxHeldForCaller, maxBody))
	}
}

func (b *builder) scopes() {
	for i, scope := range b.config.Scopes {
		if p := scopeProblem(scope); p != "" {
			b.fail(fmt.Sprintf("Scopes[%d]", i), shown(scope), p)
		}
	}
	b.g.refuser.scope = challenge.JoinScopes(b.config.Scopes)
	for _, scope := range slices.Sorted(maps.Keys(b.config.Implies)) {
		for _, s := range append([]string{scope}, b.config.Implies[scope]...) {
			if p := scopeProblem(s); p != "" {
				b.fail(fmt.Sprintf("Implies[%q]", scope), shown(s), p)
			}
		}
	}
	broader, cycle := invertHierarchy(b.config.Implies)
	if cycle != "" {
		b.fail("Implies", shown(cycle), "a scope includes itself: break the cycle")
	}
	b.g.policy.broader = broader
}

func (b *builder) policy() {
	known := slices.Concat(b.config.Scopes, slices.Sorted(maps.Keys(b.config.Implies)))
	for _, narrower := range b.config.Implies {
		known = append(known, narrower...)
	}
	policy := b.config.Policy
	if adds, ok := policy.(refiner); ok && !isNilInside(policy) {
		var onBehalf []string
		for i := range b.config.Issuers {
			if b.config.Issuers[i].AllowTokenExchange {
				onBehalf = append(onBehalf, b.config.Issuers[i].URL)
			}
		}
		base, err := adds.Refines(onBehalf, onward.Ours{})
		if err != nil {
			b.fail("Policy", fmt.Sprintf("a %T", policy), err.Error())
		}
		policy, b.g.policy.adds = base, adds
	}
	if isNilInside(policy) {
		b.fail("Policy", fmt.Sprintf("a nil %T", policy), "nobody answers there: give a policy; no policy at all refuses every tool, prompt and resource")
		return
	}
	if book, errs := declared(policy); book != nil {
		b.errs = append(b.errs, errs...)
		b.g.policy.policy, b.g.policy.listed = book, book.targets()
		known = append(known, book.scopes()...)
		b.hints(book)
	} else {
		b.g.policy.policy = policy
	}
	b.g.refuser.granted = newGrantFilter(known)
}

// declared returns the rules of a policy, nil if it is code.
func declared(p Policy) (*ruleBook, []error) {
	switch p := p.(type) {
	case nil:
		return Rules{}.compile()
	case Rules:
		return p.compile()
	case *Rules:
		return p.compile()
	}
	return nil, nil
}

func (b *builder) sessions() {
	book, declared := b.g.policy.policy.(*ruleBook)
	b.g.bindsTasks = !b.config.DelegateTasks && (!declared || book.opensTasks())
	b.replicas()
	if len(b.errs) == 0 && b.before == ofNobody {
		b.belongings()
	}
	if b.g.refuser.offersDPoP {
		b.g.verifier.proofs = b.m.owned.proofs
	}
}

func (b *builder) origins() {
	o := origins{listed: make(map[string]bool, len(b.config.AllowedOrigins))}
	if b.url != nil {
		o.own = b.url.Scheme + "://" + b.url.Host
		if hasDefaultPort(b.url) {
			o.own = strings.TrimSuffix(o.own, ":"+b.url.Port())
		}
		o.loopback = b.config.AllowInsecureLoopback && fetch.IsLoopbackHost(b.url.Hostname())
	}
	for i, origin := range b.config.AllowedOrigins {
		if !isOrigin(origin) {
			b.fail(fmt.Sprintf("AllowedOrigins[%d]", i), shownURL(origin),
				"not an origin as browsers send it: list each as scheme://host[:port] in lower case, without path and default port; there is no wildcard")
		}
		o.listed[origin] = true
	}
	b.g.public.origins = o
}

// isOrigin reports whether a browser could send this as Origin (RFC 6454
// section 6.2). Anything else would stand in the list and never match.
func isOrigin(s string) bool {
	u, err := url.Parse(s)
	if err != nil || u.Hostname() == "" || u.Scheme+"://"+u.Host != s || s != strings.ToLower(s) {
		return false
	}
	if hasDefaultPort(u) || strings.HasSuffix(s, ":") {
		return false
	}
	return !strings.ContainsFunc(s, func(r rune) bool { return r == '*' || r >= 0x7f })
}

// hasDefaultPort reports whether a URL names the port that it would mean without.
func hasDefaultPort(u *url.URL) bool {
	return u.Scheme == "https" && u.Port() == "443" || u.Scheme == "http" && u.Port() == "80"
}

// isNilInside reports whether an interface that is not nil holds nothing.
func isNilInside(v any) bool {
	switch r := reflect.ValueOf(v); r.Kind() {
	case reflect.Pointer, reflect.Func, reflect.Map, reflect.Slice, reflect.Chan:
		return r.IsNil()
	}
	return false
}

func (b *builder) issuers() {
	if len(b.config.Issuers) == 0 {
		b.fail("Issuers", "none", "required: without an authorization server no token can be accepted")
	}
	if isNilInside(b.config.Transport) {
		b.fail("Transport", fmt.Sprintf("a nil %T", b.config.Transport), "it would fail at the first fetch: give a transport, or leave the field out")
	}
	var names, prefixes []string
	for i := range b.config.Issuers {
		s, named := b.issuer(fmt.Sprintf("Issuers[%d]", i), &b.config.Issuers[i])
		if named && b.g.verifier.issuers[s.url] != nil {
			b.fail(fmt.Sprintf("Issuers[%d].URL", i), shown(s.url), "stands twice: remove one")
		}
		b.g.verifier.issuers[s.url] = s
		b.g.verifier.ordered = append(b.g.verifier.ordered, s)
		b.g.verifier.asks = b.g.verifier.asks || s.asked != nil
		if !s.unlisted {
			names = append(names, fmt.Sprintf("%q", s.url))
		}
		if s.prefix != "" && !s.unlisted {
			prefixes = append(prefixes, fmt.Sprintf("%q", s.prefix))
		}
	}
	b.prefixes()
	if len(prefixes) > 0 {
		b.g.verifier.prefixes = ": " + strings.Join(prefixes, ", ")
	}
	b.g.verifier.names = "one of the configured issuers, byte for byte: " + strings.Join(names, ", ")
}

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
	names := mcp.Names()
	for _, rule := range slices.Sorted(maps.Keys(book.methods)) {
		if i := slices.IndexFunc(names, func(name string) bool { return oneLetterOff(rule, name) }); i >= 0 && !slices.Contains(names, rule) {
			b.warn("a rule is about a method that MCP does not have, and one letter away from one that it has", "rule", rule, "method", names[i])
		}
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

const maxAlike = 8 // how many of such pairs are worth a line

// maxScopesCompared bounds how many scopes are compared with one another.
const maxScopesCompared = 1000

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
	if all = slices.Compact(all); len(all) > maxScopesCompared {
		return // nobody has written so many, and each is compared with each
	}
	told := 0
	for i, one := range all {
		for _, other := range all[i+1:] {
			if oneLetterOff(one, other) && told < maxAlike {
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
