package conformance_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth/conformance"
)

// isolationOf are the results of the checks of what two people share.
func isolationOf(report *conformance.Report) map[string]conformance.Result {
	results := map[string]conformance.Result{}
	for _, result := range report.Results {
		if result.Group == "isolation" || result.ID == "session.other-client" {
			results[strings.TrimPrefix(result.ID, "isolation.")] = result
		}
	}
	return results
}

// TestTwoPeople_ISOL_12: this library keeps two people apart in front of a
// server that keeps everything by session id, whether or not it gives any out,
// and however the suite comes to its tokens. The same server behind a check of
// the token alone is in the careless ones.
func TestTwoPeople_ISOL_12(t *testing.T) {
	issuer := sharedIssuer()
	sessions := map[string][]server.StreamableHTTPOption{
		"without sessions": {server.WithStateLess(true)}, "with sessions": {server.WithStateful(true)}, "by default": nil,
		"without sessions, answers in JSON": {server.WithStateLess(true), server.WithDisableStreaming(true)},
	}
	for name, options := range sessions {
		for _, ownTokens := range []bool{false, true} {
			t.Run(fmt.Sprint(name, ", own tokens: ", ownTokens), func(t *testing.T) {
				report := checkServer(t, issuer, func(t *testing.T) http.Handler { return newAuth(t, issuer).Wrap(mcpServer(t, options...)) },
					func(target *conformance.Target) {
						target.Rate = 0 // as it is for servers of others
						if ownTokens {
							target.Minter, target.Token, target.OtherToken = nil, tokenOf(t, issuer, "a"), tokenOf(t, issuer, "b")
						}
					})
				for id, result := range isolationOf(report) {
					want := conformance.Pass
					if id == "session.other-client" && (strings.HasPrefix(name, "without") || ownTokens) {
						want = conformance.NotRun
					}
					assert.Equal(t, want, result.Outcome, "%s: %s", id, result.Detail)
				}
			})
		}
	}
}

// tokenOf is a token with all scopes.
func tokenOf(t *testing.T, issuer *conformance.Issuer, sub string) string {
	t.Helper()
	now := time.Now()
	claims, err := json.Marshal(map[string]any{"iss": issuerURL, "sub": sub, "client_id": "c", "aud": resource,
		"scope": "notes:read notes:write", "iat": now.Unix(), "exp": now.Add(time.Hour).Unix()})
	require.NoError(t, err)
	token, err := issuer.Sign(`{"alg":"RS256","typ":"at+jwt","kid":"check-1"}`, string(claims))
	require.NoError(t, err)
	return token
}

// TestAcrossRevisions_ISOL_13: a call of the revision without sessions is another
// person's, too, where a server keeps it under the same empty name as the older ones.
func TestAcrossRevisions_ISOL_13(t *testing.T) {
	issuer := sharedIssuer()
	report := checkServer(t, issuer, func(t *testing.T) http.Handler {
		return before(func(w http.ResponseWriter, r *http.Request) bool {
			return r.Header.Get("Mcp-Protocol-Version") != "2026-07-28" && strings.Contains(bodyOf(r), "tools/call") && refuse(w, http.StatusBadRequest)
		})(issuer, bearerOnly(t, issuer, good(t, issuer)))
	})
	cancel := isolationOf(report)["cancel"]
	assert.Equal(t, conformance.Fail, cancel.Outcome, cancel.Detail)
	assert.Contains(t, cancel.Detail, "a call of 2026-07-28: after another person's cancellation it got")
}

// noisy makes the notifying tool another one.
func noisy(t *testing.T, issuer *conformance.Issuer, tool server.ToolHandlerFunc, bare bool, options ...server.StreamableHTTPOption) http.Handler {
	t.Helper()
	options = append(options, server.WithStateLess(true))
	if !bare {
		return newAuth(t, issuer).Wrap(mcpServerWith(t, tool, options...))
	}
	return bearerOnlyWith(t, issuer, good(t, issuer), mcpServerWith(t, tool, options...))
}

// tell sends a notification to the one whose call it is.
func tell(ctx context.Context, method string, params map[string]any) {
	_ = server.ServerFromContext(ctx).SendNotificationToClient(ctx, method, params)
}

// pause waits unless the call is ended.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// TestTools_ISOL_12: what the suite can tell of a server depends on the tool that it
// is given, and it says so.
func TestTools_ISOL_12(t *testing.T) {
	done := mcp.NewToolResultText("done")
	logs := func(ctx context.Context, _ mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		for i := range 20 {
			tell(ctx, "notifications/message", map[string]any{"level": "info", "data": fmt.Sprint("row ", i)})
			if err := pause(ctx, 100*time.Millisecond); err != nil {
				return nil, err
			}
		}
		return done, nil
	}
	progress := func(ctx context.Context, r mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		for i := range 20 {
			if r.Params.Meta == nil {
				break
			}
			tell(ctx, "notifications/progress", map[string]any{"progressToken": r.Params.Meta.ProgressToken, "progress": i})
			if err := pause(ctx, 100*time.Millisecond); err != nil {
				return nil, err
			}
		}
		return done, nil
	}
	silent := func(ctx context.Context, _ mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		return done, pause(ctx, 2*time.Second)
	}
	obedient := func(ctx context.Context, r mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		result, err := logs(ctx, r)
		if err != nil {
			result = done // what was done so far is a result, too
		}
		return result, nil
	}
	broadcasts := func(ctx context.Context, r mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		server.ServerFromContext(ctx).SendNotificationToAllClients("notifications/tools/list_changed", nil)
		return logs(ctx, r)
	}
	slow := func(ctx context.Context, _ mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		tell(ctx, "notifications/message", map[string]any{"level": "info", "data": "x"})
		return done, pause(ctx, time.Hour)
	}
	quick := func(ctx context.Context, _ mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		tell(ctx, "notifications/message", map[string]any{"level": "info", "data": "x"})
		return done, nil
	}
	broken := func(context.Context, mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		return nil, errors.New("broken")
	}
	const pass, fail, notRun = conformance.Pass, conformance.Fail, conformance.NotRun
	for _, row := range []struct {
		name    string
		tool    server.ToolHandlerFunc
		bare    bool
		options []server.StreamableHTTPOption
		want    map[string]conformance.Outcome
		details map[string]string
	}{
		{"logs, bare", logs, true, nil, map[string]conformance.Outcome{"stream": fail, "cancel": fail, "end": fail, "resume": fail},
			map[string]string{"stream": `a message as the call sends them, "notifications/message"`}},
		{"tells of its progress, bare", progress, true, nil, map[string]conformance.Outcome{"stream": fail, "answer": fail, "cancel": fail, "end": fail, "resume": fail},
			map[string]string{"stream": `a message of the call, "notifications/progress"`, "answer": `a message of the call, "notifications/progress"`}},
		{"logs", logs, false, nil, map[string]conformance.Outcome{"stream": pass, "answer": pass, "cancel": pass, "end": pass, "resume": pass}, nil},
		{"tells everybody of something else", broadcasts, false, nil, map[string]conformance.Outcome{"stream": pass, "answer": pass}, nil},
		{"silent, bare", silent, true, nil, map[string]conformance.Outcome{"stream": notRun, "answer": notRun, "cancel": fail},
			map[string]string{"stream": "sends no notifications"}},
		{"silent", silent, false, nil, map[string]conformance.Outcome{"stream": notRun, "answer": notRun, "cancel": pass, "end": pass}, nil},
		{"gives what it has when it is ended, bare", obedient, true, nil, map[string]conformance.Outcome{"cancel": fail}, map[string]string{"cancel": "and takes 2s otherwise"}},
		{"quick", quick, false, nil, map[string]conformance.Outcome{"stream": pass, "answer": notRun, "cancel": notRun, "end": notRun}, map[string]string{"cancel": "name a tool that takes seconds"}},
		{"slow", slow, false, nil, map[string]conformance.Outcome{"stream": notRun, "answer": notRun, "cancel": notRun, "end": notRun}, map[string]string{"cancel": "no end within 30s"}},
		{"broken", broken, false, nil, map[string]conformance.Outcome{"stream": notRun, "answer": notRun, "cancel": notRun, "end": notRun}, map[string]string{"cancel": "JSON-RPC error -32603"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			issuer := sharedIssuer()
			report := checkServer(t, issuer, func(t *testing.T) http.Handler { return noisy(t, issuer, row.tool, row.bare, row.options...) })
			results := isolationOf(report)
			for id, want := range row.want {
				assert.Equal(t, want, results[id].Outcome, "%s: %s", id, results[id].Detail)
				assert.Contains(t, results[id].Detail, row.details[id], id)
			}
		})
	}
}

// TestAnswers_ISOL_12: what of a call can stand in the answer to somebody else's ping.
func TestAnswers_ISOL_12(t *testing.T) {
	issuer := sharedIssuer()
	for answer, detail := range map[string]string{
		`data: {"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"x"}}` + "\n\n": `a message as the call sends them, "notifications/message"`,
		`data: {"jsonrpc":"2.0","id":1,"result":{"content":[]}}` + "\n\n":                                        "the result of the call",
		`data: {"jsonrpc":"2.0","method":"notifications/tools/list_changed"}` + "\n\n":                           "",
	} {
		report := checkServer(t, issuer, func(t *testing.T) http.Handler {
			return before(func(w http.ResponseWriter, r *http.Request) bool {
				if _, claims := claimsOf(r); claims["sub"] != "mcpauth-check-2" || !strings.Contains(bodyOf(r), `"ping"`) {
					return false
				}
				w.Header().Set("Content-Type", "text/event-stream")
				_, _ = io.WriteString(w, answer)
				return true
			})(issuer, good(t, issuer))
		})
		got := isolationOf(report)["answer"]
		assert.Equal(t, detail != "", got.Outcome == conformance.Fail, got.Detail)
		assert.Contains(t, got.Detail, detail)
	}
}

// TestServedOnce_ISOL_12: a call that is refused while another person is there
// proves nothing of what that person could hear or do.
func TestServedOnce_ISOL_12(t *testing.T) {
	issuer := sharedIssuer()
	report := checkServer(t, issuer, func(t *testing.T) http.Handler {
		var calls atomic.Int32
		return before(func(w http.ResponseWriter, r *http.Request) bool {
			return strings.Contains(bodyOf(r), `"progressToken"`) && calls.Add(1) > 2 && refuse(w, http.StatusTooManyRequests)
		})(issuer, good(t, issuer))
	})
	results := isolationOf(report)
	for _, id := range []string{"stream", "answer", "cancel", "end"} {
		assert.Equal(t, conformance.NotRun, results[id].Outcome, id)
		assert.Contains(t, results[id].Detail, "it got 429, and was served before", id)
	}
}

// TestNothingDisturbed_ISOL_12: the suite ends nothing of anybody who uses the
// target at the same time, unless it is told that nobody does.
func TestNothingDisturbed_ISOL_12(t *testing.T) {
	for _, row := range []struct {
		url          string
		owned, alone bool
		deletes      bool
	}{
		{resource, false, false, true},
		{"https://mcp.example.com/mcp", true, false, false},
		{"https://mcp.example.com/mcp", true, true, true},
	} {
		issuer := sharedIssuer()
		var mu sync.Mutex
		var bodies []string
		bare := 0
		report := checkServer(t, issuer, func(t *testing.T) http.Handler {
			return before(func(w http.ResponseWriter, r *http.Request) bool {
				text := bodyOf(r)
				mu.Lock()
				defer mu.Unlock()
				if r.Method == http.MethodDelete && r.Header.Get("Mcp-Session-Id") == "" && r.Header.Get("Authorization") != "" {
					bare++
				}
				bodies = append(bodies, text)
				return false
			})(issuer, newAuthFor(t, issuer, row.url).Wrap(mcpServer(t)))
		}, func(target *conformance.Target) {
			target.URL, target.Owned, target.Alone = row.url, row.owned, row.alone
		})
		end := isolationOf(report)["end"]
		if row.deletes {
			assert.Equal(t, conformance.Pass, end.Outcome, end.Detail)
			assert.NotZero(t, bare)
		} else {
			assert.Equal(t, conformance.NotRun, end.Outcome)
			assert.Contains(t, end.Detail, "--alone")
			assert.Zero(t, bare)
		}
		cancels := 0
		for _, body := range bodies {
			var message struct {
				Method string
				Params struct{ RequestID json.Number }
			}
			if json.Unmarshal([]byte(body), &message) == nil && message.Method == "notifications/cancelled" {
				cancels++
				id, err := message.Params.RequestID.Int64()
				require.NoError(t, err)
				assert.Greater(t, id, int64(1)<<49, "an id that others may have")
				assert.Less(t, id, int64(1)<<53, "an integer that is not the same for all readers")
			}
		}
		assert.NotZero(t, cancels)
	}
}

// TestResumption_ISOL_02: events that a server numbers alike for everybody are
// no crossing, if they are the caller's own.
func TestResumption_ISOL_02(t *testing.T) {
	issuer := sharedIssuer()
	for own, want := range map[bool]conformance.Outcome{true: conformance.Pass, false: conformance.Fail} {
		report := checkServer(t, issuer, func(t *testing.T) http.Handler {
			var first string
			return before(func(w http.ResponseWriter, r *http.Request) bool {
				text := bodyOf(r)
				var id struct{ ID json.RawMessage }
				_ = json.Unmarshal([]byte(text), &id)
				_, claims := claimsOf(r)
				switch {
				case claims["sub"] == nil:
					return false
				case strings.Contains(text, "tools/list") && claims["sub"] == "mcpauth-check-1":
					first = string(id.ID)
					w.Header().Set("Content-Type", "text/event-stream")
					_, _ = fmt.Fprintf(w, "id: 0\ndata:\n\nid: 1\ndata: {\"jsonrpc\":\"2.0\",\"id\":%s,\"result\":{\"tools\":[]}}\n\n", first)
				case r.Header.Get("Last-Event-Id") != "":
					if own {
						first = "1"
					}
					w.Header().Set("Content-Type", "text/event-stream")
					_, _ = io.WriteString(w, `data: {"jsonrpc":"2.0","id":`+first+`,"result":{}}`+"\n\n")
				default:
					return false
				}
				return true
			})(issuer, good(t, issuer))
		}, func(target *conformance.Target) { target.Notifier = "" })
		resume := isolationOf(report)["resume"]
		assert.Equal(t, want, resume.Outcome, resume.Detail)
		for _, id := range []string{"stream", "answer", "cancel", "end"} {
			assert.Equal(t, "no tool that sends notifications was named: name one (Notifier, --notifier)", isolationOf(report)[id].Detail)
		}
	}
}
