package peers

import (
	"context"

	"github.com/MicahParks/keyfunc/v3"
	"github.com/golang-jwt/jwt/v5"
)

type golangClaims struct {
	jwt.RegisteredClaims
	scopeClaim
}

// GolangJWT is golang-jwt/jwt v5 with the keys of MicahParks/keyfunc v3.
func GolangJWT(ctx context.Context, source Source) (Verifier, error) {
	keys, err := keyfunc.NewDefaultCtx(ctx, []string{source.JWKSURL})
	if err != nil {
		return nil, err
	}
	parser := jwt.NewParser(jwt.WithValidMethods([]string{source.Alg}), jwt.WithIssuer(source.Issuer),
		jwt.WithAudience(source.Audience), jwt.WithExpirationRequired())
	return func(_ context.Context, token string) (Identity, error) {
		var claims golangClaims
		if _, err := parser.ParseWithClaims(token, &claims, keys.Keyfunc); err != nil {
			return Identity{}, err
		}
		return identity(claims.Subject, claims.Scope, claims.ExpiresAt.Time)
	}, nil
}
