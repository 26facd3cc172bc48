// Package clientauth is how a client of an authorization server proves who it is at an endpoint of that server:
// by a secret, or by an assertion that a key has signed. A [Method] is one way with all that it needs; it shows
// no secret, whoever prints it.
package clientauth

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"unicode"
)

// Method is one way of client authentication. The zero value is none, and fails.
type Method struct {
	clientID string
	way      string // and what else of it is no secret
	err      error  // of the constructor
	apply    func(ctx context.Context, at Endpoint, h http.Header, form url.Values) error

	// secret tells two secrets apart, in this process: what it stands for cannot be guessed from it.
	secret [sha256.Size]byte
}

// digestKey is of this process.
var digestKey = rand.Text()

// digest stands for what a method is made of.
func digest(parts ...string) (sum [sha256.Size]byte) {
	h := hmac.New(sha256.New, []byte(digestKey))
	for _, part := range parts {
		fmt.Fprintf(h, "%d %s", len(part), part)
	}
	h.Sum(sum[:0])
	return sum
}

// Endpoint is where the client authenticates.
type Endpoint struct {
	_ [0]func() // keyed literals only

	Issuer string // identifier of the authorization server
	URL    string // of the endpoint
}

var (
	errNone = errors.New("clientauth: no method: use SecretBasic, SecretPost or PrivateKeyJWT")
	errNoID = errors.New("clientauth: the client id is empty: give the one of this server's registration")
)

// ClientID is the client's identifier.
func (m Method) ClientID() string { return m.clientID }

// Validate returns what is wrong with the method, nil for nothing.
func (m Method) Validate() error {
	if m.err == nil && m.apply == nil {
		return errNone
	}
	return m.err
}

// Apply adds what authenticates the client to the header or the form of a request to an endpoint. A method
// with a key signs an assertion for that one request.
func (m Method) Apply(ctx context.Context, at Endpoint, h http.Header, form url.Values) error {
	if err := m.Validate(); err != nil {
		return err
	}
	return m.apply(ctx, at, h, form)
}

// SecretBasic is client_secret_basic: the header field Authorization has id and secret, each encoded
// as a form has it (RFC 6749 section 2.3.1).
func SecretBasic(clientID, secret string) Method {
	return withSecret("basic", clientID, secret, func(_ context.Context, _ Endpoint, h http.Header, _ url.Values) error {
		pair := url.QueryEscape(clientID) + ":" + url.QueryEscape(secret)
		h.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(pair)))
		return nil
	})
}

// SecretPost is client_secret_post: id and secret stand in the form, for servers that know nothing better.
func SecretPost(clientID, secret string) Method {
	return withSecret("post", clientID, secret, func(_ context.Context, _ Endpoint, _ http.Header, form url.Values) error {
		form.Set("client_id", clientID)
		form.Set("client_secret", secret)
		return nil
	})
}

func withSecret(way, clientID, secret string, apply func(context.Context, Endpoint, http.Header, url.Values) error) Method {
	m := Method{clientID: clientID, way: way, apply: apply, secret: digest(way, clientID, secret)}
	switch {
	case clientID == "" && secret == "":
		m.err = errors.New("clientauth: client id and secret are empty: give those of this server's registration")
	case clientID == "":
		m.err = errNoID
	case strings.ContainsFunc(clientID+secret, unicode.IsControl): // RFC 6749 appendices A.1 and A.2
		m.err = errors.New("clientauth: the client id or the secret has a control character, such as the line end of the file that it was read from: trim it")
	case secret == "":
		m.err = errors.New("clientauth: the secret is empty: give the one that the authorization server has issued")
	}
	return m
}
