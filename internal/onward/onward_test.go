package onward

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

type owner struct{ err error }

func (owner) Facts() Facts { return Facts{Resource: "r"} }

func (o owner) Metadata(context.Context) ([]byte, bool, error) { return []byte("{}"), true, o.err }

func all(ctx context.Context) []error {
	_, _, token := Token(ctx)
	document, private, metadata := Metadata(ctx)
	if private != (document != nil) {
		return []error{errors.New("what is not known is private")}
	}
	return []error{token, Look(ctx, func(Facts) {}), metadata}
}

func TestRequest_EXCH_01_EXCH_03(t *testing.T) {
	none := []error{ErrNone, ErrNone, ErrNone}
	assert.Equal(t, none, all(t.Context()))
	r := new(Request)
	ctx := NewContext(t.Context(), r)
	assert.Equal(t, none, all(ctx), "of which nothing is known")
	assert.Equal(t, none, all(NewContext(ctx, nil)), "taken out again")

	down := errors.New("down")
	Begin(r, owner{down})
	assert.Equal(t, []error{ErrForbidden, nil, down}, all(ctx), "a token is not to be had unless it is carried")
	Carry(r, "token", time.Now().Add(time.Hour))
	token, _, err := Token(ctx)
	require.NoError(t, err)
	assert.Equal(t, "token", token)
	assert.Same(t, r, FromContext(context.WithoutCancel(ctx)))

	require.NoError(t, Look(ctx, func(f Facts) { assert.Equal(t, Facts{Resource: "r"}, f) }))
	assert.True(t, IsKey(key{}))
	assert.False(t, IsKey("key"))

	changed := 0
	Change(r, func() { changed++ })
	assert.Equal(t, 1, changed)

	End(r)
	assert.Equal(t, []error{ErrOver, ErrOver, ErrOver}, all(ctx))
	Begin(r, owner{})
	assert.Equal(t, []error{ErrOver, ErrOver, ErrOver}, all(ctx), "it stays so")
	assert.Nil(t, r.token, "and nothing keeps the token in memory")
}

// A handler that takes long is no stream, and nobody ends it when the token does.
func TestToken_Ends_EXCH_05(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := new(Request)
		ctx := NewContext(t.Context(), r)
		Begin(r, owner{})
		Carry(r, "token", time.Now().Add(time.Minute))
		time.Sleep(time.Minute - time.Nanosecond)
		assert.Equal(t, []error{nil, nil, nil}, all(ctx))
		time.Sleep(time.Nanosecond)
		assert.Equal(t, []error{ErrOver, nil, nil}, all(ctx))
	})
}

// shiftMonotonic moves the monotonic reading of a moment and leaves its wall clock.
func shiftMonotonic(moment time.Time, by time.Duration) time.Time {
	type layout struct {
		wall uint64
		ext  int64
		loc  *time.Location
	}
	(*layout)(unsafe.Pointer(&moment)).ext += int64(by)
	return moment
}

// A token is over on either clock: neither a wall clock that was set back nor a machine that slept hands it over for longer.
func TestToken_EitherClock_EXCH_05(t *testing.T) {
	now := time.Now()
	for name, tt := range map[string]struct {
		ends time.Time
		want error
	}{
		"on none":                     {now.Add(time.Hour), nil},
		"on both":                     {now.Add(-time.Hour), ErrOver},
		"the wall clock was set back": {shiftMonotonic(now.Add(time.Hour), -2*time.Hour), ErrOver},
		"the machine slept":           {shiftMonotonic(now.Add(-time.Hour), 2*time.Hour), ErrOver},
	} {
		r := new(Request)
		Begin(r, owner{})
		Carry(r, "token", tt.ends)
		token, _, err := Token(NewContext(t.Context(), r))
		require.ErrorIs(t, err, tt.want, name)
		assert.Equal(t, tt.want == nil, token != "", name)
	}
}
