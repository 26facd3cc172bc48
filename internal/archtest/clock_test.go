package archtest

import (
	"go/ast"
	"go/token"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// realTime are the functions of tests that may look at the machine's clock or wait
// for it, and why nothing depends on how busy the machine is.
var realTime = map[string]string{
	"bench/internal/peers/peers_test.go TestPeers":                   "the expiry of a token, to ten minutes",
	"internal/keys/keys_test.go TestKeySetIdentity_JWKS_21":          "there is no key set at any time",
	"bench/paired_test.go timed":                                     "a measurement, compared with another of the same round",
	"bodyclock_test.go SetReadDeadline":                              inBubble,
	"clientleft_test.go Require":                                     inBubble,
	"interop/acceptance/acceptance_test.go TestOutageAtStart":        patience,
	"fresh_test.go spend":                                            inBubble,
	"fresh_test.go flood":                                            inBubble,
	"fresh_test.go Read":                                             inBubble,
	"freshmodel_test.go answer":                                      inBubble,
	"freshmodel_test.go play":                                        inBubble,
	"freshmodel_test.go follow":                                      inBubble,
	"rotation_test.go rotate":                                        inBubble,
	"rotation_test.go answer":                                        inBubble,
	"rotation_test.go RoundTrip":                                     inBubble,
	"gosdk/streams_test.go inMemory":                                 inBubble,
	"interop/conformance/server_test.go start":                       patience,
	"interop/isolation/javaworld_test.go mark":                       patience,
	"interop/isolation/lawful_test.go cancels":                       patience,
	"operations_test.go dial":                                        inBubble,
	"operations_test.go sendSlowly":                                  inBubble,
	"otelmcpauth/telemetry_test.go TestNamesGolden_OBS_02_OBS_03":    patience,
	"outage_test.go outage":                                          inBubble,
	"internal/keys/remote_test.go TestRemote_Clocks_JWKS_19_JWKS_22": "arithmetic on one moment",
	"internal/shared/guard_test.go deaf":                             inBubble,
	"internal/shared/guard_test.go spent":                            inBubble,
	"store_test.go storeSlow":                                        inBubble,
	"store_test.go storeDeaf":                                        inBubble,
	"lease_internal_test.go SetWriteDeadline":                        inBubble,
	"mcpauthtest/store_test.go PutIfAbsent":                          "keeps a window open that 63 others run into",
	"mcpauthtest/store_test.go Swap":                                 "keeps a window open that 63 others run into",
	"revoke/revoke_test.go Get":                                      inBubble,
	"stream_cut_test.go pipeServerOver":                              inBubble,
	"streaming_test.go TestEventLatency_MCP_64":                      "is logged only",
}

const (
	inBubble = "is called in a bubble"
	patience = "waits for another process or a server's back-off, and much longer than that takes"
)

// TestNoWallClock: a test that depends on how fast the machine is fails on a busy
// one. Time passes in a bubble of testing/synctest; what is cheap is counted. Outside
// of bubbles a test may log how long it took, and bound how long it hangs.
func TestNoWallClock(t *testing.T) {
	used := map[string]bool{}
	for _, name := range goFiles(t, isTest) {
		if strings.HasPrefix(name, "interop/soak/") {
			continue // other processes in real time, on request; its model allows for what a busy machine does
		}
		set, file := parse(t, name)
		for at, what := range clockUses(file) {
			function := name + " " + functionAt(file, at)
			if used[function] = true; realTime[function] == "" {
				t.Errorf("%s: %s outside of a bubble of testing/synctest", set.Position(at), what)
			}
		}
	}
	for _, function := range slices.Sorted(maps.Keys(realTime)) {
		assert.True(t, used[function], "%s does not look at the clock any more: take it off the list", function)
	}
}

// clockUses finds where a test file asks the machine's clock how long something has
// taken, or waits for it.
func clockUses(file *ast.File) map[token.Pos]string {
	all := map[token.Pos]string{}
	for _, declaration := range file.Decls {
		function, ok := declaration.(*ast.FuncDecl)
		if !ok || function.Recv == nil && strings.HasPrefix(function.Name.Name, "Benchmark") {
			continue
		}
		uses, bubbles, inside := map[token.Pos]string{}, false, false
		ast.Inspect(function, func(node ast.Node) bool {
			call, ok := node.(*ast.CallExpr)
			if !ok {
				return true
			}
			of, method := called(call)
			switch {
			case of == "synctest":
				bubbles, inside = bubbles || method == "Test", inside || method == "Wait"
				return false
			case strings.HasPrefix(method, "Log"):
				return false
			}
			if what := clockUse(call, of, method); what != "" {
				uses[call.Pos()] = what
			}
			return true
		})
		// What waits for the bubble to settle runs in one, and so does what a table
		// lets the bubbles below it sleep for.
		maps.DeleteFunc(uses, func(_ token.Pos, what string) bool { return inside || bubbles && what == "time.Sleep" })
		maps.Copy(all, uses)
	}
	return all
}

// called names the function that is called, and what it is selected from.
func called(call *ast.CallExpr) (of, method string) {
	selector, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return "", ""
	}
	if x, ok := selector.X.(*ast.Ident); ok {
		of = x.Name
	}
	return of, selector.Sel.Name
}

func clockUse(call *ast.CallExpr, of, method string) string {
	switch method {
	case "Since", "Until", "Sleep":
		if of == "time" {
			return "time." + method
		}
	case "Eventually", "Eventuallyf", "EventuallyWithT", "EventuallyWithTf", "Never", "Neverf", "WithinDuration", "WithinDurationf", "WithinRange", "WithinRangef":
		return method
	case "Sub":
		if len(call.Args) == 1 { // of two times; a sum of big numbers has two
			return method
		}
	case "NoError", "NoErrorf": // that a deadline can be set is no question of time
	default:
		if (of == "assert" || of == "require") && asksTime(call) {
			return "time.Now in an assertion"
		}
	}
	return ""
}

// asksTime reports whether time.Now stands in the arguments.
func asksTime(call *ast.CallExpr) (asks bool) {
	for _, argument := range call.Args {
		ast.Inspect(argument, func(node ast.Node) bool {
			if selector, ok := node.(*ast.SelectorExpr); ok && selector.Sel.Name == "Now" {
				if of, ok := selector.X.(*ast.Ident); ok && of.Name == "time" {
					asks = true
				}
			}
			return !asks
		})
	}
	return asks
}

// functionAt names the top-level function around a position.
func functionAt(file *ast.File, at token.Pos) string {
	for _, declaration := range file.Decls {
		if function, ok := declaration.(*ast.FuncDecl); ok && function.Pos() <= at && at < function.End() {
			return function.Name.Name
		}
	}
	return ""
}
