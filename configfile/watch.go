package configfile

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"time"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/internal/edition"
)

// Options say how a file is watched.
type Options struct {
	_ [0]func() // keyed literals only

	// Every is the time between two looks at the file. Default: 2 seconds.
	Every time.Duration

	// Signal has the file put in force at once, and also if it has not changed, as when a secret has to which it refers: SIGHUP, by
	// [os/signal.Notify]. A nil one never does.
	Signal <-chan os.Signal

	// Base adds to what the file says, as for [New].
	Base func(*mcpauth.Config)
}

const (
	defaultEvery = 2 * time.Second
	settling     = 200 * time.Millisecond // a file counts when it was the same so long ago
	restless     = 5 * time.Second        // one that always changes counts as it is after so long
	retryEvery   = 30 * time.Second       // a file that cannot be put in force
)

// Watch follows a file until ctx ends, and puts in force what changes, by [mcpauth.Middleware.Reload]. It runs in the goroutine
// of its caller, and returns why ctx has ended.
//
// It looks at what is in the file, by its name, each time anew: it may be written anew, replaced by another one,
// or stand behind symbolic links that change, as Kubernetes has it. What is only half written does not count: it counts
// when it was the same 200 milliseconds before, or as it is after five seconds of changes. A file that is not there, is empty or has mistakes
// leaves the configuration as it was, and that shows in the log, in [mcpauth.Middleware.Health] and in records; it is tried again
// every 30 seconds, since what it refers to may change.
//
// The file counts as it is when Watch begins.
func Watch(ctx context.Context, auth *mcpauth.Middleware, path string, options Options) error {
	w := watcher{auth: auth, path: path, base: options.Base}
	if options.Every <= 0 {
		options.Every = defaultEvery
	}
	w.look(ctx, true)
	ticker := time.NewTicker(options.Every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case _, open := <-options.Signal:
			if !open {
				options.Signal = nil
				continue
			}
			w.look(ctx, true)
		case <-ticker.C:
			w.look(ctx, false)
		}
	}
}

type watcher struct {
	auth *mcpauth.Middleware
	path string
	base func(*mcpauth.Config)

	last   [sha256.Size]byte // of what was put in force, or tried
	failed bool              // it could not
	tried  time.Time
}

// look puts the file in force if it has changed.
func (w *watcher) look(ctx context.Context, force bool) {
	data, err := w.read()
	if !force && !w.isDue(data) {
		return
	}
	if data, err = w.settled(ctx, data, err); ctx.Err() != nil || !force && !w.isDue(data) {
		return
	}
	digest := sha256.Sum256(data)
	source := w.path
	if err == nil {
		source += " sha256:" + hex.EncodeToString(digest[:8])
		err = w.apply(ctx, source, data)
	}
	w.last, w.failed, w.tried = digest, err != nil, time.Now()
	if _, told := err.(toldError); err != nil && !told {
		w.auth.ReloadFailed(ctx, source, err)
	}
}

// isDue reports whether there is something to be done about what was read. Of what cannot be read there is nothing.
func (w *watcher) isDue(data []byte) bool {
	if w.failed && time.Since(w.tried) >= retryEvery {
		return true
	}
	return sha256.Sum256(data) != w.last
}

var (
	errForgotten = errors.New("the policy in force is code, and what the file says would take its place: give Watch in Options.Base what New was given")

	errEmpty  = errors.New("the file is empty")
	errNoFile = errors.New("that is no file")
)

// read reads the file. What is none is not opened: a pipe would not let go.
func (w *watcher) read() ([]byte, error) {
	info, err := os.Stat(w.path)
	if err == nil && !info.Mode().IsRegular() {
		err = errNoFile
	}
	if err != nil {
		return nil, err
	}
	return content(w.path)
}

// settled waits until the file does not change any more, for a while, as long as ctx allows.
func (w *watcher) settled(ctx context.Context, data []byte, err error) ([]byte, error) {
	timer := time.NewTimer(settling)
	defer timer.Stop()
	for began := time.Now(); ; {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-timer.C:
		}
		again, errAgain := w.read()
		same := bytes.Equal(data, again) && (err == nil) == (errAgain == nil)
		if data, err = again, errAgain; same || time.Since(began) >= restless {
			break
		}
		timer.Reset(settling)
	}
	if err == nil && len(data) == 0 {
		err = errEmpty
	}
	return data, err
}

func (w *watcher) apply(ctx context.Context, source string, data []byte) error {
	f, err := complete(w.path, data, w.base)
	if err != nil {
		return err
	}
	if w.base == nil && w.auth.Coverage(mcpauth.Registered{}).PolicyIsCode {
		return errForgotten
	}
	if err := w.auth.Reload(edition.WithPlaces(ctx, f.Locate), f.Config, source); err != nil {
		return toldError{err}
	}
	return nil
}

// toldError is one that Reload has told the operator.
type toldError struct{ error }
