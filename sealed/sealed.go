package sealed

import (
	"bytes"
	"context"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/internal/foreign"
	"github.com/seed-1e292522/mcpauth/internal/onward"
	"github.com/seed-1e292522/mcpauth/internal/seal"
)

// Bounds of a state and of the configuration.
const (
	maxState = 16 << 10 // bytes of a state, as the client has it
	maxValue = 8 << 10  // bytes of a value, as JSON
	maxTTL   = time.Hour
	maxKeys  = 8
	minKey   = 32 // bytes
)

const defaultTTL = 10 * time.Minute

// Config says how states are sealed. Fields must be named; the zero value is refused.
type Config struct {
	_ [0]func()

	// Resource is that of the [mcpauth.Config]. A state of one resource is none of another, even with the same keys.
	Resource string

	// Keys are secrets of 32 random bytes or more, the same in every replica. The first one seals, all of them open:
	// to rotate, deploy (old, new), then (new, old), then, when states of the old one have expired, (new). One may be the
	// [mcpauth.Config] SessionKey: each use has a key of its own. At most eight. A key is good
	// for 2^32 states.
	Keys [][]byte

	// Ephemeral asks for a random key in place of Keys, which this process alone has: a retry that comes to another
	// replica, or after a restart, is refused. It is for development, and a line in the log says so.
	Ephemeral bool

	// TTL is how long a state is good: 10 minutes by default, an hour at most. Users are asked meanwhile.
	TTL time.Duration

	// Logger is told why a state was not accepted, once each, without any of its content. Nil: nobody is.
	Logger *slog.Logger
}

// Sealer seals states and opens them. It is safe for concurrent use, and must not be copied.
type Sealer struct {
	keys []key
	ttl  time.Duration
	log  *slog.Logger

	told atomic.Bool // that a result of another method has a state

	resource string
	compared atomic.Bool // with the resource of a request
}

// key is what is derived from one secret.
type key struct {
	id            string // as it stands in a state
	hand, wrapper seal.Sealer
}

// New checks the configuration and returns every mistake in it, each as a *[ConfigError].
func New(config Config) (*Sealer, error) {
	var problems []error
	fail := func(field, value, reason string) { problems = append(problems, &ConfigError{field, value, reason}) }
	if u, err := url.Parse(config.Resource); err != nil || u.Host == "" {
		fail("Resource", foreign.Quote(config.Resource), "must be the Resource of the mcpauth.Config")
	}
	switch {
	case config.Ephemeral && len(config.Keys) > 0:
		fail("Ephemeral", "true", "there are Keys: leave out one of the two")
	case config.Ephemeral:
		random := make([]byte, minKey)
		_, _ = rand.Read(random)
		config.Keys = [][]byte{random}
	case len(config.Keys) == 0:
		fail("Keys", "none", "give every replica the same key of 32 random bytes; in development set Ephemeral")
	case len(config.Keys) > maxKeys:
		fail("Keys", fmt.Sprintf("%d keys", len(config.Keys)), "at most 8: leave out those whose states have expired")
	}
	for i, secret := range config.Keys {
		if reason := badKey(secret, config.Keys[:i]); reason != "" {
			fail(fmt.Sprintf("Keys[%d]", i), fmt.Sprintf("%d bytes", len(secret)), reason)
		}
	}
	if config.TTL < 0 || config.TTL > maxTTL {
		fail("TTL", config.TTL.String(), "must be an hour at most, or 0 for 10 minutes")
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	return compile(config)
}

func badKey(secret []byte, before [][]byte) string {
	switch {
	case len(secret) < minKey:
		return "must be 32 random bytes or more"
	case bytes.Count(secret, secret[:1]) == len(secret):
		return "equal bytes: a buffer that nothing was written to, or a key that anybody can guess; fill it from crypto/rand"
	}
	for _, other := range before {
		if bytes.Equal(secret, other) {
			return "the same key stands in front of it: leave one out"
		}
	}
	return ""
}

func compile(config Config) (*Sealer, error) {
	s := &Sealer{ttl: config.TTL, log: config.Logger, resource: config.Resource}
	if s.ttl == 0 {
		s.ttl = defaultTTL
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	for i, secret := range config.Keys {
		k, err := derive(secret, config.Resource)
		if err != nil {
			return nil, err
		}
		for _, other := range s.keys {
			if other.id == k.id {
				return nil, &ConfigError{fmt.Sprintf("Keys[%d]", i), "the id " + k.id, "another key has the same id: make a new one"}
			}
		}
		s.keys = append(s.keys, k)
	}
	if config.Ephemeral {
		s.log.Warn("sealed: states are sealed under a random key: a retry that comes to another replica, or after a restart, is refused",
			"fix", "give every replica the same Config.Keys")
	}
	return s, nil
}

// version begins every state. What is behind it changes with it.
const version = "v1."

// idLength is that of the id of a key, in base64url: six bytes have no bits left over.
const idLength = 8

// derive makes what is needed of a secret, for one resource.
func derive(secret []byte, resource string) (k key, err error) {
	use := func(name string) string { return "sealed " + version + name + " " + resource }
	id, err := hkdf.Key(sha256.New, secret, nil, "mcpauth "+use("id"), idLength*6/8)
	if err == nil {
		k.id = base64.RawURLEncoding.EncodeToString(id)
		k.hand, err = seal.New(secret, use("hand"))
	}
	if err == nil {
		k.wrapper, err = seal.New(secret, use("wrapper"))
	}
	return k, err
}

// form is who seals: a handler by hand, or [Sealer.Handler]. The states of the one are none of the other.
type form bool

const (
	byHand    form = false
	byWrapper form = true
)

func (k *key) sealer(f form) seal.Sealer {
	if f == byWrapper {
		return k.wrapper
	}
	return k.hand
}

// Seal returns a requestState for the call that a handler is serving, ctx being the handler's: a text from which
// [Sealer.Open] gets v back for the same call. v is written as JSON, 8 KiB at most. Its error is an *[Error].
func (s *Sealer) Seal(ctx context.Context, call mcpauth.Call, v any) (string, error) {
	value, err := json.Marshal(v)
	if err != nil {
		return "", cannot(NotJSON)
	}
	state, problem := s.seal(ctx, &call, value, byHand)
	if problem != "" {
		return "", cannot(problem)
	}
	return state, nil
}

// Open puts into v what was sealed for the call that a handler is serving. The error of a state that was sealed for
// another principal, client, method, target or arguments, has expired, or was not sealed at all, is an [ErrState],
// and an *[Error] whose Kind says which; the log says it, too. A state may be opened more than once until it expires.
func (s *Sealer) Open(ctx context.Context, call mcpauth.Call, state string, v any) error {
	value, problem := s.open(ctx, &call, state, byHand)
	if problem == "" && json.Unmarshal(value, v) != nil {
		problem = OtherType
	}
	if problem != "" {
		s.tell(ctx, problem, call.Method)
		return refuse(problem)
	}
	return nil
}

// digests is what stands in front of the value: when the state expires, and what it is bound to.
type digests struct {
	Expiry                             int64 // nanoseconds since 1970
	Principal, Client, Call, Arguments [sha256.Size]byte
}

func (s *Sealer) seal(ctx context.Context, call *mcpauth.Call, value []byte, f form) (state string, problem Kind) {
	if len(value) > maxValue {
		return "", TooLarge
	}
	b, problem := bind(ctx, call)
	if problem != "" {
		return "", problem
	}
	s.compare(ctx)
	d := digests{time.Now().Add(s.ttl).UnixNano(), b.principal, b.client, b.call, b.arguments}
	text, _ := binary.Append(nil, binary.BigEndian, &d) // it has a fixed size
	first := &s.keys[0]
	prefix := version + first.id
	return prefix + first.sealer(f).Seal(append(text, value...), []byte(prefix)), ""
}

func (s *Sealer) open(ctx context.Context, call *mcpauth.Call, state string, f form) (value []byte, problem Kind) {
	b, problem := bind(ctx, call)
	if problem != "" {
		return nil, problem
	}
	prefixed := len(version) + idLength
	if len(state) > maxState || len(state) < prefixed || !strings.HasPrefix(state, version) {
		return nil, Malformed
	}
	prefix, rest := state[:prefixed], state[prefixed:]
	k := s.named(prefix[len(version):])
	if k == nil {
		return nil, UnknownKey
	}
	text, ok := k.sealer(f).Open(rest, []byte(prefix))
	if !ok {
		return nil, Forged
	}
	var d digests
	n, _ := binary.Decode(text, binary.BigEndian, &d) // what is shorter nobody has sealed, and it is bound to nothing
	return text[n:], d.differs(&b)
}

// named finds a key by its id, which is no secret.
func (s *Sealer) named(id string) *key {
	for i := range s.keys {
		if s.keys[i].id == id {
			return &s.keys[i]
		}
	}
	return nil
}

// differs says for what else than b a state was sealed, or that its time is over.
func (d *digests) differs(b *binding) Kind {
	switch {
	case d.Principal != b.principal:
		return OtherPrincipal
	case d.Client != b.client:
		return OtherClient
	case d.Call != b.call:
		return OtherCall
	case d.Arguments != b.arguments:
		return OtherArguments
	case time.Now().UnixNano() >= d.Expiry:
		return Expired
	}
	return ""
}

// tellOnce says that a result has a state which no client brings back.
func (s *Sealer) tellOnce() {
	if s.told.CompareAndSwap(false, true) {
		s.log.Warn("sealed: a result of another method than tools/call, prompts/get and resources/read has a requestState, and passes as it is",
			"fix", "leave it out: no client sends it back, and everybody can read it")
	}
}

// tell says in the log why a state was not accepted, and of which principal: by its key, which names nobody.
func (s *Sealer) tell(ctx context.Context, problem Kind, method string) {
	s.line(ctx, slog.LevelInfo, ErrState.Error(), problem, method)
}

// tellWithheld says in the log why an answer does not go out, which is the server's own fault.
func (s *Sealer) tellWithheld(ctx context.Context, problem Kind, method string) {
	s.line(ctx, slog.LevelError, cannotSeal, problem, method)
}

func (s *Sealer) line(ctx context.Context, level slog.Level, what string, problem Kind, method string) {
	principal := ""
	if p, ok := mcpauth.FromContext(ctx); ok {
		principal = p.Key()
	}
	s.log.Log(ctx, level, "sealed: "+what, "cause", string(problem), "method", foreign.Quote(method), "principal", principal, "fix", fixes[problem])
}

// compare says once that the wrapper has another resource: states are then good for whoever else has that and the keys.
func (s *Sealer) compare(ctx context.Context) {
	if s.compared.Load() {
		return
	}
	resource := ""
	err := onward.Look(ctx, func(facts onward.Facts) { resource = facts.Resource })
	if err == nil && s.compared.CompareAndSwap(false, true) && resource != s.resource {
		s.log.Error("sealed: Config.Resource is not that of the mcpauth.Config", "resource", foreign.URL(s.resource), "wrapper", foreign.URL(resource),
			"fix", "write the same: states are good for every server with this resource and key")
	}
}
