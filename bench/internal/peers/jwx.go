package peers

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/lestrrat-go/httprc/v3"
	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/lestrrat-go/jwx/v3/jws"
	"github.com/lestrrat-go/jwx/v3/jwt"
)

func jwxKeys(ctx context.Context, source Source) (jwk.Set, error) {
	cache, err := jwk.NewCache(ctx, httprc.NewClient())
	if err != nil {
		return nil, err
	}
	if err := cache.Register(ctx, source.JWKSURL); err != nil {
		return nil, err
	}
	return cache.CachedSet(source.JWKSURL)
}

// JWX is jwt.Parse of lestrrat-go/jwx v3 with its own key cache.
func JWX(ctx context.Context, source Source) (Verifier, error) {
	keys, err := jwxKeys(ctx, source)
	if err != nil {
		return nil, err
	}
	return func(_ context.Context, token string) (Identity, error) {
		parsed, err := jwt.Parse([]byte(token), jwt.WithKeySet(keys),
			jwt.WithIssuer(source.Issuer), jwt.WithAudience(source.Audience))
		if err != nil {
			return Identity{}, err
		}
		var scope string
		if err := parsed.Get("scope", &scope); err != nil {
			return Identity{}, err
		}
		subject, _ := parsed.Subject()
		expiry, _ := parsed.Expiration()
		return identity(subject, scope, expiry)
	}, nil
}

// JWXSignature is jws.Verify with one key that is known beforehand, and the
// claims read by encoding/json: the least of jwx that does the job.
func JWXSignature(ctx context.Context, source Source) (Verifier, error) {
	keys, err := jwxKeys(ctx, source)
	if err != nil {
		return nil, err
	}
	key, ok := keys.LookupKeyID(source.Alg)
	if !ok {
		return nil, fmt.Errorf("no key for %s", source.Alg)
	}
	alg, ok := jwa.LookupSignatureAlgorithm(source.Alg)
	if !ok {
		return nil, fmt.Errorf("no algorithm %s", source.Alg)
	}
	public, err := jwk.PublicRawKeyOf(key)
	if err != nil {
		return nil, err
	}
	return func(_ context.Context, token string) (Identity, error) {
		payload, err := jws.Verify([]byte(token), jws.WithKey(alg, public))
		if err != nil {
			return Identity{}, err
		}
		var claims struct {
			Issuer   string   `json:"iss"`
			Subject  string   `json:"sub"`
			Audience []string `json:"aud"`
			Expiry   int64    `json:"exp"`
			scopeClaim
		}
		if err := json.Unmarshal(payload, &claims); err != nil {
			return Identity{}, err
		}
		expiry := time.Unix(claims.Expiry, 0)
		if claims.Issuer != source.Issuer || !slices.Contains(claims.Audience, source.Audience) || time.Now().After(expiry) {
			return Identity{}, fmt.Errorf("claims")
		}
		return identity(claims.Subject, claims.Scope, expiry)
	}, nil
}
