package mcpauth_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/mcpauthtest"
)

// bareWriter is a ResponseWriter that keeps nothing, so that only the wrapper is measured.
type bareWriter struct{ h http.Header }

func (w *bareWriter) Header() http.Header         { return w.h }
func (w *bareWriter) Write(p []byte) (int, error) { return len(p), nil }
func (w *bareWriter) WriteHeader(int)             {}

// rewound is a request body that can be read again and again.
type rewound struct{ bytes.Reader }

func (*rewound) Close() error { return nil }

// warmRequest returns a function that sends one request with a token that has
// been seen before, and the request that it sends.
func warmRequest(tb testing.TB, next http.Handler) func() {
	tb.Helper()
	iss := mcpauthtest.NewIssuerAt(tb, testIssuerURL)
	auth, err := mcpauth.New(mcpauth.Config{
		Resource:  testResource,
		Issuers:   []mcpauth.Issuer{iss.Config()},
		Transport: iss.Transport(),
		Policy:    mcpauth.Rules{Tools: map[string]mcpauth.Requirement{"echo": mcpauth.Scopes("mcp:read")}},
	})
	if err != nil {
		tb.Fatal(err)
	}
	token := iss.TokenFor(testResource, "mcp:read", "analytics:data:read", "dashboard:modify")
	text := []byte(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"text":"` +
		strings.Repeat("hello world ", 14) + `"},"_meta":{"progressToken":7}}}`)
	body := &rewound{}
	body.Reset(text)
	r := httptest.NewRequest(http.MethodPost, testResource, body)
	r.Body, r.ContentLength = body, int64(len(text))
	r.Header = http.Header{
		"Authorization":        {"Bearer " + token},
		"Content-Type":         {"application/json"},
		"Accept":               {"application/json, text/event-stream"},
		"Mcp-Protocol-Version": {"2025-11-25"},
		"User-Agent":           {"client/1.0"},
		"Accept-Encoding":      {"gzip"},
	}
	handler := auth.Wrap(next)
	h := make(http.Header, 8)
	w := &bareWriter{h: h}
	return func() {
		_, _ = body.Seek(0, io.SeekStart)
		clear(h)
		handler.ServeHTTP(w, r)
	}
}

func noop(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	w.WriteHeader(http.StatusAccepted)
}

// BenchmarkWarm is what the wrapper costs for a token that it has seen before.
func BenchmarkWarm(b *testing.B) {
	ran := 0
	send := warmRequest(b, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { ran++; noop(w, r) }))
	send()
	if ran != 1 {
		b.Fatal("refused")
	}
	b.ReportAllocs()
	for b.Loop() {
		send()
	}
}

func init() {
	mcpauth.SetBenchmark(func(b *testing.B) {
		for _, alg := range []string{"RS256", "PS256", "ES256", "EdDSA"} {
			b.Run(alg, func(b *testing.B) {
				iss := mcpauthtest.NewIssuerAt(b, testIssuerURL)
				iss.Rotate(mcpauthtest.NewKey("k1", alg))
				auth, err := mcpauth.New(mcpauth.Config{Resource: testResource, Issuers: []mcpauth.Issuer{iss.Config()}, Transport: iss.Transport()})
				if err != nil {
					b.Fatal(err)
				}
				token := iss.Token(mcpauthtest.Claims{
					"aud": testResource, "scope": "mcp:read analytics:data:read dashboard:modify", "acr": "urn:example:silver",
					"auth_time": 1779999000, "groups": []string{"engineering", "on-call", "dashboards"}, "tenant": strings.Repeat("t", 40),
				})
				b.ReportAllocs()
				for b.Loop() {
					auth.VerifyAnew(b, token)
				}
			})
		}
	})
}

// BenchmarkRefusal is what a stranger costs.
func BenchmarkRefusal(b *testing.B) {
	iss := mcpauthtest.NewIssuerAt(b, testIssuerURL)
	auth, err := mcpauth.New(mcpauth.Config{Resource: testResource, Issuers: []mcpauth.Issuer{iss.Config()}, Transport: iss.Transport()})
	if err != nil {
		b.Fatal(err)
	}
	for name, authorization := range map[string][]string{
		"no token":       nil,
		"garbage":        {"Bearer " + strings.Repeat("A", 900)},
		"three segments": {"Bearer AAAA." + strings.Repeat("A", 900) + ".AAAA"},
		"unknown alg":    {"Bearer " + iss.Sign(`{"alg":"none"}`, `{}`)},
		"wrong issuer":   {"Bearer " + iss.Token(mcpauthtest.Claims{"aud": testResource, "iss": "https://evil.example.com"})},
		"wrong audience": {"Bearer " + iss.Token(mcpauthtest.Claims{"aud": "https://other.example.com"})},
		"expired":        {"Bearer " + iss.Token(mcpauthtest.Claims{"aud": testResource, "exp": 1})},
	} {
		b.Run(name, func(b *testing.B) {
			handler := auth.Wrap(http.HandlerFunc(noop))
			r := httptest.NewRequest(http.MethodPost, testResource, nil)
			r.Header = http.Header{"Content-Type": {"application/json"}}
			if authorization != nil {
				r.Header["Authorization"] = authorization
			}
			w := &bareWriter{h: make(http.Header, 8)}
			b.ReportAllocs()
			for b.Loop() {
				clear(w.h)
				handler.ServeHTTP(w, r)
			}
		})
	}
}
