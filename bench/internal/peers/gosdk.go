package peers

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/modelcontextprotocol/go-sdk/auth"
)

// BearerToken is RequireBearerToken of the official go-sdk around a verifier
// and in front of next.
func BearerToken(verify Verifier, next http.Handler) http.Handler {
	check := func(ctx context.Context, token string, _ *http.Request) (*auth.TokenInfo, error) {
		who, err := verify(ctx, token)
		if err != nil {
			return nil, fmt.Errorf("%w: %v", auth.ErrInvalidToken, err)
		}
		return &auth.TokenInfo{Scopes: who.Scopes, Expiration: who.Expiry, UserID: who.Subject}, nil
	}
	return auth.RequireBearerToken(check, &auth.RequireBearerTokenOptions{
		ResourceMetadataURL: "https://mcp.example.com/.well-known/oauth-protected-resource/mcp",
		Scopes:              []string{"mcp:read"},
	})(next)
}

// Remember puts in front of a verifier the cache that a careful user writes: a
// hashicorp LRU of at most 65,536 tokens under their SHA-256, in which expired
// entries do not count.
func Remember(verify Verifier) Verifier {
	known, err := lru.New[[sha256.Size]byte, Identity](1 << 16)
	if err != nil {
		panic("bench: " + err.Error())
	}
	return func(ctx context.Context, token string) (Identity, error) {
		key := sha256.Sum256([]byte(token))
		if who, ok := known.Get(key); ok && time.Now().Before(who.Expiry) {
			return who, nil
		}
		who, err := verify(ctx, token)
		if err == nil {
			known.Add(key, who)
		}
		return who, err
	}
}

// Message is as much of a tools/call as a policy needs.
type Message struct {
	ID     json.RawMessage `json:"id"`
	Method string          `json:"method"`
	Params struct {
		Name      string          `json:"name"`
		Arguments json.RawMessage `json:"arguments"`
	} `json:"params"`
}

// ReadCall is the middleware that a user writes in order to decide by the tool
// that is called: the body is read, decoded by encoding/json and put back.
func ReadCall(allowed map[string]bool, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 4<<20))
		if err != nil {
			http.Error(w, "body", http.StatusBadRequest)
			return
		}
		var message Message
		if err := json.Unmarshal(body, &message); err != nil {
			http.Error(w, "body", http.StatusBadRequest)
			return
		}
		if message.Method == "tools/call" && !allowed[message.Params.Name] {
			http.Error(w, "forbidden", http.StatusForbidden)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		next.ServeHTTP(w, r)
	})
}

// FilterTools is the middleware that a user writes in order to hide tools: the
// answer is held, decoded by encoding/json and written anew.
func FilterTools(hidden map[string]bool, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		held := &holder{ResponseWriter: w}
		next.ServeHTTP(held, r)
		var answer struct {
			JSONRPC string          `json:"jsonrpc"`
			ID      json.RawMessage `json:"id"`
			Result  struct {
				Tools []json.RawMessage `json:"tools"`
			} `json:"result"`
		}
		if err := json.Unmarshal(held.Bytes(), &answer); err != nil {
			http.Error(w, "list", http.StatusBadGateway)
			return
		}
		answer.Result.Tools = slices.DeleteFunc(answer.Result.Tools, func(text json.RawMessage) bool {
			var tool struct {
				Name string `json:"name"`
			}
			return json.Unmarshal(text, &tool) != nil || hidden[tool.Name]
		})
		_ = json.NewEncoder(w).Encode(answer)
	})
}

type holder struct {
	http.ResponseWriter
	bytes.Buffer
}

func (h *holder) Write(b []byte) (int, error) { return h.Buffer.Write(b) }
