package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"strings"
	"time"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/conformance"
)

// freshLifetime is how long a token lives that is made anew, if the old one does not say.
const freshLifetime = 5 * time.Minute

// asIfFresh has the rest of an old token judged: tokens live for minutes, and
// whoever asks the doctor has one that is older. The same claims with new times are
// signed with a key of our own, and judged by a middleware that trusts it.
func (d *doctor) asIfFresh(ctx context.Context) {
	config, signer, err := trusting(d.file.config(d.file.Resource))
	if err != nil {
		return
	}
	token, err := freshened(d.token, signer)
	if err != nil {
		return // it is not as well formed as the middleware takes it for
	}
	judge, err := newLibrary(config)
	if err != nil {
		return
	}
	decision, err := judge.ask(ctx, token, initialize)
	switch {
	case err != nil:
	case decision.Err != nil && decision.Cause == boundAsBearer:
		d.step(stateNote, "a fresh one with the same claims would be accepted with a proof by the key that it is bound to", "")
	case decision.Err != nil:
		d.refused("once it is fresh", decision)
	default:
		d.step(stateNote, "a fresh one with the same claims would be accepted, if its signature is good", "")
		d.opens(ctx, judge, token, decision.Principal)
	}
}

// trusting is the configuration with a key of ours in the place of the issuers'
// own, and what signs with it. Nothing is fetched then.
func trusting(config mcpauth.Config) (mcpauth.Config, *conformance.Signer, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return config, nil, err
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return config, nil, err
	}
	for i := range config.Issuers {
		one := &config.Issuers[i]
		one.Keys, one.JWKSURI, one.Algorithms = pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), "", nil
	}
	signer, err := conformance.NewSigner(standInIssuer, "", key)
	return config, signer, err
}

// freshened is a token with the same claims, but for its times, signed anew.
func freshened(token string, signer *conformance.Signer) (string, error) {
	var parts [2]map[string]any
	for i, part := range strings.SplitN(token, ".", 3)[:2] {
		text, err := base64.RawURLEncoding.DecodeString(part)
		if err != nil {
			return "", err
		}
		decoder := json.NewDecoder(strings.NewReader(string(text)))
		decoder.UseNumber() // numbers stay as they are
		if err := decoder.Decode(&parts[i]); err != nil {
			return "", err
		}
	}
	header, claims := parts[0], parts[1]
	now, lifetime := time.Now(), freshLifetime
	issued, _ := claims["iat"].(json.Number)
	expiry, _ := claims["exp"].(json.Number)
	if from, err := issued.Float64(); err == nil {
		if to, err := expiry.Float64(); err == nil && to > from {
			lifetime = time.Duration(min(to-from, 1e9) * float64(time.Second))
		}
		claims["iat"] = now.Unix()
	}
	if _, given := claims["nbf"]; given {
		claims["nbf"] = now.Unix()
	}
	claims["exp"] = now.Add(lifetime).Unix()
	header["alg"] = "ES256"
	head, err := json.Marshal(header)
	if err != nil {
		return "", err
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	return signer.Sign(string(head), string(payload))
}
