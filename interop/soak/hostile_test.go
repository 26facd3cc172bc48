package soak

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/seed-1e292522/mcpauth/mcpauthtest"
)

// What hostile callers do.
const (
	kindExpired   = "hostile: expired"
	kindAudience  = "hostile: another audience"
	kindIssuer    = "hostile: another issuer"
	kindForged    = "hostile: forged under a published kid"
	kindUnknown   = "hostile: forged under a kid of its own"
	kindUnsigned  = "hostile: alg none"
	kindHMAC      = "hostile: HS256 with the public key"
	kindTampered  = "hostile: claims changed"
	kindType      = "hostile: not an access token"
	kindFuture    = "hostile: not yet valid"
	kindWithdrawn = "hostile: key withdrawn"
	kindMadeUp    = "hostile: opaque, made up"
	kindTaken     = "hostile: opaque, revoked"
	kindRevoked   = "hostile: JWT, revoked"
	kindUnproven  = "hostile: bound, sent as bearer"
	kindReplayed  = "hostile: bound, proof used again"
	kindOtherKey  = "hostile: bound, proof by another key"
	kindSession   = "hostile: another's session"
	kindOtherTask = "hostile: another's task"
	kindUnlisted  = "hostile: tool without a rule"
	kindScope     = "hostile: tool beyond its scopes"
	kindLyingName = "hostile: header names another tool"
	kindTwice     = "hostile: member twice"
	kindTwoTokens = "hostile: two credentials"
	kindOrigin    = "hostile: a web page of another origin"
)

// hostile are the ways of a hostile caller.
var hostile = []func(*caller){
	(*caller).expired, (*caller).wrongAudience, (*caller).wrongIssuer, (*caller).forged, (*caller).unknownKey, (*caller).unsigned, (*caller).confused,
	(*caller).tampered, (*caller).wrongType, (*caller).future, (*caller).withdrawn, (*caller).madeUp, (*caller).taken, (*caller).revokedJWT, (*caller).unproven, (*caller).replayed,
	(*caller).otherKey, (*caller).otherSession, (*caller).otherTask, (*caller).unlisted, (*caller).beyond, (*caller).lyingName, (*caller).memberTwice,
	(*caller).twoTokens, (*caller).otherOrigin,
}

// with is a token that is good but for some claims and members of its header, for which it is refused.
func (c *caller) with(path string, claims, header map[string]any, reasons ...string) facts {
	return c.as.mint(c.balancer.url+path, facts{kind: jwt, sub: c.sub, client: c.client, scopes: []string{"mcp:read"}, exp: time.Now().Add(c.life()),
		claims: claims, header: header, wrong: reasons})
}

func (c *caller) attempt(kind, path string, f facts) { c.send(c.calls(kind, path, "echo", f)) }

func (c *caller) expired() {
	path := c.path()
	c.attempt(kindExpired, path, c.with(path, map[string]any{"iat": time.Now().Add(-time.Hour).Unix(), "exp": time.Now().Add(-time.Minute).Unix()}, nil, "expired"))
}

func (c *caller) wrongAudience() {
	path := c.path()
	c.attempt(kindAudience, path, c.with(path, map[string]any{"aud": c.balancer.url + "/other"}, nil, "audience"))
}

func (c *caller) wrongIssuer() {
	path := c.path()
	c.attempt(kindIssuer, path, c.with(path, map[string]any{"iss": c.as.url + "/"}, nil, "issuer"))
}

func (c *caller) wrongType() {
	path := c.path()
	c.attempt(kindType, path, c.with(path, nil, map[string]any{"typ": "dpop+jwt"}, "token_type"))
}

func (c *caller) future() {
	path := c.path()
	c.attempt(kindFuture, path, c.with(path, map[string]any{"nbf": time.Now().Add(time.Minute).Unix()}, nil, "not_yet_valid"))
}

// withdrawn has a token that lives for longer than its key is published.
func (c *caller) withdrawn() {
	path := c.path()
	name := "withdrawn" + path
	f, ok := c.tokens[name]
	if !ok || time.Now().After(f.exp.Add(-time.Minute)) {
		f = c.fresh(path, jwt, 5*time.Minute)
		c.tokens[name] = f
	}
	c.attempt(kindWithdrawn, path, f)
}

// forgery is a token with good claims, by a key that was never published.
func (c *caller) forgery(path string, kid string) facts {
	f := c.with(path, nil, nil)
	parts := strings.Split(f.text, ".")
	claims, _ := base64.RawURLEncoding.DecodeString(parts[1])
	header := map[string]any{"alg": "ES256", "typ": "at+jwt", "kid": kid}
	f.text, f.forged = c.key.Sign(text(header), string(claims)), true
	return f
}

func (c *caller) forged() {
	path := c.path()
	c.attempt(kindForged, path, c.forgery(path, c.as.signer().key.ID))
}

func (c *caller) unknownKey() {
	path := c.path()
	c.attempt(kindUnknown, path, c.forgery(path, "x"+rand.Text()))
}

// resigned is a good token with another header and a signature of the sender's making.
func (c *caller) resigned(path string, header map[string]any, sign func(input string) []byte) facts {
	f := c.with(path, nil, nil, "algorithm", "malformed_token")
	encode := base64.RawURLEncoding.EncodeToString
	input := encode([]byte(text(header))) + "." + strings.Split(f.text, ".")[1]
	f.text = input + "." + encode(sign(input))
	return f
}

func (c *caller) unsigned() {
	path := c.path()
	c.attempt(kindUnsigned, path, c.resigned(path, map[string]any{"alg": "none", "typ": "at+jwt", "kid": c.as.signer().key.ID}, func(string) []byte { return nil }))
}

func (c *caller) confused() {
	path := c.path()
	key := c.as.signer().key
	c.attempt(kindHMAC, path, c.resigned(path, map[string]any{"alg": "HS256", "typ": "at+jwt", "kid": key.ID}, func(input string) []byte {
		h := hmac.New(sha256.New, key.PEM())
		h.Write([]byte(input))
		return h.Sum(nil)
	}))
}

// tampered has more scopes than it was given.
func (c *caller) tampered() {
	path := c.path()
	f := c.with(path, nil, nil)
	parts := strings.Split(f.text, ".")
	decoded, _ := base64.RawURLEncoding.DecodeString(parts[1])
	var claims map[string]any
	_ = json.Unmarshal(decoded, &claims)
	claims["scope"] = "mcp:read mcp:admin"
	parts[1] = base64.RawURLEncoding.EncodeToString([]byte(text(claims)))
	f.text, f.forged, f.scopes = strings.Join(parts, "."), true, []string{"mcp:read", "mcp:admin"}
	c.send(c.calls(kindTampered, path, "admin", f))
}

func (c *caller) madeUp() {
	path := c.path()
	c.attempt(kindMadeUp, path, facts{kind: opaque, text: "soak_" + rand.Text(), exp: time.Now().Add(time.Hour), sub: c.sub})
}

// taken uses an opaque token before and after it is revoked: what was known of it counts for a minute.
func (c *caller) taken() {
	path := c.path()
	f := c.fresh(path, opaque, 90*time.Second)
	if c.rand.IntN(2) == 0 {
		c.attempt(kindTaken, path, f)
	}
	c.as.revoke(f.text)
	c.attempt(kindTaken, path, f)
	c.attempt(kindTaken, path, f)
}

func (c *caller) revokedJWT() {
	path := c.path()
	f := c.fresh(path, jwt, c.life())
	c.attempt(kindRevoked, path, f)
	c.revoke(&f)
	for range len(c.replicas) {
		c.attempt(kindRevoked, path, f)
	}
}

func (c *caller) unproven() {
	path := c.path()
	q := c.calls(kindUnproven, path, "echo", c.boundToken(path))
	q.proof, q.next = "none", func(string, window) outcomes { return only("sender_constrained") }
	c.send(q)
}

func (c *caller) otherKey() {
	path := c.path()
	f := c.boundToken(path)
	q := c.calls(kindOtherKey, path, "echo", f)
	q.proof = mcpauthtest.NewKey("soak-thief", "ES256").Proof(http.MethodPost, f.resource, f.text, nil)
	q.next = func(string, window) outcomes { return only("invalid_dpop_proof") }
	c.send(q)
}

// replayed uses a proof again and again. It counts once, or, while the store is away in which the replicas remember it together, once at each.
func (c *caller) replayed() {
	path := c.path()
	f := c.boundToken(path)
	q := c.calls(kindReplayed, path, "echo", f)
	q.proof = f.key.Proof(http.MethodPost, f.resource, f.text, nil)
	used, begun, doubtful := map[string]bool{}, time.Now(), false
	q.next = func(at string, w window) outcomes {
		switch {
		case used[at] || len(used) > 0 && !c.store.mayBeDown(window{begun, w.answered}):
			return only("invalid_dpop_proof")
		case len(used) > 0 || doubtful:
			return only(served, "invalid_dpop_proof")
		}
		return only(served)
	}
	for range len(c.replicas) + 1 {
		answer := c.send(q)
		switch answer.status {
		case http.StatusOK:
			used[answer.at] = true
		case http.StatusServiceUnavailable: // for what is asked after the proof, perhaps: a client makes another one anyway
			doubtful = true
		}
	}
}

// prey is something of somebody else's.
func (c *caller) prey(suits func(victim) bool) (victim, bool) {
	select {
	case v := <-c.victims:
		return v, v.owner != c.sub && suits(v)
	default:
		return victim{}, false
	}
}

func (c *caller) otherSession() {
	v, ok := c.prey(func(v victim) bool { return v.session != "" })
	if !ok {
		return
	}
	q := c.calls(kindSession, "/mcpgo", "echo", c.token("/mcpgo", jwt))
	q.version, q.session = legacy, v.session
	q.next = func(string, window) outcomes { return only("unknown_session") }
	c.send(q)
}

func (c *caller) otherTask() {
	v, ok := c.prey(func(v victim) bool { return v.task != "" })
	if !ok {
		return
	}
	f := c.token("/mcpgo", jwt)
	session := c.session(f)
	if session == "" {
		return
	}
	for _, method := range []string{"tasks/get", "tasks/result", "tasks/cancel"} {
		q := c.taskRequest(kindOtherTask, method, f, session, v.task)
		q.next = func(_ string, w window) outcomes {
			if c.store.mayBeDown(w) {
				return only("unknown_task", unavailable)
			}
			return only("unknown_task")
		}
		c.send(q)
	}
	c.end(session)
}

func (c *caller) unlisted() {
	path := c.path()
	c.send(c.calls(kindUnlisted, path, "unlisted", c.token(path, jwt)))
}

func (c *caller) beyond() {
	path := c.path()
	c.send(c.calls(kindScope, path, "admin", c.token(path, opaque)))
}

func (c *caller) lyingName() {
	path := c.path()
	q := c.calls(kindLyingName, path, "admin", c.token(path, jwt))
	q.header = http.Header{"Mcp-Name": {"echo"}}
	q.next = func(string, window) outcomes { return only("header_mismatch") }
	c.send(q)
}

func (c *caller) memberTwice() {
	path := c.path()
	q := c.calls(kindTwice, path, "echo", c.token(path, jwt))
	q.message, q.version = nil, legacy
	q.raw = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","name":"admin","arguments":{}}}`
	q.next = func(string, window) outcomes { return only("invalid_request", "unreadable_body") }
	c.send(q)
}

func (c *caller) twoTokens() {
	path := c.path()
	f := c.token(path, jwt)
	q := c.calls(kindTwoTokens, path+"?access_token="+url.QueryEscape(f.text), "echo", f)
	q.all = only("many_credentials")
	c.send(q)
}

func (c *caller) otherOrigin() {
	path := c.path()
	q := c.calls(kindOrigin, path, "echo", c.token(path, jwt))
	q.header = http.Header{"Origin": {"https://evil.example"}}
	q.all = only("origin")
	c.send(q)
}
