package auditlog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/seed-1e292522/mcpauth"
)

// Sink keeps records. It must be safe for concurrent use. When Write returns
// nil, all of the records are kept as far as the sink promises; after an error
// some of them may be, and may be written again.
type Sink interface {
	Write(records ...Record) error
}

// Options say what goes into records, and what happens if one cannot be kept.
type Options struct {
	_ [0]func() // keyed literals only

	// SubjectKey replaces subjects and actors by a keyed hash (HMAC-SHA-256 with
	// this key, 32 bytes or more). Who has the key can find a person's records, nobody else
	// can. Nil: the names themselves.
	SubjectKey []byte

	// Remote finds the client's address, for servers behind a proxy. The context
	// is the request's. Nil: the address of the peer, without port.
	Remote func(context.Context, mcpauth.Decision) string

	// FailClosed refuses a request, with 503, whose record cannot be kept. By
	// default it is served and counted in [Log.Lost].
	FailClosed bool
}

// Log hands the record of each decision to a sink.
type Log struct {
	sink       Sink
	options    Options
	elevations elevations
	lost       atomic.Uint64
}

// New makes a Log. It refuses a missing sink and a subject key of less than 32
// bytes, or of equal ones.
func New(sink Sink, options Options) (*Log, error) {
	switch {
	case sink == nil:
		return nil, errors.New("auditlog: no sink")
	case options.SubjectKey != nil && len(options.SubjectKey) < 32:
		return nil, fmt.Errorf("auditlog: SubjectKey has %d bytes, want 32 random ones or more", len(options.SubjectKey))
	case options.SubjectKey != nil && bytes.Count(options.SubjectKey, options.SubjectKey[:1]) == len(options.SubjectKey):
		return nil, fmt.Errorf("auditlog: SubjectKey has %d equal bytes, which anybody can guess: fill it from crypto/rand", len(options.SubjectKey))
	}
	return &Log{sink: sink, options: options, elevations: newElevations()}, nil
}

// OnDecision records a decision. It goes into [mcpauth.Config].OnDecision. It
// takes as long as the sink does: put a [Queue] in front of one that may be slow.
func (l *Log) OnDecision(ctx context.Context, d mcpauth.Decision) {
	if err := l.write(ctx, d); err != nil {
		l.lost.Add(1)
		if l.options.FailClosed {
			d.Refuse(err)
		}
	}
}

// write makes an error of a panic: a record that is not kept must count.
func (l *Log) write(ctx context.Context, d mcpauth.Decision) (err error) {
	defer func() {
		if recovered := recover(); recovered != nil {
			err = fmt.Errorf("auditlog: the sink panicked with a %T", recovered)
		}
	}()
	r := l.options.record(ctx, d)
	l.elevations.note(d, &r)
	return l.sink.Write(r)
}

// Lost tells how many records could not be kept. With FailClosed their requests
// were refused, if they had not been already.
func (l *Log) Lost() uint64 { return l.lost.Load() }
