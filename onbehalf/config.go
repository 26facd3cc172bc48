package onbehalf

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/seed-1e292522/mcpauth/clientauth"
	"github.com/seed-1e292522/mcpauth/internal/challenge"
	"github.com/seed-1e292522/mcpauth/internal/fetch"
	"github.com/seed-1e292522/mcpauth/internal/foreign"
)

// Config says who exchanges tokens, where, and for what.
type Config struct {
	_ [0]func() // keyed literals only

	// Issuer is the authorization server that makes the users' tokens and exchanges them, byte-equal to
	// the URL of a mcpauth.Issuer with AllowTokenExchange. For a second one make a second [Exchanger].
	Issuer string

	// TokenURL is its token endpoint. Default: token_endpoint of the issuer's metadata.
	TokenURL string

	// Client is this server's own registration there: a confidential client.
	Client clientauth.Method

	// Targets are the APIs that are called, by names of your own.
	Targets map[string]Target

	// AllowInsecureLoopback accepts plain http on this machine, for development.
	AllowInsecureLoopback bool

	// Transport makes the connections to the token endpoint and, of [Exchanger.Client], to the targets.
	// Default: one without a proxy that connects to a private address only where TokenURL or
	// mcpauth.Issuer.AllowPrivate says so, and [http.DefaultTransport] for the targets.
	Transport http.RoundTripper

	// Logger gets what is wrong, with its cause. Default: nothing is logged.
	Logger *slog.Logger

	// OnExchange is told of every token that was asked for, by who asks.
	OnExchange func(context.Context, Event)
}

// Grant is how a token is exchanged.
type Grant string

// The grants.
const (
	TokenExchange Grant = "urn:ietf:params:oauth:grant-type:token-exchange" // RFC 8693; the default
	EntraOBO      Grant = "urn:ietf:params:oauth:grant-type:jwt-bearer"     // Microsoft Entra, on behalf of a user
)

// Target is an API to which tokens are addressed.
type Target struct {
	_ [0]func() // keyed literals only

	Grant Grant // "": TokenExchange

	// Resource and Audience name the API, as the authorization server wants it: a URL, or a name that it
	// has given. TokenExchange sends what is set, and needs one.
	Resource, Audience string

	// Scopes are asked for. EntraOBO needs them, under the API's identifier: "api://crm/.default".
	Scopes []string

	// Audiences are the values of which aud of the token must have one. Default: Resource and Audience.
	Audiences []string

	// StepUp are the scopes that the user's token for this server must have in addition where the exchange
	// says that it has too few. Without them that is a refusal which nobody can cure.
	StepUp []string

	// URL is where [Exchanger.Client] adds the token: this origin, and this path with what is below. Default: Resource.
	URL string

	// Opaque accepts a token that is no JWT, or is not to be looked into. Nothing but its expiry is checked then.
	Opaque bool

	// SameSubject demands that sub of the token is the caller's. Not all authorization servers have one for all APIs.
	SameSubject bool

	// Actor is who acts, beside the user (RFC 8693 section 1.1): usually this server, with a token of its own. The
	// token must then name it in act.
	Actor func(context.Context) (Actor, error)

	// Consent returns a page of yours where the user can agree to what the target needs, or sign in once more. See [Exchanger.Answer].
	Consent func(context.Context, *Error) (url string, err error)
}

// Actor is the acting party.
type Actor struct {
	_ [0]func() // keyed literals only

	Token, Type string // Type "": an access token
	Subject     string // sub of act in what is issued
}

// Exchanger exchanges tokens. It is safe for concurrent use, and holds nothing that must be closed.
type Exchanger struct {
	config  Config
	targets map[string]*target
	typed   *url.URL // the token endpoint, nil if it stands in the metadata
	post    poster
	log     *slog.Logger
	told    told // of no target
	print   func(token string) [sha256.Size]byte
	memory  memory
	flights flights
}

// Format shows nothing of what is inside, and does not look at it while others use it.
func (*Exchanger) Format(to fmt.State, _ rune) { _, _ = io.WriteString(to, "onbehalf.Exchanger") }

// New checks the whole configuration. It makes no network request. The error joins all mistakes; each names
// the field, its value and the fix.
func New(config Config) (*Exchanger, error) {
	e := &Exchanger{config: config, targets: make(map[string]*target, len(config.Targets)), log: config.Logger, print: newPrint()}
	if e.log == nil {
		e.log = slog.New(slog.DiscardHandler)
	}
	e.post = newPoster(config.Transport)
	var errs []error
	fail := func(field, value, fix string) {
		errs = append(errs, fmt.Errorf("onbehalf: Config.%s = %s: %s", field, value, fix))
	}
	if e.endpointURL(config.Issuer) == nil {
		fail("Issuer", foreign.URL(config.Issuer), "required: the https URL of a mcpauth.Issuer with AllowTokenExchange, byte for byte; for http on this machine set AllowInsecureLoopback")
	}
	if config.TokenURL != "" {
		e.typed = e.endpointURL(config.TokenURL)
		if e.typed == nil {
			fail("TokenURL", foreign.URL(config.TokenURL), "write the https URL of the token endpoint, without user information and fragment")
		}
	}
	if err := config.Client.Validate(); err != nil {
		fail("Client", foreign.Quote(config.Client.ClientID()), err.Error())
	}
	if len(config.Targets) == 0 {
		fail("Targets", "empty", "name the APIs that are called")
	}
	for _, name := range slices.Sorted(maps.Keys(config.Targets)) {
		e.targets[name] = e.target(name, fail)
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return e, nil
}

// target is a [Target] made ready.
type target struct {
	Target
	name      string
	scopes    []string // sorted
	audiences []string
	base      *url.URL // where the client adds the token; nil for nowhere
	outage    outage
	told      told
}

func (e *Exchanger) target(name string, fail func(field, value, fix string)) *target {
	t := &target{Target: e.config.Targets[name], name: name}
	field := func(name string) string { return "Targets[" + foreign.Quote(t.name) + "]." + name }
	t.scopes = slices.Compact(slices.Sorted(slices.Values(t.Scopes)))
	for _, list := range []struct {
		field  string
		scopes []string
	}{{"Scopes", t.Scopes}, {"StepUp", t.StepUp}} {
		for _, scope := range list.scopes {
			if !challenge.ValidScope(scope) {
				fail(field(list.field), foreign.Quote(scope), "not a scope (RFC 6749 section 3.3): remove it")
			}
		}
	}
	t.audiences = slices.DeleteFunc(append([]string{t.Resource, t.Audience}, t.Audiences...), func(s string) bool { return s == "" })
	if len(t.Audiences) > 0 {
		t.audiences = t.Audiences
	}
	switch t.Grant {
	case "", TokenExchange:
		t.Grant = TokenExchange
		if t.Resource == "" && t.Audience == "" {
			fail(field("Resource"), `""`, "say for which API the token is meant: set Resource or Audience")
		}
	case EntraOBO:
		if len(t.Scopes) == 0 {
			fail(field("Scopes"), "empty", "EntraOBO names the API in its scopes: api://crm/.default")
		}
		if t.Audience != "" {
			fail(field("Audience"), foreign.Quote(t.Audience), "EntraOBO sends none: put what aud will be into Audiences")
		}
		if t.Actor != nil {
			fail(field("Actor"), "a function", "EntraOBO has none: remove it")
		}
	default:
		fail(field("Grant"), foreign.Quote(string(t.Grant)), "use TokenExchange or EntraOBO")
	}
	if len(t.audiences) == 0 && !t.Opaque && t.Grant == EntraOBO || slices.Contains(t.Audiences, "") {
		fail(field("Audiences"), fmt.Sprintf("%q", t.Audiences), "say what aud of the tokens is, or set Opaque")
	}
	if t.Opaque && (t.Actor != nil || t.SameSubject) {
		fail(field("Opaque"), "true", "what nobody looks into cannot be checked for Actor or SameSubject: remove one of them")
	}
	raw := t.URL
	if raw == "" && strings.Contains(t.Resource, "://") {
		raw = t.Resource
	}
	if t.base = e.endpointURL(raw); t.base == nil && t.URL != "" || t.base != nil && t.URL != "" && t.base.RawQuery != "" {
		fail(field("URL"), foreign.URL(t.URL), "write the https URL below which the API is, without query")
	}
	return t
}

// endpointURL reads a URL to which a secret may go, nil if none may.
func (e *Exchanger) endpointURL(raw string) *url.URL {
	u, err := url.Parse(raw)
	if err != nil || u.Hostname() == "" || u.User != nil || u.Fragment != "" || !fetch.HasOneReading(u.Hostname()) {
		return nil
	}
	if u.Scheme == "https" || u.Scheme == "http" && e.config.AllowInsecureLoopback && fetch.IsLoopbackHost(u.Hostname()) {
		return u
	}
	return nil
}
