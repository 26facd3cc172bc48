package peers

import (
	"context"
	"fmt"
	"net/url"
	"time"

	"github.com/auth0/go-jwt-middleware/v3/jwks"
	"github.com/auth0/go-jwt-middleware/v3/validator"
)

// Validate implements validator.CustomClaims.
func (*scopeClaim) Validate(context.Context) error { return nil }

// Auth0 is auth0/go-jwt-middleware v3, its validator without its middleware.
func Auth0(_ context.Context, source Source) (Verifier, error) {
	issuer, err := url.Parse(source.Issuer)
	if err != nil {
		return nil, err
	}
	provider, err := jwks.NewCachingProvider(jwks.WithIssuerURL(issuer))
	if err != nil {
		return nil, err
	}
	check, err := validator.New(
		validator.WithKeyFunc(provider.KeyFunc),
		validator.WithAlgorithm(validator.SignatureAlgorithm(source.Alg)),
		validator.WithIssuer(source.Issuer),
		validator.WithAudience(source.Audience),
		validator.WithCustomClaims(func() *scopeClaim { return &scopeClaim{} }),
	)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, token string) (Identity, error) {
		valid, err := check.ValidateToken(ctx, token)
		if err != nil {
			return Identity{}, err
		}
		claims, ok := valid.(*validator.ValidatedClaims)
		if !ok {
			return Identity{}, fmt.Errorf("unexpected %T", valid)
		}
		scope := claims.CustomClaims.(*scopeClaim).Scope
		return identity(claims.RegisteredClaims.Subject, scope, time.Unix(claims.RegisteredClaims.Expiry, 0))
	}, nil
}
