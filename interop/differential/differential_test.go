package differential

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth/internal/jsonrpc/corpus"
)

// seed and mutated say which bodies all tests of this package use, beside the
// corpus.
const (
	seed    = 20260728
	mutated = 100_000
)

// allBodies are those of the corpus and the generated ones.
func allBodies(n int) []string {
	bodies := initialBodies()
	g := newGenerator(seed)
	for range n {
		bodies = append(bodies, g.next())
	}
	return bodies
}

// tally counts what readers made of bodies that some gate accepted.
type tally struct {
	bodies, accepted int
	refused          map[string]int // by reader
	disagreements    []string
}

// add shows a body to every reader, if the gate accepts it.
func (c *tally) add(gate func([]byte) (reading, error), body []byte) {
	c.bodies++
	ours, err := gate(body)
	if err != nil {
		return
	}
	c.accepted++
	if c.refused == nil {
		c.refused = map[string]int{}
	}
	for _, r := range readers {
		difference, err := r.differs(slices.Clone(body), &ours)
		if err != nil {
			c.refused[r.name]++
			if r.strict {
				difference = "refused: " + err.Error()
			}
		}
		if difference != "" {
			c.disagreements = append(c.disagreements, fmt.Sprintf("%s: %s in %q", r.name, difference, body))
		}
	}
}

func (c *tally) String() string {
	return fmt.Sprintf("%d bodies x %d readers: %d accepted, %d disagreements, refused by %v",
		c.bodies, len(readers), c.accepted, len(c.disagreements), c.refused)
}

// TestDifferential is MCP-14 and TEST-06, and with it MCP-01 to MCP-05: no body
// that the gate accepts is read differently by mcp-go, by the go-sdk, by
// encoding/json in either of its ways, or by two strict readers.
func TestDifferential(t *testing.T) {
	require.GreaterOrEqual(t, len(corpus.Bodies), 320)
	for _, tt := range []struct {
		name     string
		bodies   []string
		accepted int // at least, so that there is something to agree about
	}{
		{"MCP-14 corpus", initialBodies(), 100},
		{"MCP-14 mutations", allBodies(mutated)[len(initialBodies()):], mutated / 10},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var c tally
			for _, body := range tt.bodies {
				c.add(gateReading, []byte(body))
			}
			t.Log(&c)
			assert.Empty(t, c.disagreements)
			assert.Greater(t, c.accepted, tt.accepted)
		})
	}
}

// TestCarelessGates shows that TestDifferential can fail: the same bodies, with
// gates that read as other middleware does, are read differently behind them.
func TestCarelessGates(t *testing.T) {
	for _, tt := range []struct {
		name string
		gate func([]byte) (any, error)
	}{
		{"MCP-01 duplicate and case-variant members: the last one wins", parseMap},
		{"MCP-04 trailing data, MCP-05 bad UTF-8", func(body []byte) (v any, err error) {
			d := json.NewDecoder(strings.NewReader(string(body)))
			d.UseNumber()
			return v, d.Decode(&v)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var c tally
			disagreeing := map[string]bool{}
			for _, b := range corpus.Bodies {
				before := len(c.disagreements)
				c.add(func(body []byte) (reading, error) {
					v, err := tt.gate(body)
					if err != nil {
						return reading{}, err
					}
					return valueReading(v)
				}, []byte(b.Body))
				for _, d := range c.disagreements[before:] {
					name, _, _ := strings.Cut(d, ": ")
					disagreeing[name] = true
				}
			}
			t.Log(&c)
			assert.Greater(t, len(c.disagreements), 100)
			for _, r := range readers {
				if r.name != "encoding/json, map" {
					assert.True(t, disagreeing[r.name], "%s never disagrees", r.name)
				}
			}
		})
	}
}

// FuzzDifferential is MCP-13: no input is let through that an independent
// strict parser reads differently.
func FuzzDifferential(f *testing.F) {
	for _, body := range initialBodies() {
		if len(body) < 2000 {
			f.Add([]byte(body))
		}
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var c tally
		c.add(gateReading, body)
		require.Empty(t, c.disagreements)
	})
}
