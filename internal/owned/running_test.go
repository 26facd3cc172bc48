package owned

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
)

// Requests come and go in any order; at each moment exactly those are meant by
// an id that are alone under it, and nothing stays of those that went.
func TestRunning_ISOL_07(t *testing.T) {
	type user struct {
		Caller
		scopes []string
	}
	type sent struct {
		Request[int]
		by     *user
		id     string
		number int
	}
	var table Running[int]
	r := rand.New(rand.NewPCG(1, 2))
	users := []*user{{Caller: Caller{Subject: "u1"}}, {Caller: Caller{Subject: "u2"}}, {Caller: Caller{Subject: "u1", ClientID: "c"}}, {Caller{Subject: "u1"}, []string{"a"}}}
	var under []*sent
	meant := 0
	for i := range 20_000 {
		if len(under) > 0 && r.IntN(2) == 0 || len(under) > 20 {
			at := r.IntN(len(under))
			table.End(&under[at].Request)
			under = append(under[:at], under[at+1:]...)
		} else {
			x := &sent{by: users[r.IntN(len(users))], id: fmt.Sprint(r.IntN(4)), number: i + 1}
			table.Begin(&x.Request, x.by.Caller, x.by.scopes, x.id, x.number)
			under = append(under, x)
		}
		u, id := users[r.IntN(len(users))], fmt.Sprint(r.IntN(4))
		want, count, own := 0, 0, 0
		for _, x := range under {
			own += btoi(x.by == u)
			if x.by == u && x.id == id {
				want, count = x.number, count+1
			}
		}
		if count != 1 {
			want = 0
		}
		got, ok := table.Meant(u.Caller, u.scopes, id)
		assert.Equal(t, count == 1, ok, i)
		assert.Equal(t, want, got, i)
		meant += count % 2
		assert.Equal(t, own, table.count[u.grant(u.scopes)])
		assert.Equal(t, len(under) == 0, len(table.of) == 0)
	}
	for _, x := range under {
		table.End(&x.Request)
	}
	assert.Empty(t, table.of)
	assert.Empty(t, table.count)
	assert.Greater(t, meant, 100)
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// What has no id, or is one too many, has not begun: nothing means it, and its end ends nothing else.
func TestNotRunning_ISOL_07_LIMITS_13(t *testing.T) {
	var table Running[int]
	c := Caller{Subject: "u"}
	var none Request[int]
	table.Begin(&none, c, nil, "", 1)
	_, ok := table.Meant(c, nil, "")
	assert.False(t, ok)
	for i := range maxRunning {
		table.Begin(new(Request[int]), c, nil, fmt.Sprint(i), i)
	}
	var more, other Request[int]
	table.Begin(&more, c, nil, "more", 1)
	_, ok = table.Meant(c, nil, "more")
	assert.False(t, ok)
	table.Begin(&other, c, []string{"a"}, "more", 2)
	got, ok := table.Meant(c, []string{"a"}, "more")
	assert.True(t, ok, "another grant has a bound of its own")
	assert.Equal(t, 2, got)
	table.End(&none)
	table.End(&more)
	assert.Equal(t, maxRunning, table.count[c.grant(nil)])
}
