package peers

import (
	"context"
	"encoding/json"
	"io"
	"net/http"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// GoJOSE is go-jose/go-jose v4. It fetches no keys itself: the set is fetched
// once, before.
func GoJOSE(ctx context.Context, source Source) (Verifier, error) {
	text, err := get(ctx, source.JWKSURL)
	if err != nil {
		return nil, err
	}
	var keys jose.JSONWebKeySet
	if err := json.Unmarshal(text, &keys); err != nil {
		return nil, err
	}
	algorithms := []jose.SignatureAlgorithm{jose.SignatureAlgorithm(source.Alg)}
	expected := jwt.Expected{Issuer: source.Issuer, AnyAudience: jwt.Audience{source.Audience}}
	return func(_ context.Context, token string) (Identity, error) {
		parsed, err := jwt.ParseSigned(token, algorithms)
		if err != nil {
			return Identity{}, err
		}
		var claims jwt.Claims
		var scope scopeClaim
		if err := parsed.Claims(&keys, &claims, &scope); err != nil {
			return Identity{}, err
		}
		if err := claims.Validate(expected); err != nil {
			return Identity{}, err
		}
		return identity(claims.Subject, scope.Scope, claims.Expiry.Time())
	}, nil
}

func get(ctx context.Context, url string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	return io.ReadAll(response.Body)
}
