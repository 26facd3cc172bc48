package mcpauth

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
)

// Requests come and go in any order; at each moment exactly those are meant by
// an id that are alone under it, and nothing stays of those that went.
func TestRunning_ISOL_07(t *testing.T) {
	var table running
	r := rand.New(rand.NewPCG(1, 2))
	users := []*Principal{{Subject: "u1"}, {Subject: "u2"}, {Subject: "u1", ClientID: "c"}, {Subject: "u1", Scopes: []string{"a"}}}
	var under []*exchange
	meant := 0
	for i := range 20_000 {
		if len(under) > 0 && r.IntN(2) == 0 || len(under) > 20 {
			at := r.IntN(len(under))
			table.end(under[at])
			under = append(under[:at], under[at+1:]...)
		} else {
			x := &exchange{principal: users[r.IntN(len(users))], unnamed: &unnamed{}}
			x.id = []byte(fmt.Sprint(r.IntN(4)))
			table.begin(x)
			under = append(under, x)
		}
		p, id := users[r.IntN(len(users))], fmt.Sprint(r.IntN(4))
		var want *exchange
		count, own := 0, 0
		for _, x := range under {
			own += btoi(x.principal == p)
			if x.principal == p && string(x.id) == id {
				want, count = x, count+1
			}
		}
		if count != 1 {
			want = nil
		}
		assert.Same(t, want, table.meant(grantOf(p), idKey([]byte(id))), i)
		meant += count % 2
		assert.Equal(t, own, table.count[grantOf(p)])
		assert.Equal(t, len(under) == 0, len(table.of) == 0)
	}
	for _, x := range under {
		table.end(x)
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

func TestGrant_ISOL_04_ISOL_07(t *testing.T) {
	scopes := []string{"b", "a", "b"}
	same := grantOf(&Principal{Issuer: "i", Subject: "s", ClientID: "c", Scopes: scopes})
	assert.Equal(t, same, grantOf(&Principal{Issuer: "i", Subject: "s", ClientID: "c", Scopes: []string{"a", "b"}}))
	assert.Equal(t, []string{"b", "a", "b"}, scopes, "the principal is shared")
	for _, p := range []*Principal{
		{Issuer: "i", Subject: "s", ClientID: "c", Scopes: []string{"a"}},
		{Issuer: "i", Subject: "s", ClientID: "c", Scopes: []string{"ab"}},
		{Issuer: "i", Subject: "s", ClientID: "ca", Scopes: []string{"b"}},
		{Issuer: "i", Subject: "s", Client: true, ClientID: "c", Scopes: []string{"a", "b"}},
		{Issuer: "is", Subject: "", ClientID: "c", Scopes: []string{"a", "b"}},
	} {
		assert.NotEqual(t, same, grantOf(p))
	}
}
