package owned

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"math"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/seed-1e292522/mcpauth/internal/shared"
)

// Bounds of what replicas remember together. An entry that is over is nobody's, as if it never was.
const (
	taskLife  = 7 * 24 * time.Hour
	clockSkew = 24 * time.Hour         // clocks of replicas differ by less
	countLife = 2*taskLife + clockSkew // of a week's count: that of the next week may ask where it has ended, all through

	// placeSize is how many bytes of arguments one of the maxOwnTasks places of a caller holds.
	placeSize = maxOwnTaskArguments / maxOwnTasks
)

// Marks in a count, far above what it counts, and below 2^53, up to where scripts of Redis are exact.
const (
	started = 1 << 50 // it goes on where that of the week before has ended
	ended   = 1 << 51 // that of the next week goes on
)

var errCount = errors.New("the store does not count")

// ErrLate is why a task is known to this process alone, for the time being.
var ErrLate = errors.New("it could not be stored")

// common is tasks that all replicas know. C must be JSON.
type common[C comparable] struct{ space *shared.Space }

// of finds who has begun a task, and how.
func (t common[C]) of(ctx context.Context, c Caller, id string) (began Begun[C], own bool, err error) {
	e, err := t.space.Read(ctx, shared.Task, id)
	if err != nil {
		return began, false, err
	}
	owner, began := readBegun[C](e.Text)
	if owner == "" || owner != c.PrincipalKey() {
		return Begun[C]{}, false, nil
	}
	return began, true, nil
}

// begin makes a task the caller's. An id of somebody else's, or of another call, is nobody's from then on, and so is one whose entry cannot be read.
func (t common[C]) begin(ctx context.Context, c Caller, id string, began Begun[C]) error {
	known, err := t.space.Read(ctx, shared.Task, id)
	if err != nil {
		return err
	}
	if known.Value != nil {
		return t.again(ctx, c, began, known)
	}
	text, err := writeBegun(c.PrincipalKey(), began)
	if err != nil {
		return err
	}
	name := t.space.Name(shared.Task, id)
	value := t.space.Seal(name, text)
	if err := t.takePlaces(ctx, c, name, value, len(began.Arguments)); err != nil {
		return err
	}
	held, err := t.space.PutIfAbsent(ctx, name, value, taskLife)
	if err != nil || held == nil {
		return err
	}
	return t.again(ctx, c, began, shared.Entry{Name: name, Value: held, Text: t.space.Open(name, held)})
}

// again is begin for an id that is known.
func (t common[C]) again(ctx context.Context, c Caller, began Begun[C], known shared.Entry) error {
	if owner, first := readBegun[C](known.Text); owner != "" && owner == c.PrincipalKey() && first.isThe(began) {
		return nil
	}
	nobodys, err := writeBegun("", Begun[C]{})
	if err != nil {
		return err
	}
	if _, err := t.space.Swap(ctx, known.Name, t.space.Seal(known.Name, nobodys), taskLife); err != nil {
		return err
	}
	return ErrOthersTask
}

// takePlaces takes places for an entry that is to be written, and with them deletes those that had them. There
// are as many as a caller may have tasks, and so its own oldest go, whatever others do; and of its principal there are as many
// as four clients may have, lest who has many clients fills the store.
func (t common[C]) takePlaces(ctx context.Context, c Caller, name string, value []byte, size int) error {
	n := max(1, (size+placeSize-1)/placeSize)
	var places [2][]string
	err := together(2, func(i int) (err error) {
		if i == 0 {
			places[i], err = t.places(ctx, c.Key(), n, maxOwnTasks)
		} else {
			places[i], err = t.places(ctx, "principal "+c.PrincipalKey(), n, maxPrincipalTasks)
		}
		return err
	})
	if err != nil {
		return err
	}
	reference := name + " " + fingerprint(value) + " "
	return together(2*n, func(i int) error {
		return t.takePlace(ctx, places[i%2][i/2], reference, places[1-i%2][i/2])
	})
}

// together does something so many times at once.
func together(n int, do func(i int) error) error {
	errs := make([]error, n)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { errs[i] = do(i) })
	}
	all.Wait()
	return errors.Join(errs...)
}

// places are the next places of who pays.
func (t common[C]) places(ctx context.Context, payer string, n, most int) (names []string, err error) {
	total, err := t.count(ctx, payer, int64(n))
	for i := range n {
		names = append(names, t.space.Name(shared.Place, payer, strconv.FormatInt((total-int64(n-i))%int64(most), 10)))
	}
	return names, err
}

// count counts n more places of who pays, and returns how many there have been. A count ends some time after its first place, and the later
// ones are in use then: one that began with 0 would give them away. So each week has a count, which goes on where the last one has ended.
func (t common[C]) count(ctx context.Context, payer string, n int64) (int64, error) {
	week := time.Now().Unix() / int64(taskLife/time.Second)
	for range 4 { // others start it, end it, and start the next one, each in front of us
		total, _, err := t.space.Add(ctx, t.countName(payer, week), n, math.MaxInt64, countLife)
		ours := true
		if err == nil && total < started {
			total, ours, err = t.start(ctx, payer, week)
		}
		switch {
		case err != nil:
			return 0, err
		case total >= ended:
			week++
		case ours:
			return total % started, nil
		}
	}
	return 0, errCount
}

// start has a week's count go on where the last one has ended, and reports whether that was not done before. It ends the last one for those, too,
// whose week that still is: both would count the same places.
func (t common[C]) start(ctx context.Context, payer string, week int64) (total int64, ours bool, err error) {
	last, _, err := t.space.Add(ctx, t.countName(payer, week-1), ended, 2*ended-1, clockSkew)
	if err != nil {
		return 0, false, err
	}
	return t.space.Add(ctx, t.countName(payer, week), started+last%started, ended-1, countLife)
}

func (t common[C]) countName(payer string, week int64) string {
	return t.space.Name(shared.Count, payer, strconv.FormatInt(week, 10))
}

// takePlace takes one place, and deletes the entry that had it if that is still the same one. Of client and principal each has a place for it, which
// names the other: that is given back.
func (t common[C]) takePlace(ctx context.Context, place, reference, other string) error {
	old, err := t.space.Swap(ctx, place, []byte(reference+other), taskLife)
	had := strings.Split(string(old), " ")
	if err != nil || len(had) != 3 {
		return err
	}
	value, err := t.space.Get(ctx, had[0])
	if err == nil && fingerprint(value) == had[1] {
		err = t.space.Delete(ctx, had[0])
	}
	if err != nil {
		return err
	}
	return t.giveBack(ctx, had[2], had[0]+" "+had[1]+" "+place)
}

// giveBack frees a place that still is what it was. No store compares, and between a look and a Delete another task may take the place. So it is
// swapped for next to nothing, and what was no longer the same is put back.
func (t common[C]) giveBack(ctx context.Context, place, was string) error {
	held, err := t.space.Swap(ctx, place, []byte("free"), time.Millisecond)
	if err != nil || held == nil || string(held) == was {
		return err
	}
	_, err = t.space.Swap(ctx, place, held, taskLife)
	return err
}

// fingerprint tells two sealed values apart.
func fingerprint(value []byte) string {
	sum := sha256.Sum256(value)
	return hex.EncodeToString(sum[:8])
}

// writeBegun writes down who has begun a task, "" for one that is nobody's, and how.
func writeBegun[C comparable](owner string, began Begun[C]) ([]byte, error) {
	call, err := json.Marshal(began.Call)
	if err != nil {
		return nil, err
	}
	text := AppendField(AppendField(AppendField(nil, owner), string(call)), began.Alias)
	return append(text, began.Arguments...), nil
}

func readBegun[C comparable](text []byte) (owner string, began Begun[C]) {
	owner, rest, ok := cutField(text)
	call, rest, ok2 := cutField(rest)
	alias, rest, ok3 := cutField(rest)
	if !ok || !ok2 || !ok3 || json.Unmarshal([]byte(call), &began.Call) != nil {
		return "", Begun[C]{}
	}
	if began.Alias = alias; len(rest) > 0 {
		began.Arguments = rest
	}
	return owner, began
}

// cutField undoes [AppendField].
func cutField(text []byte) (field string, rest []byte, ok bool) {
	if len(text) < 8 {
		return "", nil, false
	}
	size, text := binary.BigEndian.Uint64(text), text[8:]
	if size > uint64(len(text)) {
		return "", nil, false
	}
	return string(text[:size]), text[size:], true
}
