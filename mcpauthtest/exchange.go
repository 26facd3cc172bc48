package mcpauthtest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"math/big"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// The grants of the token endpoint: RFC 8693, and the on-behalf-of grant of Microsoft Entra.
const (
	exchangeGrant = "urn:ietf:params:oauth:grant-type:token-exchange"
	onBehalfGrant = "urn:ietf:params:oauth:grant-type:jwt-bearer"
	assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
	typePrefix    = "urn:ietf:params:oauth:token-type:"
)

const tokenPlace = "/token"

// Exchange is what a server asks the token endpoint for: a token of another API, in the name of its caller.
type Exchange struct {
	Grant    string   // grant_type
	ClientID string   // of the server that asks
	Subject  Claims   // of its caller's token, which this issuer has signed
	Actor    Claims   // of the actor's token, nil for none
	Resource string   // which API is meant
	Audience string   // the same, by a name
	Scopes   []string // that are asked for
}

// Refusal is an error response of the token endpoint (RFC 6749 section 5.2).
type Refusal struct {
	_ [0]func() // keyed literals only

	Code    string         // error, such as "consent_required"
	Members map[string]any // further ones, such as suberror and claims
	Status  int            // default: 401 with invalid_client, 400 otherwise
}

// Error is the code.
func (r *Refusal) Error() string { return "the token endpoint refuses: " + r.Code }

// OnExchange lets a function decide about exchanges: the claims that it returns change those of the token, as with
// [Issuer.Token]; an error refuses, by [Refusal] as it says and else with "invalid_request". nil is the beginning, in which
// everything is granted that is well-formed.
//
// The token endpoint exchanges tokens of this issuer for servers that authenticate, whatever their secret or key:
// by RFC 8693, and by the on-behalf-of grant of Microsoft Entra. A token that it makes has the subject of the caller's, the
// client_id of the server, the API for aud and the scopes that were asked for, and act if there is an actor.
//
//	issuer.OnExchange(func(mcpauthtest.Exchange) (mcpauthtest.Claims, error) {
//		return nil, &mcpauthtest.Refusal{Code: "consent_required"}
//	})
func (i *Issuer) OnExchange(decide func(Exchange) (Claims, error)) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.onExchange = decide
}

// exchange answers a request to the token endpoint. It must be called without mu, because the test decides.
func (i *Issuer) exchange(a *answer, r *http.Request) {
	members, err := i.granted(r)
	if refused := (*Refusal)(nil); errors.As(err, &refused) {
		if a.status = refused.Status; a.status == 0 {
			a.status = http.StatusBadRequest
		}
		if refused.Code == "invalid_client" && refused.Status == 0 {
			a.status = http.StatusUnauthorized
			a.header.Set("WWW-Authenticate", `Basic realm="token endpoint"`)
		}
		members = map[string]any{"error": refused.Code}
		maps.Copy(members, refused.Members)
	} else if err != nil {
		a.status, members = http.StatusBadRequest, map[string]any{"error": "invalid_request"}
	}
	text, err := json.Marshal(members)
	if err != nil {
		i.tb.Errorf("mcpauthtest: the members of the refusal cannot be rendered: %v", err)
	}
	a.text = string(text)
	a.header.Set("Cache-Control", "no-store")
}

// granted are the members of a response with a token.
func (i *Issuer) granted(r *http.Request) (map[string]any, error) {
	form, err := formOf(r)
	if err != nil {
		return nil, err
	}
	x := Exchange{
		Grant: form.Get("grant_type"), Resource: form.Get("resource"), Audience: form.Get("audience"),
		Scopes: strings.Fields(form.Get("scope")), ClientID: clientOf(r, form),
	}
	if x.ClientID == "" {
		return nil, &Refusal{Code: "invalid_client"}
	}
	claims, err := i.read(&x, form)
	if err != nil {
		return nil, err
	}
	i.mu.Lock()
	decide := i.onExchange
	i.mu.Unlock()
	if decide != nil {
		changed, err := decide(x)
		if err != nil {
			return nil, err
		}
		maps.Copy(claims, changed)
	}
	members := map[string]any{"access_token": i.Token(claims), "token_type": "Bearer", "expires_in": int(tokenLifetime / time.Second)}
	if x.Grant == exchangeGrant {
		members["issued_token_type"] = typePrefix + "access_token"
	}
	if scope, isText := claims["scope"].(string); isText {
		members["scope"] = scope
	}
	return members, nil
}

// read checks what is asked by its grant, and says what claims a token for it has.
func (i *Issuer) read(x *Exchange, form url.Values) (claims Claims, err error) {
	var audiences []string
	subject := form.Get("subject_token")
	switch x.Grant {
	case exchangeGrant:
		for _, api := range []string{x.Resource, x.Audience} {
			if api != "" {
				audiences = append(audiences, api)
			}
		}
		if !slices.Contains([]string{typePrefix + "access_token", typePrefix + "jwt"}, form.Get("subject_token_type")) {
			return nil, errors.New("subject_token_type")
		}
	case onBehalfGrant:
		if form.Get("requested_token_use") != "on_behalf_of" || len(x.Scopes) == 0 {
			return nil, errors.New("requested_token_use and scope")
		}
		for _, scope := range x.Scopes {
			audiences = append(audiences, scope[:max(strings.LastIndexByte(scope, '/'), 0)])
		}
		subject = form.Get("assertion")
	default:
		return nil, &Refusal{Code: "unsupported_grant_type"}
	}
	if x.Subject = i.verified(subject); x.Subject == nil {
		if x.Grant == onBehalfGrant {
			return nil, &Refusal{Code: "invalid_grant"}
		}
		return nil, errors.New("the subject token") // RFC 8693 section 2.2.2
	}
	claims = Claims{"sub": x.Subject["sub"], "client_id": x.ClientID, "aud": slices.Compact(audiences)}
	if len(audiences) == 0 {
		claims["aud"] = nil
	}
	if len(x.Scopes) > 0 {
		claims["scope"] = strings.Join(x.Scopes, " ")
	}
	if actor := form.Get("actor_token"); actor != "" {
		if x.Actor = i.verified(actor); x.Actor == nil {
			return nil, errors.New("the actor's token")
		}
		claims["act"] = map[string]any{"sub": x.Actor["sub"]}
	}
	return claims, nil
}

// formOf reads the parameters, none of which may stand twice (RFC 6749 section 3.2).
func formOf(r *http.Request) (url.Values, error) {
	if r.Body == nil || r.Header.Get("Content-Type") != "application/x-www-form-urlencoded" {
		return nil, errors.New("no form")
	}
	text, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil {
		return nil, err
	}
	form, err := url.ParseQuery(string(text))
	for _, values := range form {
		if len(values) > 1 {
			return nil, errors.New("a parameter twice")
		}
	}
	return form, err
}

// clientOf is who has authenticated, in exactly one way; "" for nobody. Nothing is compared: there are no registrations here.
func clientOf(r *http.Request, form url.Values) string {
	var ids []string
	if id, secret, ok := r.BasicAuth(); ok && secret != "" {
		plain, _ := url.QueryUnescape(id) // RFC 6749 section 2.3.1
		ids = append(ids, plain)
	}
	if form.Get("client_secret") != "" {
		ids = append(ids, form.Get("client_id"))
	}
	if _, claims, _, ok := taken(form.Get("client_assertion")); ok && form.Get("client_assertion_type") == assertionType {
		id, _ := claims["sub"].(string)
		ids = append(ids, id)
	}
	if len(ids) != 1 {
		return ""
	}
	return ids[0]
}

// verified are the claims of a token that this issuer has signed and that has not expired, nil for another.
func (i *Issuer) verified(token string) Claims {
	header, claims, signature, ok := taken(token)
	if !ok || claims["iss"] != i.url {
		return nil
	}
	if exp, isNumber := claims["exp"].(float64); !isNumber || time.Unix(int64(exp), 0).Before(time.Now()) {
		return nil
	}
	input := []byte(token[:strings.LastIndexByte(token, '.')])
	for _, key := range i.Keys() {
		if header["alg"] == key.Alg && key.verifies(input, signature) {
			return claims
		}
	}
	return nil
}

// taken takes a compact JWS apart.
func taken(token string) (header, claims Claims, signature []byte, ok bool) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil, nil, nil, false
	}
	part := func(n int) []byte {
		decoded, err := base64.RawURLEncoding.DecodeString(parts[n])
		if err != nil {
			return nil
		}
		return decoded
	}
	if json.Unmarshal(part(0), &header) != nil || json.Unmarshal(part(1), &claims) != nil {
		return nil, nil, nil, false
	}
	return header, claims, part(2), true
}

func (k *Key) verifies(input, signature []byte) bool {
	a := algorithms[k.Alg]
	var digest []byte
	if a.hash != 0 {
		h := a.hash.New()
		h.Write(input)
		digest = h.Sum(nil)
	}
	switch public := k.Private.Public().(type) {
	case *rsa.PublicKey:
		if a.kind == "PSS" {
			return rsa.VerifyPSS(public, a.hash, digest, signature, nil) == nil
		}
		return rsa.VerifyPKCS1v15(public, a.hash, digest, signature) == nil
	case *ecdsa.PublicKey:
		half := len(signature) / 2
		return ecdsa.Verify(public, digest, new(big.Int).SetBytes(signature[:half]), new(big.Int).SetBytes(signature[half:]))
	case ed25519.PublicKey:
		return ed25519.VerifyWithOptions(public, input, signature, &ed25519.Options{Hash: crypto.Hash(0)}) == nil
	}
	return false
}
