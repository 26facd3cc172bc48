package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/internal/explain"
)

// examineToken goes through the token claim by claim, and then asks the
// middleware itself. The token's text is never shown; of its claims only those
// that decide are.
func (d *doctor) examineToken(ctx context.Context) {
	before := d.Faults
	header, claims, ok := d.decode()
	if ok && d.auth != nil {
		issuer := d.claimIssuer(claims)
		d.headerMembers(header, issuer)
		d.claimKey(header, claims)
		d.claimAudience(claims, issuer)
		d.claimTimes(claims, issuer)
		d.claimIdentity(header, claims, issuer)
	}
	switch {
	case d.auth == nil:
	case d.broken == len(d.file.Issuers):
		d.step(stateSkipped, "the signature is not checked: there are no keys", "")
	default:
		d.verdict(ctx, header, claims, d.Faults > before)
	}
}

// decode takes the token apart without believing anything in it.
func (d *doctor) decode() (header, claims map[string]any, ok bool) {
	parts := strings.Split(d.token, ".")
	if len(parts) != 3 || strings.ContainsAny(d.token, "\"' ") {
		d.found("", explain.Compact(d.token))
		return nil, nil, false
	}
	for i, into := range []*map[string]any{&header, &claims} {
		text, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil || json.Unmarshal(text, into) != nil {
			d.found("", explain.Compact(d.token))
			return nil, nil, false
		}
	}
	d.ok("the token is a signed JWT", fmt.Sprintf("%d bytes; its claims: %s", len(d.token), strings.Join(sortedKeys(claims), ", ")))
	return header, claims, true
}

func text(m map[string]any, name string) string {
	s, _ := m[name].(string)
	return s
}

// headerMembers looks at alg and typ.
func (d *doctor) headerMembers(header map[string]any, issuer *fileIssuer) {
	alg := text(header, "alg")
	safe := []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519"}
	if issuer != nil && len(issuer.Algorithms) > 0 {
		safe = issuer.Algorithms
	}
	if slices.Contains(safe, alg) {
		d.ok("alg is "+alg, "")
	} else {
		f := explain.Algorithm(alg)
		f.Detail += ", expected one of " + strings.Join(safe, ", ")
		d.found("alg", f)
	}
	typ, accepted := strings.TrimPrefix(strings.ToLower(text(header, "typ")), "application/"), []string{"at+jwt", "jwt", ""}
	if issuer != nil && len(issuer.TokenTypes) > 0 {
		accepted = issuer.TokenTypes
	}
	if !slices.ContainsFunc(accepted, func(one string) bool { return strings.EqualFold(one, typ) }) {
		d.fault("token-type", "typ: "+explain.Finding{Cause: "token-type"}.Means(), fmt.Sprintf("typ is %q, expected one of %q", text(header, "typ"), accepted), "")
	}
}

// claimIssuer returns what the file says about the token's issuer, nil if it is not configured.
func (d *doctor) claimIssuer(claims map[string]any) *fileIssuer {
	iss, given := claims["iss"].(string)
	var urls []string
	for i := range d.file.Issuers {
		if d.file.Issuers[i].URL == iss {
			d.ok("iss is "+iss, "")
			return &d.file.Issuers[i]
		}
		urls = append(urls, d.file.Issuers[i].URL)
	}
	if !given {
		d.fault("issuer-missing", "", "", "")
	} else {
		d.found("iss", explain.Issuer(iss, urls))
	}
	return nil
}

// claimKey looks the token's key up among those that the middleware has fetched.
func (d *doctor) claimKey(header, claims map[string]any) {
	for _, status := range d.auth.Issuers() {
		if status.URL != text(claims, "iss") {
			continue
		}
		kid := text(header, "kid")
		set := explain.KeySet{Kids: status.Keys, Skipped: skippedKeys(status.Skipped), Failed: d.keyErr}
		switch {
		case set.Failed == "" && slices.Contains(status.Keys, kid):
			d.ok("kid "+kid+" is in the key set", "")
		case set.Failed == "" && kid == "" && len(status.Keys) > 0:
			d.ok("the token names no key: those that fit are tried", "")
		case set.Failed != "" || status.Ready:
			d.found("kid", explain.Key(kid, text(header, "alg"), set))
		}
	}
}

// list reads a string or a list of strings.
func list(value any) []string {
	switch v := value.(type) {
	case string:
		return []string{v}
	case []any:
		var all []string
		for _, one := range v {
			if s, ok := one.(string); ok {
				all = append(all, s)
			}
		}
		return all
	}
	return nil
}

func (d *doctor) claimAudience(claims map[string]any, issuer *fileIssuer) {
	aud, accepted := list(claims["aud"]), []string{d.file.Resource}
	if issuer != nil && len(issuer.Audiences) > 0 {
		accepted = issuer.Audiences
	}
	if issuer != nil && issuer.Claims.Audience != "" && claims["aud"] == nil {
		d.ok("the audience is read from "+issuer.Claims.Audience, "")
		return
	}
	for _, one := range aud {
		if slices.Contains(accepted, one) {
			d.ok("aud has "+one, "")
			return
		}
	}
	client := text(claims, "client_id")
	for _, name := range []string{"azp", "cid", "appid"} {
		if client == "" {
			client = text(claims, name)
		}
	}
	d.found("aud", explain.Audience(aud, d.file.Resource, client, text(claims, "iss")))
}

// moment reads a NumericDate; ok is false when it is there and no number.
func moment(claims map[string]any, name string) (at time.Time, ok bool) {
	value, given := claims[name]
	seconds, number := value.(float64)
	if !given {
		return time.Time{}, true
	}
	return time.Unix(int64(seconds), 0), number
}

func (d *doctor) claimTimes(claims map[string]any, issuer *fileIssuer) {
	now, leeway := time.Now(), time.Duration(d.file.Leeway)
	if leeway == 0 {
		leeway = 30 * time.Second
	}
	exp, expOK := moment(claims, "exp")
	iat, iatOK := moment(claims, "iat")
	nbf, nbfOK := moment(claims, "nbf")
	switch {
	case exp.IsZero() || !expOK || !iatOK || !nbfOK:
		d.fault("claim-missing", "", "exp is needed, and exp, iat and nbf are numbers of seconds", "")
	case now.Add(leeway).Before(iat) || now.Add(leeway).Before(nbf):
		d.found("iat and nbf", explain.Future(iat, nbf, now))
	case !now.Before(exp.Add(leeway)):
		d.found("exp", explain.Expired(iat, exp, now))
	case issuer != nil && issuer.MaxLifetime > 0 && exp.Sub(iat) > time.Duration(issuer.MaxLifetime):
		d.fault("lifetime", "", fmt.Sprintf("the token lives for %v, at most %v are accepted", exp.Sub(iat), time.Duration(issuer.MaxLifetime)), "")
	default:
		d.ok("the token is valid now", "for another "+exp.Sub(now).Round(time.Minute).String())
	}
}

func (d *doctor) claimIdentity(header, claims map[string]any, issuer *fileIssuer) {
	if text(claims, "sub") == "" && (issuer == nil || !issuer.AllowMissingSubject) {
		d.fault("subject", "", "sub is missing", "")
	}
	if claims["cnf"] != nil {
		d.fault("sender-constrained", "", "cnf is there", "")
	}
	at := strings.EqualFold(strings.TrimPrefix(strings.ToLower(text(header, "typ")), "application/"), "at+jwt")
	for _, name := range []string{"token_use", "typ"} {
		if !at && strings.EqualFold(text(claims, name), "id") {
			d.fault("token-id", "", name+" says so", "")
			return
		}
	}
	if at || issuer != nil && issuer.AllowIDTokenClaims {
		return
	}
	var telling []string
	for _, name := range []string{"nonce", "at_hash", "c_hash", "s_hash", "events"} {
		if claims[name] != nil {
			telling = append(telling, name)
		}
	}
	if telling != nil {
		d.fault("token-id", "", "it has "+strings.Join(telling, ", "), "")
	}
}

// verdict asks the middleware itself. What it refuses and nothing above has
// explained is a fault of its own.
func (d *doctor) verdict(ctx context.Context, header, claims map[string]any, explained bool) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, d.resource, nil)
	if err != nil {
		d.fault("", "the request cannot be made", err.Error(), "")
		return
	}
	r.Header.Set("Authorization", "Bearer "+d.token)
	p, err := d.auth.Authenticate(r)
	if err == nil {
		d.ok("this resource server accepts the token", "the caller is "+p.Subject+" of "+p.Issuer)
		d.opens(ctx, p, claims)
		return
	}
	reason := strings.TrimPrefix(err.Error(), "mcpauth: ")
	if explained {
		d.step(stateNote, "this resource server refuses the token", reason)
		return
	}
	if errors.Is(err, mcpauth.ErrUnknownKey) {
		for _, status := range d.auth.Issuers() {
			if status.URL == text(claims, "iss") {
				d.found("", explain.Key(text(header, "kid"), text(header, "alg"), explain.KeySet{Kids: status.Keys, Skipped: skippedKeys(status.Skipped)}))
				return
			}
		}
	}
	if errors.Is(err, mcpauth.ErrUnavailable) && d.Faults > 0 {
		d.step(stateNote, "the token cannot be checked now", reason)
		return
	}
	d.fault(causeOf(err), "this resource server refuses the token", reason, "")
}

// causeOf names the usual cause of a refusal that nothing in the token has explained.
func causeOf(err error) string {
	for _, known := range []struct {
		reason mcpauth.Reason
		cause  string
	}{
		{mcpauth.ErrSignature, "signature"}, {mcpauth.ErrForbidden, "required-claim"}, {mcpauth.ErrTokenType, "token-id"},
		{mcpauth.ErrTokenTooComplex, "token-size"}, {mcpauth.ErrMalformedToken, "token-malformed"}, {mcpauth.ErrClaims, "claim-missing"},
		{mcpauth.ErrAlgorithm, "algorithm"},
	} {
		if errors.Is(err, known.reason) {
			return known.cause
		}
	}
	return ""
}

// skippedKeys takes "kid: why" apart.
func skippedKeys(all []string) (keys []explain.Skipped) {
	for _, one := range all {
		kid, why, _ := strings.Cut(one, ": ")
		keys = append(keys, explain.Skipped{Kid: kid, Why: why})
	}
	return keys
}
