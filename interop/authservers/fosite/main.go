// Command fosite is an authorization server made of ory/fosite. It listens on a
// free port of 127.0.0.1, prints it as one line of JSON, and ends when its
// standard input does. Its environment:
//
//	ISSUER      the issuer, with a path that ends in a slash
//	AUDIENCE    what is registered as the audience of the API
//	CLIENT_ID   the one client, public, on any port of 127.0.0.1
//	SHORT_LIFE  the lifetime of ron's tokens, in seconds
package main

import (
	"encoding/json"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"time"
)

type options struct {
	issuer, path, audience, clientID string
	scopes                           []string
	shortLife                        time.Duration
}

func main() {
	log.SetFlags(0)
	seconds, err := strconv.Atoi(os.Getenv("SHORT_LIFE"))
	if err != nil {
		log.Fatal("SHORT_LIFE: ", err)
	}
	issuer, err := url.Parse(os.Getenv("ISSUER"))
	if err != nil {
		log.Fatal("ISSUER: ", err)
	}
	server, err := newServer(options{
		issuer: issuer.String(), path: issuer.Path,
		audience: os.Getenv("AUDIENCE"), clientID: os.Getenv("CLIENT_ID"),
		scopes:    []string{"mcp:read", "mcp:admin"},
		shortLife: time.Duration(seconds) * time.Second,
	})
	if err != nil {
		log.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	ready := map[string]any{"port": listener.Addr().(*net.TCPAddr).Port, "version": version()}
	if err := json.NewEncoder(os.Stdout).Encode(ready); err != nil {
		log.Fatal(err)
	}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	log.Fatal((&http.Server{Handler: server.handler(), ReadHeaderTimeout: 10 * time.Second}).Serve(listener))
}

// version is the version of fosite that this program is built with.
func version() string {
	info, _ := debug.ReadBuildInfo()
	for _, module := range info.Deps {
		if module.Path == "github.com/ory/fosite" {
			return strings.TrimPrefix(module.Version, "v")
		}
	}
	return "unknown"
}
