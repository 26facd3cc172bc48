package soak

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// TestModel_TEST_08 is what the model says of tokens, at moments that are counted from one.
func TestModel_TEST_08(t *testing.T) {
	start := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	at := func(seconds int) time.Time { return start.Add(time.Duration(seconds) * time.Second) }
	at100 := window{at(100), at(101)}
	old, fresh := &generation{n: 1, published: at(0)}, &generation{n: 2, published: at(95)}
	gone := &generation{n: 3, published: at(0), withdrawn: at(50)}
	both := fetched{"0/gosdk", at(10), at(10), map[*generation]bool{old: true, gone: true}}
	token := func(g *generation) facts { return facts{kind: jwt, signer: g, exp: at(500)} }
	forged := token(old)
	forged.forged = true
	revoked := token(old)
	revoked.revoked = span{at(90), at(92)}
	perhaps := token(old)
	perhaps.revoked = span{at(90), time.Time{}}
	ended := token(old)
	ended.exp = at(90)
	ending := token(old)
	ending.exp = at(99)
	for _, tt := range []struct {
		name    string
		token   facts
		fetched []fetched
		down    []span
		want    outcomes
	}{
		{"a key that is at hand", token(old), []fetched{both}, nil, only(served)},
		{"a key that is at hand, in an outage", token(old), []fetched{both}, []span{{from: at(20)}}, only(served)},
		{"a key at another replica only", token(old), []fetched{{"1/gosdk", at(10), at(10), both.keys}}, nil, only(served)},
		{"that, in an outage", token(old), nil, []span{{from: at(20)}}, only(served, unavailable)},
		{"that, long after an outage", token(old), nil, []span{{at(20), at(30)}}, only(served)},
		{"that, soon after an outage", token(old), nil, []span{{at(20), at(90)}}, only(served, unavailable)},
		{"a key of a moment ago", token(fresh), []fetched{both}, nil, only(served, unavailable)},
		{"a key that is withdrawn, and not yet missed", token(gone), []fetched{both}, nil, only(served)},
		{"a key that is withdrawn, and missed", token(gone), []fetched{both, {"0/gosdk", at(60), at(60), map[*generation]bool{old: true}}}, nil,
			only("unknown_key", "signature", unavailable)},
		{"a forged one", forged, []fetched{both}, nil, only("unknown_key", "signature", unavailable)},
		{"a revoked one", revoked, []fetched{both}, nil, only("revoked")},
		{"one that may have been revoked", perhaps, []fetched{both}, nil, only("revoked", served)},
		{"an expired one", ended, []fetched{both}, nil, only("expired")},
		{"one that expires", ending, []fetched{both}, nil, only("expired", served)},
		{"none", facts{}, []fetched{both}, nil, only("no_credentials")},
		{"one for somebody else", facts{kind: jwt, wrong: []string{"audience"}}, []fetched{both}, []span{{from: at(20)}}, only("audience")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := &authServer{fetched: tt.fetched, down: tt.down}
			assert.Equal(t, tt.want, s.token(&tt.token, "0/gosdk", at100))
		})
	}
}

// TestModelOfOpaque_TEST_08 is what the model says of tokens that the authorization server is asked about.
func TestModelOfOpaque_TEST_08(t *testing.T) {
	start := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	at := func(seconds int) time.Time { return start.Add(time.Duration(seconds) * time.Second) }
	for _, tt := range []struct {
		name  string
		asked []asked
		down  []span
		want  outcomes
	}{
		{"it was good a moment ago", []asked{{"0/gosdk", at(80), true}}, nil, only(served)},
		{"in an outage", []asked{{"0/gosdk", at(80), true}}, []span{{from: at(90)}}, only(served)},
		{"it was good a long time ago", []asked{{"0/gosdk", at(20), true}}, []span{{from: at(90)}}, only(unavailable)},
		{"elsewhere it was good", []asked{{"1/gosdk", at(80), true}}, []span{{from: at(90)}}, only(unavailable)},
		{"it was not good a moment ago", []asked{{"0/gosdk", at(95), false}}, nil, only("revoked")},
		{"it was not good, after it was", []asked{{"0/gosdk", at(80), true}, {"0/gosdk", at(95), false}}, nil, only("revoked", served)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := &authServer{opaque: map[string]*opaqueToken{"t": {asked: tt.asked}}, down: tt.down}
			assert.Equal(t, tt.want, s.token(&facts{kind: opaque, text: "t", exp: at(500)}, "0/gosdk", window{at(100), at(101)}))
		})
	}
}
