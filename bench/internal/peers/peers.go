// Package peers wires the libraries that people use for the same job, each as
// its own documentation shows: keys from the issuer, and the issuer, the
// audience and the time checked.
package peers

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// Source is where the tokens come from and for whom they are.
type Source struct {
	Issuer   string // iss, and where metadata is
	JWKSURL  string
	Audience string
	Alg      string // the one algorithm to accept
}

// Identity is what every peer has to find out, so that all do the same work.
type Identity struct {
	Subject string
	Scopes  []string
	Expiry  time.Time
}

// Verifier checks a compact token. It is safe for concurrent use.
type Verifier func(ctx context.Context, token string) (Identity, error)

// Peer is one library, or several that are used together.
type Peer struct {
	Name string
	// New fetches the keys and returns the verifier. ctx ends what the library
	// runs in the background.
	New func(ctx context.Context, source Source) (Verifier, error)
}

// All are the peers, in the order of the tables.
var All = []Peer{
	{"golang-jwt+keyfunc", GolangJWT},
	{"jwx-jws", JWXSignature},
	{"jwx-jwt", JWX},
	{"go-jose", GoJOSE},
	{"go-oidc", GoOIDC},
	{"auth0", Auth0},
}

// scopeClaim is the claim that none of the libraries knows by itself.
type scopeClaim struct {
	Scope string `json:"scope"`
}

func identity(subject, scope string, expiry time.Time) (Identity, error) {
	if subject == "" {
		return Identity{}, fmt.Errorf("no subject")
	}
	return Identity{Subject: subject, Scopes: strings.Fields(scope), Expiry: expiry}, nil
}
