package conformance

import (
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/seed-1e292522/mcpauth/internal/fetch"
)

// DefaultRate is how many requests per second are sent at most, unless [Target].Rate says otherwise.
const DefaultRate = 20

// ErrNotOwned refuses a target that is not on this machine and that nobody
// has called their own.
var ErrNotOwned = errors.New("the target is not on loopback: set Owned (--i-own-this-target) if it is yours to test")

// Target is the server to look at, and what is known about it. Only URL is needed.
type Target struct {
	_ [0]func() // keyed literals only

	// URL is the MCP endpoint as clients dial it, which is also the resource
	// identifier that tokens must carry in aud.
	URL string

	// Owned is the operator's word that a target outside loopback is theirs.
	Owned bool

	// Transport carries the requests. Default: connections without a proxy and
	// without redirects.
	Transport http.RoundTripper

	// Rate is the number of requests per second, [DefaultRate] if it is 0 and
	// without limit if it is negative.
	Rate int

	// Minter signs tokens that the server trusts. Nil: what needs such tokens is not run.
	Minter Minter

	// Scopes are given to the control token of the Minter, in addition to
	// those of Tools.
	Scopes []string

	// Token is a good token, for when there is no Minter.
	Token string

	// OtherToken is a good token of another person, for the checks of what two
	// people share.
	OtherToken string

	// ForeignToken is a good token of the same issuer that was made for another client or
	// another API, of any kind. The target must refuse it.
	ForeignToken string

	// Tools are harmless tools, which may be called, and the scopes that each needs.
	Tools []Tool

	// Notifier names the one of Tools that takes seconds and sends notifications
	// (progress, log messages) while it runs: what another person does meanwhile
	// must not touch it. "" if there is none. It is called some dozen times.
	Notifier string

	// Alone is the operator's word that nobody else uses the target during the
	// run. It allows a DELETE without a session: a careless server may end by it
	// what anybody has under way. A target on loopback is taken for alone.
	Alone bool

	// Origin is a browser origin that the server admits. "" if there is none.
	Origin string

	// Outage allows the suite to take the embedded issuer down for some
	// seconds at the beginning. Only [Issuer] can do that.
	Outage bool
}

// Tool is a harmless tool of the target.
type Tool struct {
	_ [0]func() // keyed literals only

	Name      string          `json:"name"`
	Scopes    []string        `json:"scopes"`              // all of them are needed
	Arguments json.RawMessage `json:"arguments,omitempty"` // a JSON object
}

// Minter signs tokens. [Signer] and [Issuer] are minters.
type Minter interface {
	// Issuer is the iss that the target trusts.
	Issuer() string
	// Key names the key that signs: its kid, its JWS algorithm, the public half.
	Key() (kid, alg string, public crypto.PublicKey)
	// Sign returns the compact JWS of exactly these two texts.
	Sign(header, claims string) (string, error)
}

// check finds the mistakes in a target, all at once.
func (t *Target) check() (*url.URL, error) {
	var errs []error
	u, err := url.Parse(t.URL)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http":
		return nil, fmt.Errorf("conformance: the URL %q is not an absolute http or https URL", t.URL)
	case u.User != nil || u.Fragment != "":
		errs = append(errs, errors.New("conformance: the URL has a user or a fragment, which no resource identifier has (RFC 9728 section 1.2)"))
	case !t.Owned && !fetch.IsLoopbackHost(u.Hostname()):
		errs = append(errs, fmt.Errorf("conformance: %s: %w", u.Host, ErrNotOwned))
	}
	for _, tool := range t.Tools {
		if tool.Name == "" {
			errs = append(errs, errors.New("conformance: a tool without a name"))
		}
		if len(tool.Arguments) > 0 && (!json.Valid(tool.Arguments) || !strings.HasPrefix(strings.TrimSpace(string(tool.Arguments)), "{")) {
			errs = append(errs, fmt.Errorf("conformance: the arguments of tool %q are not a JSON object", tool.Name))
		}
	}
	if _, found := t.notifier(); t.Notifier != "" && !found {
		errs = append(errs, fmt.Errorf("conformance: the notifier %q is not one of the tools", t.Notifier))
	}
	return u, errors.Join(errs...)
}

// notifier finds the tool that sends notifications.
func (t *Target) notifier() (Tool, bool) {
	i := slices.IndexFunc(t.Tools, func(tool Tool) bool { return tool.Name == t.Notifier })
	if t.Notifier == "" || i < 0 {
		return Tool{}, false
	}
	return t.Tools[i], true
}

// scopes are those of the control token.
func (t *Target) scopes() []string {
	var all []string
	add := func(scopes []string) {
		for _, scope := range scopes {
			all = appendNew(all, scope)
		}
	}
	add(t.Scopes)
	for _, tool := range t.Tools {
		add(tool.Scopes)
	}
	return all
}
