package mcpauth

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/seed-1e292522/mcpauth/internal/identity"
	"github.com/seed-1e292522/mcpauth/internal/owned"
	"github.com/seed-1e292522/mcpauth/internal/token"
)

// Principal is the verified caller of a request: what its access token says,
// and nothing of the token itself.
type Principal struct {
	Issuer  string // iss, byte-equal to the configured [Issuer] URL
	Subject string // sub; "client:" and the client id for issuers that omit it
	// Client tells that the token was issued to the client itself and not on
	// behalf of a user (client credentials grant): sub is the client id.
	// A user and a client with the same Subject are two principals.
	Client   bool
	ClientID string // client_id, azp, cid, appid or what ClaimMap.ClientID names; "" for none

	Scopes    []string // without duplicates, in the order of the token
	Audiences []string // aud

	Expiry   time.Time // exp
	IssuedAt time.Time // iat; zero if absent
	AuthTime time.Time // auth_time; zero if absent
	TokenID  string    // jti; "" if absent
	ACR      string    // acr; "" if absent
	AMR      []string  // amr
	Actors   []string  // sub of act, act.act, ... (RFC 8693 section 4.1), at most four; for audit, never for decisions

	claims string // the verified payload, in memory of its own: nothing here leads to the token
}

// HasScope reports whether the token itself carries the scope. It knows no
// hierarchy; [Middleware.Authorize] does.
func (p *Principal) HasScope(scope string) bool { return slices.Contains(p.Scopes, scope) }

// Claims decodes the verified claims into v, as encoding/json does, with
// numbers in an any kept as [json.Number].
func (p *Principal) Claims(v any) error {
	d := json.NewDecoder(strings.NewReader(p.claims))
	d.UseNumber()
	return d.Decode(v)
}

// FromContext returns the caller of the request whose context this is: a copy
// of its own for each call. It reports false where no [Middleware] has verified one.
func FromContext(ctx context.Context) (*Principal, bool) {
	p, _ := identity.FromContext(ctx).(*Principal)
	return p.clone(), p != nil
}

// Key returns a short name of the principal that is equal for all its tokens
// and differs between issuers, and between a user and a client of the same
// subject: for handlers that keep state and must not mix it up.
func (p *Principal) Key() string { return p.caller().PrincipalKey() }

// caller is whose everything is that the principal begins by this client.
func (p *Principal) caller() owned.Caller {
	return owned.Caller{Issuer: p.Issuer, Subject: p.Subject, Client: p.Client, ClientID: p.ClientID}
}

// take fills in what a token of an issuer says.
func (p *Principal) take(issuer string, f *token.Facts) {
	*p = Principal{
		Issuer: issuer, Subject: f.Subject, Client: f.Client, ClientID: f.ClientID,
		Scopes: f.Scopes, Audiences: f.Audiences,
		Expiry: f.Expiry, IssuedAt: f.IssuedAt, AuthTime: f.AuthTime,
		TokenID: f.ID, ACR: f.ACR, AMR: f.AMR, Actors: f.Actors,
		claims: f.Text,
	}
}

// clone returns a copy that its receiver may change.
func (p *Principal) clone() *Principal {
	if p == nil {
		return nil
	}
	c := *p
	c.Scopes = slices.Clone(p.Scopes)
	c.Audiences = slices.Clone(p.Audiences)
	c.AMR = slices.Clone(p.AMR)
	c.Actors = slices.Clone(p.Actors)
	return &c
}
