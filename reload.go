package mcpauth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/seed-1e292522/mcpauth/internal/edition"
	"github.com/seed-1e292522/mcpauth/internal/fetch"
	"github.com/seed-1e292522/mcpauth/internal/foreign"
	"github.com/seed-1e292522/mcpauth/internal/refusal"
)

// Reload puts another configuration in force, all of it or nothing. It is checked as [New] does; the error joins one
// *[ConfigError] for each mistake, and the configuration in force so far stays. A request is judged by one
// configuration from its beginning to its end, and those that begin after Reload has returned by the new one.
//
// What is warm stays: keys and their copies, sessions, tasks, streams, and the verified tokens of each issuer whose
// [Issuer] is the same. Keys from a new place, and a new place where tokens are asked about, are looked for first, within five seconds, and without
// them nothing changes. A stream, also one that answers a call, ends when its issuer is not there any more, or not the same, or when
// rules do not allow its calls, soon after Reload has returned; what passes on it is judged by the new configuration.
//
// Resource, SessionKey, OldSessionKeys, Store, AllowInsecureLoopback and Transport cannot change, nor can code follow Rules as the
// Policy. Logger, OnDecision and OnServed stay those of New, and may be left out. A Revoked that is left out stays, too; another one counts.
//
// The source says where the configuration comes from, for the record: [Decision].Change, which OnDecision gets in any case, and
// can refuse. Reload may be called from anywhere but from there; calls wait for each other until ctx ends. A
// policy that its owner changes while it is in force is outside of all this.
func (m *Middleware) Reload(ctx context.Context, config Config, source string) error {
	if m.current.Load() == nil {
		return errors.New("mcpauth: Reload of a Middleware that New has not made")
	}
	if ctx.Value(inChange{}) != nil {
		return errors.New("mcpauth: Reload from the record of a Reload")
	}
	if err := m.standing.Take(ctx); err != nil {
		return err
	}
	defer m.standing.Leave()
	b := &builder{config: &config, m: m, before: m.generation()}
	b.keepRevoked()
	b.compile()
	if len(b.errs) == 0 {
		b.keep()
	}
	if len(b.errs) == 0 {
		b.warm(ctx)
	}
	err := edition.Placed(ctx, errors.Join(b.errs...))
	if err == nil && b.isSame() {
		b.useRenewed()
		if m.standing.Good(source, time.Now(), false) {
			m.operator.log.Info("mcpauth: the configuration can be used again, and is the one in force", "source", foreign.Line(source))
		}
		return nil
	}
	if err == nil {
		err = b.record(ctx, source)
	} else {
		m.ReloadFailed(ctx, source, err)
	}
	if err != nil {
		b.close(b.cold)
		return err
	}
	b.swap(source)
	return nil
}

// inChange is the context key that marks what is called with a [ConfigChange].
type inChange struct{}

// ReloadFailed is for a newer configuration that does not come as far as [Middleware.Reload], such as a file that cannot be
// read. It is told as Reload tells its mistakes: in a record, in the log, and in [Middleware.Health] until a Reload succeeds. The
// same of the same source is no news: it is told in the log again after five minutes.
func (m *Middleware) ReloadFailed(ctx context.Context, source string, err error) {
	if m.current.Load() != nil && m.note(source, err) {
		_ = m.operator.recordChange(context.WithValue(ctx, inChange{}, true), m.generation(), ConfigChange{Source: source, Err: err})
	}
}

// note tells the log of a configuration that cannot be used, and reports whether that is news.
func (m *Middleware) note(source string, err error) (isNew bool) {
	isNew, tell := m.standing.Bad(source, err.Error(), time.Now())
	if tell {
		m.operator.log.Error("mcpauth: a configuration cannot be used, and the one in force stays",
			"source", foreign.Line(source), "error", shownError(err))
	}
	return isNew
}

// warm has the keys fetched that come from a new place.
func (b *builder) warm(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, fetch.Timeout)
	defer cancel()
	var wg sync.WaitGroup
	errs := make([]error, len(b.cold)+len(b.asked))
	fail := func(s *issuer, field, value, reason string, denied *refusal.Refusal) error {
		at := slices.IndexFunc(b.config.Issuers, func(c Issuer) bool { return c.URL == s.url })
		return &ConfigError{Field: fmt.Sprintf("Issuers[%d].%s", at, field), Value: value, Reason: reason + ", and until then it does not count: " + denied.Error()}
	}
	for i, s := range b.cold {
		wg.Go(func() {
			if denied := s.keys.Warm(ctx); denied != nil {
				errs[i] = fail(s, "URL", shown(s.url), "its keys cannot be had", denied)
			}
		})
	}
	for i, s := range b.asked {
		wg.Go(func() {
			if denied := s.asked.Warm(ctx); denied != nil {
				errs[len(b.cold)+i] = fail(s, "Introspect.Endpoint", `""`, "the authorization server does not say where it is", denied)
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			b.errs = append(b.errs, err)
		}
	}
}

// isSame reports whether nothing has changed. Of code nobody knows.
func (b *builder) isSame() bool {
	old, now := b.before, b.g
	return now.edition.Fingerprint == old.edition.Fingerprint && slices.Equal(now.verifier.ordered, old.verifier.ordered) &&
		now.policy.isRulesAlone() && b.keeps // adds that have gone change the fingerprint
}

// code is what may have changed where nothing else has.
func (b *builder) code() (names []string) {
	if !b.g.policy.isRulesAlone() {
		names = append(names, "Policy")
	}
	if !b.keeps {
		names = append(names, "Revoked")
	}
	return names
}

// secrets adds the issuers of which nothing else has changed, and so no fingerprint tells.
func (b *builder) secrets(changed []string) []string {
	for _, s := range b.g.verifier.ordered {
		before, name := b.before.verifier.issuers[s.url], partOf(s.url)
		if before != nil && before.entry != s.entry && !slices.Contains(changed, name) {
			changed = append(changed, name)
		}
	}
	slices.Sort(changed)
	return changed
}

// record tells of the change while it can still be refused.
func (b *builder) record(ctx context.Context, source string) error {
	c := ConfigChange{Source: source, To: b.g.edition.Fingerprint}
	c.Added, c.Removed, c.Changed = b.g.edition.Changes(&b.before.edition)
	c.Changed = b.secrets(c.Changed)
	if len(c.Added)+len(c.Removed)+len(c.Changed) == 0 {
		c.Changed = b.code()
	}
	if refused := b.m.operator.recordChange(context.WithValue(ctx, inChange{}, true), b.before, c); refused != nil {
		err := fmt.Errorf("mcpauth: the change has no record: %w", refused)
		b.m.note(source, err)
		return err
	}
	b.m.operator.log.LogAttrs(ctx, slog.LevelInfo, "mcpauth: another configuration is in force",
		slog.String("source", foreign.Line(source)), slog.String("fingerprint", foreign.Line(c.To)), slog.Uint64("generation", b.g.edition.Number),
		slog.Int("added", len(c.Added)), slog.Int("removed", len(c.Removed)), slog.Int("changed", len(c.Changed)))
	return nil
}

// swap puts the generation in force. What lasts is looked at after that: who begins meanwhile looks for himself.
func (b *builder) swap(source string) {
	b.m.current.Store(b.g)
	b.useRenewed()
	b.m.standing.Good(source, time.Now(), true)
	b.tellWarnings()
	b.close(b.before.verifier.ordered)
	b.m.owned.lasts.review(b.m, b.g)
}

func (b *builder) useRenewed() {
	for _, use := range b.renewed {
		use()
	}
}

// close lets go of the keys of issuers that the generation in force does not have.
func (b *builder) close(issuers []*issuer) {
	inForce := b.m.generation().verifier.ordered
	for _, s := range issuers {
		if !slices.ContainsFunc(inForce, func(other *issuer) bool { return other.keys == s.keys }) {
			s.keys.Close()
		}
	}
}

// keepRevoked goes on asking about tokens, lest what is forgotten make revoked ones good again.
func (b *builder) keepRevoked() {
	if b.config.Revoked == nil {
		b.config.Revoked, b.keeps = b.before.verifier.revoked, true
	}
}

// keep reports what would need a restart. A hook that is left out stays.
func (b *builder) keep() {
	const restart = "cannot change while the server runs: restart it"
	old, now := &b.before.fixed, &b.g.fixed
	if now.resource != old.resource {
		b.fail("Resource", shownURL(now.resource), restart)
	}
	if now.keys != old.keys {
		b.fail("SessionKey", "another one, or other OldSessionKeys", restart)
	}
	if !isSame(now.store, old.store) {
		b.fail("Store", "another one", restart)
	}
	if now.loopback != old.loopback {
		b.fail("AllowInsecureLoopback", fmt.Sprint(now.loopback), restart)
	}
	if !isSame(now.transport, old.transport) {
		b.fail("Transport", "another one", restart)
	}
	if now.onDecision != 0 && now.onDecision != old.onDecision {
		b.fail("OnDecision", "another function", restart)
	}
	if now.onServed != 0 && now.onServed != old.onServed {
		b.fail("OnServed", "another function", restart)
	}
	now.onDecision, now.onServed = old.onDecision, old.onServed
	if b.before.policy.isDeclared() && !b.g.policy.isDeclared() {
		b.fail("Policy", fmt.Sprintf("a %T after rules", b.config.Policy), "of tasks that rules have let begin nobody remembers the arguments: restart the server")
	}
}

// isSame compares transports, or stores, of which some cannot be compared as they are.
func isSame(a, b any) bool {
	va, vb := reflect.ValueOf(a), reflect.ValueOf(b)
	switch {
	case !va.IsValid() || !vb.IsValid() || va.Type() != vb.Type():
		return va.IsValid() == vb.IsValid() && !va.IsValid()
	case va.Type().Comparable() && va.Comparable() && vb.Comparable(): // the values tell nothing of an empty array
		return a == b
	case va.Kind() == reflect.Func:
		return va.Pointer() == vb.Pointer()
	}
	return false
}
