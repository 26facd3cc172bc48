package soak

import (
	"bytes"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// Header fields of the soak's own: the number of a request, and which middleware has answered.
const (
	numberHeader = "Soak-Number"
	atHeader     = "Soak-At"
)

// balancer passes requests on to the replicas in turns, and those of a session to the one that began it.
type balancer struct {
	url       string
	transport *http.Transport

	mu       sync.Mutex
	replicas []*url.URL
	sessions map[string]int
	turn     atomic.Int64
}

func newBalancer(t testing.TB) *balancer {
	b := &balancer{sessions: map[string]int{}, transport: &http.Transport{MaxIdleConnsPerHost: 256, DisableCompression: true}}
	proxy := &httputil.ReverseProxy{
		Transport: b.transport,
		Rewrite: func(r *httputil.ProxyRequest) {
			which := b.choose(r.In)
			r.SetURL(b.replica(which))
			r.Out.Host = r.In.Host
			// Whole: otherwise the transport may still look for its end when the server of this request, which is about to
			// answer, has closed it, and would break off the answer.
			body, _ := io.ReadAll(r.In.Body)
			r.Out.Body = io.NopCloser(bytes.NewReader(body))
			r.Out.Header.Set(atHeader, strconv.Itoa(which)+r.In.URL.Path) // for ModifyResponse; a replica takes no notice
		},
		ModifyResponse: b.note,
		ErrorHandler:   func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
		ErrorLog:       slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
	}
	server := httptest.NewUnstartedServer(proxy)
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	server.Start()
	b.url = server.URL
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
		b.transport.CloseIdleConnections()
	})
	return b
}

func (b *balancer) add(port int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.replicas = append(b.replicas, &url.URL{Scheme: "http", Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(port))})
}

func (b *balancer) replica(which int) *url.URL {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.replicas[which]
}

func (b *balancer) choose(r *http.Request) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	if which, ok := b.sessions[r.Header.Get("Mcp-Session-Id")]; ok {
		return which
	}
	return int(b.turn.Add(1)) % len(b.replicas)
}

// note remembers which replica has begun a session, and says which one has answered.
func (b *balancer) note(response *http.Response) error {
	at := response.Request.Header.Get(atHeader)
	response.Header.Set(atHeader, at)
	b.mu.Lock()
	defer b.mu.Unlock()
	if session := response.Header.Get("Mcp-Session-Id"); session != "" {
		which, _, _ := strings.Cut(at, "/")
		b.sessions[session], _ = strconv.Atoi(which)
	}
	if session := response.Request.Header.Get("Mcp-Session-Id"); response.Request.Method == http.MethodDelete && response.StatusCode < 300 {
		delete(b.sessions, session)
	}
	return nil
}
