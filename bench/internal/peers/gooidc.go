package peers

import (
	"context"

	"github.com/coreos/go-oidc/v3/oidc"
)

// GoOIDC is coreos/go-oidc v3 with discovery. It is made for ID tokens; with
// the resource as its client id it is what people use for access tokens too.
func GoOIDC(ctx context.Context, source Source) (Verifier, error) {
	provider, err := oidc.NewProvider(ctx, source.Issuer)
	if err != nil {
		return nil, err
	}
	verifier := provider.Verifier(&oidc.Config{ClientID: source.Audience, SupportedSigningAlgs: []string{source.Alg}})
	return func(ctx context.Context, token string) (Identity, error) {
		parsed, err := verifier.Verify(ctx, token)
		if err != nil {
			return Identity{}, err
		}
		var scope scopeClaim
		if err := parsed.Claims(&scope); err != nil {
			return Identity{}, err
		}
		return identity(parsed.Subject, scope.Scope, parsed.Expiry)
	}, nil
}
