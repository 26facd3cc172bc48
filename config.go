package mcpauth

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"net/http"
	"reflect"
	"slices"
	"time"

	"github.com/seed-1e292522/mcpauth/internal/dpop"
	"github.com/seed-1e292522/mcpauth/internal/edition"
	"github.com/seed-1e292522/mcpauth/internal/owned"
	"github.com/seed-1e292522/mcpauth/internal/seal"
	"github.com/seed-1e292522/mcpauth/internal/shared"
)

// Config describes a resource server. Resource, Issuers and Policy are needed;
// the zero value of everything else is the safe choice. [New] reports every mistake at once.
type Config struct {
	_ [0]func() // keyed literals only

	// Resource is the canonical URI of the MCP endpoint, byte-equal to the URL
	// that clients dial (RFC 9728 section 1.2). Tokens must name it in aud.
	Resource string

	// Issuers are the authorization servers whose tokens are accepted.
	Issuers []Issuer

	// Policy says what each call requires, usually [Rules]. Nil refuses every
	// tool, prompt and resource.
	Policy Policy

	// Scopes are what a client should ask for to begin with: they stand in the
	// metadata (scopes_supported) and in every 401. No call is required to
	// have them by standing here.
	Scopes []string

	// Implies maps a scope to the narrower ones that it includes, transitively.
	// It is used to decide, and never widens a challenge.
	Implies map[string][]string

	// AllowedOrigins are the browser origins ("https://app.example.com") whose
	// scripts may call, beside the resource's own. Any other request with an Origin
	// header is refused, whoever sends it.
	AllowedOrigins []string

	// Metadata are further members of the protected resource metadata, such as
	// resource_name or resource_documentation (RFC 9728 section 2).
	Metadata map[string]any

	// Leeway is how far clocks may differ, up to 5 minutes. Default: 30 seconds.
	Leeway time.Duration

	// MaxBody bounds the body of a request, in bytes, from 1 KiB up to 64 MiB, which is what one
	// caller may have under way. For servers behind that take larger messages. Default: 4 MiB.
	MaxBody int64

	// AllowInsecureLoopback accepts http:// for Resource and issuers on
	// localhost and loopback addresses, and, if Resource is there, all browser origins
	// there. For development.
	AllowInsecureLoopback bool

	// Revoked is asked about each token that is good otherwise, for each request, and
	// every minute about what lasts, such as an event stream. It has five seconds, as its
	// context says, and is not waited for any longer. An error, or no answer, is 503; what
	// lasts goes on in spite of it, for five minutes after the last good answer.
	Revoked func(context.Context, *Principal) (bool, error)

	// LegacyASMetadata helps clients of 2025-03-26, which take the resource's
	// origin for the authorization server: its metadata is served there too,
	// word for word, and /authorize redirects to it. Newer clients refuse such
	// a document, because its issuer is not the origin; they never ask for it.
	LegacyASMetadata bool

	// SessionKey is the secret, 32 bytes or more, with which session ids and the cursors of
	// lists are bound to their principals and clients. DPoP nonces, entries in the Store and the
	// fingerprints of records are made with it, too. Replicas that serve the same sessions, or
	// lists in pages, share one. Default: a random key of this [Middleware].
	SessionKey []byte

	// OldSessionKeys are further keys whose sessions, cursors and entries in the Store are good, so that a new SessionKey ends
	// none: give the new key to all replicas here first, then make it their SessionKey with the one before here, and take
	// that away when nothing of it is left. At most eight.
	OldSessionKeys [][]byte

	// Store is where replicas remember together who began which task, for a week, and which DPoP proofs were used, for 5
	// minutes. It needs a SessionKey. Package redisstore has one on Redis. Default: the memory of this process.
	Store Store

	// DelegateTasks leaves it to the handler to keep the tasks of different
	// principals apart, by [Principal.Key]. By default the middleware
	// remembers who began a task, in memory or in the Store.
	DelegateTasks bool

	// Transport makes the requests to authorization servers. Limits on size
	// and time hold for it and redirects are refused, but the guard against
	// private addresses sees only literal ones. Default: a transport of its own, without proxy.
	Transport http.RoundTripper

	// Logger receives one line per refusal, with what was got and expected, the
	// likely cause and its fix, and per issuer a line when its keys first serve
	// and whenever they cannot be fetched. Default: nothing is logged.
	Logger *slog.Logger

	// OnDecision receives one record for each request to the endpoint, before it
	// is served or refused, and also if it ends in a panic. The context is the
	// request's. It must not block; package auditlog has sinks and a queue. A panic in it is
	// logged and changes nothing; [Decision.Refuse] does.
	OnDecision func(context.Context, Decision)

	// OnServed receives what the handler has answered, once for each request that it was called
	// for, when it has returned: of a stream, at its end. It is as bound as OnDecision.
	OnServed func(context.Context, Served)
}

const (
	defaultLeeway = 30 * time.Second
	maxLeeway     = 5 * time.Minute
)

// notCompared are fields of a Config that are no part of its fingerprint: of the program, a secret, or told piece by piece.
var notCompared = []string{"Issuers", "Policy", "SessionKey", "OldSessionKeys", "Store", "Transport", "Logger", "OnDecision", "OnServed"}

// edition names the parts of the configuration, and makes its fingerprint.
func (b *builder) edition() {
	fields := map[string]edition.Digest{}
	config := reflect.ValueOf(b.config).Elem()
	for i := range config.NumField() {
		field := config.Type().Field(i)
		if field.IsExported() && !slices.Contains(notCompared, field.Name) {
			fields[field.Name] = edition.Of(config.Field(i).Interface())
		}
	}
	var urls []string
	for i := range b.config.Issuers {
		one := &b.config.Issuers[i]
		urls = append(urls, one.URL)
		fields[partOf(one.URL)] = edition.Of(one)
	}
	fields["Issuers"] = edition.Of(urls) // in this order
	if book, declared := b.g.policy.policy.(*ruleBook); declared {
		for kind, set := range map[Kind]*ruleSet{KindTool: &book.tools, KindPrompt: &book.prompts, KindResource: &book.resources} {
			for i, key := range set.keys {
				fields[fmt.Sprintf("%ss[%q]", kind, key)] = edition.Of(set.needs[i])
			}
		}
		for method, need := range book.methods {
			fields[fmt.Sprintf("methods[%q]", method)] = edition.Of(need)
		}
	}
	if _, declared := b.g.policy.policy.(*ruleBook); !declared || b.g.policy.adds != nil {
		fields["Policy"] = edition.Of(fmt.Sprintf("%T", b.config.Policy)) // code
	}
	b.g.edition = edition.New(b.before.edition.Number+1, fields)
}

// partOf names an issuer among the parts.
func partOf(issuer string) string { return fmt.Sprintf("issuers[%q]", issuer) }

func (b *builder) fixed() {
	c := b.config
	b.g.fixed = fixed{
		resource: c.Resource, keys: edition.OfAll(append([][]byte{c.SessionKey}, c.OldSessionKeys...)), store: c.Store, loopback: c.AllowInsecureLoopback, transport: c.Transport,
		onDecision: reflect.ValueOf(c.OnDecision).Pointer(), onServed: reflect.ValueOf(c.OnServed).Pointer(),
	}
}

// maxOldKeys bounds the keys of which each session may be.
const maxOldKeys = 8

// replicas checks what replicas share.
func (b *builder) replicas() {
	c := b.config
	b.sessionKey("SessionKey", c.SessionKey, c.SessionKey == nil)
	for i, key := range c.OldSessionKeys {
		b.sessionKey(fmt.Sprintf("OldSessionKeys[%d]", i), key, false)
	}
	switch {
	case len(c.OldSessionKeys) > maxOldKeys:
		b.fail("OldSessionKeys", fmt.Sprintf("%d keys", len(c.OldSessionKeys)), "at most 8: what was begun under older ones is over")
	case len(c.OldSessionKeys) > 0 && c.SessionKey == nil:
		b.fail("OldSessionKeys", fmt.Sprintf("%d keys", len(c.OldSessionKeys)), "there is no SessionKey: give the one that is in use")
	}
	switch {
	case c.Store == nil:
	case isNilInside(c.Store):
		b.fail("Store", fmt.Sprintf("a nil %T", c.Store), "it would fail at the first task: give a store, or leave the field out")
	case c.SessionKey == nil:
		b.fail("Store", fmt.Sprintf("a %T", c.Store), "needs a SessionKey, the same in every replica: what is stored is named and sealed with it")
	}
}

func (b *builder) sessionKey(field string, key []byte, isDefault bool) {
	switch {
	case isDefault:
	case len(key) < 32:
		b.fail(field, fmt.Sprintf("%d bytes", len(key)), "must be 32 random bytes or more, the same in every replica")
	case bytes.Count(key, key[:1]) == len(key):
		b.fail(field, fmt.Sprintf("%d equal bytes", len(key)), "a buffer that nothing was written to, or a key that anybody can guess: fill it once from crypto/rand, and give the same to every replica")
	}
}

// belongings makes room for what callers have.
func (b *builder) belongings() {
	if err := b.ownRoom(b.ownKeys()); err != nil {
		b.fail("SessionKey", "no cipher", err.Error())
	}
}

func (b *builder) ownRoom(keys [][32]byte) error {
	o := &b.m.owned
	o.sessions = owned.NewSessions(keys[0], keys[1:]...)
	texts := make([][]byte, len(keys))
	for i := range keys {
		texts[i] = keys[i][:]
		sealer, err := seal.New(texts[i], "cursor")
		if err != nil {
			return err
		}
		o.cursors = append(o.cursors, sealer)
	}
	var err error
	var space *shared.Space
	var common dpop.Common
	if b.config.Store != nil {
		if space, err = shared.NewSpace(shared.NewGuard(b.config.Store, b.m.operator.tellStore), texts...); err != nil {
			return err
		}
		common = func(ctx context.Context, proof string, ttl time.Duration) (bool, error) {
			return space.First(ctx, ttl, shared.Proof, proof)
		}
	}
	o.tasks.Tasks = owned.NewTasks[taskCall](space)
	o.proofs, err = dpop.New(b.url, common, texts...)
	return err
}

// ownKeys are the keys of this resource, that in use in front: an id of one resource is none of another.
func (b *builder) ownKeys() [][32]byte {
	own := make([][32]byte, 1+len(b.config.OldSessionKeys))
	if b.config.SessionKey == nil {
		_, _ = rand.Read(own[0][:])
		return own
	}
	for i, key := range append([][]byte{b.config.SessionKey}, b.config.OldSessionKeys...) {
		h := hmac.New(sha256.New, key)
		h.Write([]byte(b.config.Resource))
		h.Sum(own[i][:0])
	}
	return own
}
