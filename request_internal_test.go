package mcpauth

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth/internal/refusal"
)

// However long a body is, announced or not, its buffer grows up to it in a few steps, is never much larger
// than what has come, and never larger than a body may be.
func TestBiggerBuffer_LIMITS_02(t *testing.T) {
	for _, limit := range []int{maxBody, maxHeldForCaller} {
		for _, announced := range []int{-1, 0, 1, 100, 511, 512, 20_000, 32 << 10, 40 << 10, 64 << 10, 65 << 10, 256 << 10, 300_000, 1 << 20, 3_000_000, limit - 1, limit} {
			for _, first := range []int{minBuffer, 700, firstBuffer, 40_000, maxPooled} {
				whole := announced + bufferMargin
				if announced < 0 {
					whole = limit + bufferMargin
				}
				steps := 0
				for size := first; size < whole; steps++ {
					next := biggerBuffer(size, announced, limit)
					require.Greater(t, next, size)
					require.LessOrEqual(t, next, 5*size)
					require.LessOrEqual(t, next, limit+bufferMargin)
					if announced > size {
						require.LessOrEqual(t, next, max(whole, maxPooled), "announced %d, from %d", announced, size)
					}
					size = next
				}
				assert.LessOrEqual(t, steps, 12)
				assert.Greater(t, biggerBuffer(first, 10, limit), first, "more came than was announced")
			}
		}
	}
	assert.Greater(t, biggerBuffer(1<<10, -1, 1<<10), 1<<10, "a bound below the smallest buffers")
	assert.Greater(t, biggerBuffer(512, 511, maxBody), 512, "one byte more than was announced")
	assert.Equal(t, 5*512, biggerBuffer(512, 5*512-bufferMargin, maxBody), "hardly more")
	for full, want := range map[int]int{firstBuffer: maxPooled, maxPooled: 256 << 10, maxBody - 1: 4 * (maxBody - 1), maxBody: 2 * maxBody} {
		assert.Equal(t, want, biggerBuffer(full, -1, maxHeldForCaller), full)
	}
}

// A handler that closes the body finds nothing in it any more, and who has borrowed what is left has it until he returns it.
func TestCheckedBody_MCP_08(t *testing.T) {
	b := &checkedBody{rest: []byte("rest")}
	assert.Equal(t, "rest", string(b.Borrow()))
	assert.False(t, b.mu.TryLock())
	b.Return()
	require.NoError(t, b.Close())
	require.True(t, b.mu.TryLock())
	b.mu.Unlock()
	got, err := io.ReadAll(b)
	assert.ErrorIs(t, err, http.ErrBodyReadAfterClose)
	assert.Empty(t, got)
}

// When a request is over nobody holds anything for it, and what is short needs no leave.
func TestHoldIsOver_LIMITS_13(t *testing.T) {
	x := &exchange{m: leaseMiddleware(t), principal: &Principal{Subject: "u"}}
	require.True(t, x.hold(&x.held.body, 1<<20))
	x.release()
	assert.True(t, x.hold(&x.held.body, maxPooled))
	assert.False(t, x.hold(&x.held.body, maxPooled+1))
	assert.Equal(t, holding{overHolding, overHolding}, x.held)

	x.held = holding{}
	require.True(t, x.hold(&x.held.response, 1<<20))
	require.True(t, x.hold(&x.held.response, 0))
	x.release()
	assert.Zero(t, reflect.ValueOf(&x.m.owned.held).Elem().FieldByName("held").Len(), "who holds nothing is forgotten")

	x.held = holding{}
	assert.Zero(t, testing.AllocsPerRun(10, func() { x.hold(&x.held.response, maxPooled) }), "what is short is on no account")
}

// The header section, and the token in it, are as long as they may be, and not longer.
func TestLongest_LIMITS_01_LIMITS_05(t *testing.T) {
	for more, want := range map[int]refusal.Reason{0: "", 1: refusal.RequestHeaders} {
		_, denied := checkHeaders(http.Header{"X": {strings.Repeat("x", maxHeaderBytes-1+more)}})
		if want == "" {
			assert.Nil(t, denied)
			continue
		}
		assert.ErrorIs(t, denied, want)
	}
	for more, want := range map[int]refusal.Reason{0: "", 1: refusal.TokenTooComplex} {
		r := httptest.NewRequest(http.MethodPost, "/mcp", nil)
		token := strings.Repeat("t", maxToken-len("Bearer ")+more)
		r.Header.Set("Authorization", "Bearer "+token)
		sent, denied := credentials(r, false)
		if want == "" {
			assert.Nil(t, denied)
			assert.Equal(t, credential{token: token}, sent)
			continue
		}
		assert.ErrorIs(t, denied, want)
	}
}

// TestCredentials_TOK_05_TOK_06_TOK_07: one token in one place, under a scheme that is taken, and nothing else.
func TestCredentials_TOK_05_TOK_06_TOK_07(t *testing.T) {
	for name, row := range map[string]struct {
		lines   []string
		query   string
		dpop    bool // is taken
		want    credential
		refused refusal.Reason
	}{
		"Bearer":                   {[]string{"bearer  t "}, "", false, credential{token: "t"}, ""},
		"DPoP":                     {[]string{"dpop t"}, "", true, credential{token: "t", dpop: true}, ""},
		"Bearer where DPoP is":     {[]string{"Bearer t"}, "", true, credential{token: "t"}, ""},
		"beside other queries":     {[]string{"Bearer t"}, "access_tokens=1&%zz&x=access_token", false, credential{token: "t"}, ""},
		"none":                     {nil, "", false, credential{}, refusal.NoCredentials},
		"twice":                    {[]string{"Bearer t", "Bearer t"}, "", false, credential{}, refusal.ManyCredentials},
		"in the query":             {nil, "x;access%5Ftoken=t", false, credential{}, refusal.NoCredentials},
		"in the query too":         {[]string{"Bearer t"}, "access_token", false, credential{}, refusal.ManyCredentials},
		"DPoP that is not taken":   {[]string{"DPoP t"}, "", false, credential{}, refusal.NoCredentials},
		"another scheme":           {[]string{"Basic t"}, "", true, credential{}, refusal.NoCredentials},
		"a scheme alone":           {[]string{"Bearer "}, "", false, credential{}, refusal.NoCredentials},
		"two in one, with a comma": {[]string{"Bearer t, Bearer t"}, "", false, credential{}, refusal.ManyCredentials},
	} {
		r := httptest.NewRequest(http.MethodPost, "/mcp?"+row.query, nil)
		r.Header["Authorization"] = row.lines
		sent, denied := credentials(r, row.dpop)
		if row.refused == "" {
			assert.Nil(t, denied, name)
			assert.Equal(t, row.want, sent, name)
			continue
		}
		assert.ErrorIs(t, denied, row.refused, name)
		assert.Empty(t, sent.token, name)
		assert.Equal(t, name == "in the query", denied.Cause == "token-in-query", "%s: what the operator is told", name)
	}
}

// Whether a field ends here is seen wherever it stands, in whatever spelling.
func TestCheckHeaders_PASS_01(t *testing.T) {
	for name, want := range map[string]bool{"Dpop": true, "DPOP": true, "Mcp_Name": true, "Proxy_Authorization": true, "Mcp-Name": false, "X-Dpop": false} {
		for range 20 { // in any order
			h := http.Header{"Authorization": {"Bearer t"}, "Accept": {"x"}, "Content-Type": {"x"}, "Origin": {"x"}, name: {"x"}}
			strips, denied := checkHeaders(h)
			assert.Nil(t, denied)
			assert.Equal(t, want, strips, name)
		}
	}
}

// A path that is too long is not remembered, and takes nobody's place.
func TestBackendPaths_LIMITS_13(t *testing.T) {
	b := &backend{}
	for length, want := range map[int]bool{maxPathLength: true, maxPathLength + 1: false} {
		_, isNew := b.note(strings.Repeat("p", length), keepsByID)
		assert.Equal(t, want, isNew, length)
	}
	assert.Len(t, *b.paths.Load(), 1)
}

// Of what comes at once at a path nothing is lost, and each is new to one.
func TestBackendPathsAtOnce_ISOL_19_CONC_01(t *testing.T) {
	b := &backend{}
	for i := range maxPaths / 2 { // the more are known, the longer another has to come between
		b.note(strconv.Itoa(i), keepsByID)
	}
	for i := range 100 {
		path, begin, isNew := fmt.Sprint("/", i), make(chan struct{}), atomic.Int32{}
		var all sync.WaitGroup
		for _, shown := range []pathState{keepsByID, servedUnnamed, keepsByID, servedUnnamed} {
			all.Go(func() {
				<-begin
				if _, first := b.note(path, shown); first {
					isNew.Add(1)
				}
			})
		}
		close(begin)
		all.Wait()
		require.Equal(t, keepsByID|servedUnnamed, b.state(path))
		require.EqualValues(t, 2, isNew.Load())
	}
}

// Ids are the same as JSON has them. What is no id is the same as nothing, not even as itself where it is absent.
func TestIDs_ISOL_07_MCP_85(t *testing.T) {
	for _, row := range []struct {
		a, b string
		want bool
	}{
		{`1`, `1`, true}, {`-1`, `-1`, true}, {`"a"`, `"\u0061"`, true}, {`""`, `""`, true},
		{`1`, `"1"`, false}, {`1`, `1.0`, false}, {`"a"`, `"A"`, false},
		{``, ``, false}, {``, `""`, false}, {`null`, `true`, false}, {`{}`, `[]`, false}, {`"\ud800"`, `""`, false},
	} {
		assert.Equal(t, row.want, isSameID([]byte(row.a), []byte(row.b)), "%s %s", row.a, row.b)
		assert.Equal(t, row.want, isSameID([]byte(row.b), []byte(row.a)), "%s %s", row.b, row.a)
	}
}
