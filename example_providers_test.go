package mcpauth_test

import "github.com/seed-1e292522/mcpauth"

// The literals of docs/providers, in the order of its index. Each page shows
// what the functions here return, byte for byte.

func auth0() mcpauth.Issuer {
	return mcpauth.Issuer{
		URL: "https://your-tenant.us.auth0.com/",
	}
}

func auth0Permissions() mcpauth.Issuer {
	return mcpauth.Issuer{
		URL: "https://your-tenant.us.auth0.com/",
		Claims: mcpauth.ClaimMap{
			Scopes: []string{"scope", "permissions"},
			Union:  true,
		},
	}
}

func okta() mcpauth.Issuer {
	return mcpauth.Issuer{
		URL: "https://your-org.okta.com/oauth2/aus000000000000000",
	}
}

func oktaDefault() mcpauth.Issuer {
	return mcpauth.Issuer{
		URL:       "https://your-org.okta.com/oauth2/default",
		Audiences: []string{"https://mcp.example.com/mcp", "api://default"},
	}
}

func entraV2() mcpauth.Issuer {
	return mcpauth.Issuer{
		URL:       "https://login.microsoftonline.com/00000000-0000-0000-0000-000000000000/v2.0",
		Audiences: []string{"https://mcp.example.com/mcp", "00000000-0000-0000-0000-000000000001"},
		Claims: mcpauth.ClaimMap{
			Roles: []string{"scp", "roles"},
			RoleScopes: map[string][]string{
				"Mcp.Read":     {"https://mcp.example.com/mcp/Mcp.Read"},
				"Mcp.Read.All": {"https://mcp.example.com/mcp/Mcp.Read"},
			},
		},
	}
}

func entraV1() mcpauth.Issuer {
	return mcpauth.Issuer{
		URL: "https://sts.windows.net/00000000-0000-0000-0000-000000000000/",
		Claims: mcpauth.ClaimMap{
			Roles: []string{"scp", "roles"},
			RoleScopes: map[string][]string{
				"Mcp.Read":     {"https://mcp.example.com/mcp/Mcp.Read"},
				"Mcp.Read.All": {"https://mcp.example.com/mcp/Mcp.Read"},
			},
		},
	}
}

func cognito() mcpauth.Issuer {
	return mcpauth.Issuer{
		URL:           "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_000000000",
		RequireClaims: map[string][]string{"token_use": {"access"}},
	}
}

func cognitoUnbound() mcpauth.Issuer {
	return mcpauth.Issuer{
		URL:           "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_000000000",
		Audiences:     []string{"https://mcp.example.com/mcp", "client-1"},
		Claims:        mcpauth.ClaimMap{Audience: "client_id"},
		RequireClaims: map[string][]string{"token_use": {"access"}},
	}
}

func keycloak() mcpauth.Issuer {
	return mcpauth.Issuer{
		URL: "https://keycloak.example.com/realms/your-realm",
	}
}

func keycloakRoles() mcpauth.Issuer {
	return mcpauth.Issuer{
		URL: "https://keycloak.example.com/realms/your-realm",
		Claims: mcpauth.ClaimMap{
			Roles: []string{"realm_access.roles", "resource_access.mcp-server.roles"},
			RoleScopes: map[string][]string{
				"mcp-reader": {"mcp:read"},
				"mcp-lister": {"mcp:list"},
			},
		},
	}
}

func scalekit() mcpauth.Issuer {
	return mcpauth.Issuer{
		URL:       "https://your-env.scalekit.com/resources/res_000000000000000000",
		Audiences: []string{"https://mcp.example.com/mcp", "res_000000000000000000"},
	}
}

func workos() mcpauth.Issuer {
	return mcpauth.Issuer{
		URL:    "https://your-app.authkit.app",
		Claims: mcpauth.ClaimMap{Scopes: []string{"permissions"}},
	}
}

func stytch() mcpauth.Issuer {
	return mcpauth.Issuer{
		URL:       "https://login.example.com",
		Audiences: []string{"https://mcp.example.com/mcp", "project-live-00000000-0000-0000-0000-000000000000"},
	}
}

func descope() mcpauth.Issuer {
	return mcpauth.Issuer{
		URL: "https://api.descope.com/v1/apps/agentic/P000000000000000000000000000/MS000000000000000000000000000",
	}
}

func clerk() mcpauth.Issuer {
	return mcpauth.Issuer{
		URL:       "https://clerk.example.com",
		Audiences: []string{"https://mcp.example.com/mcp", "client-1"},
		Claims:    mcpauth.ClaimMap{Audience: "client_id"},
	}
}

func hydra() mcpauth.Issuer {
	return mcpauth.Issuer{
		URL: "https://hydra.example.com",
	}
}

func glewlwyd() mcpauth.Issuer {
	return mcpauth.Issuer{
		URL: "https://login.example.com/api/oidc",
	}
}

func betterAuth() mcpauth.Issuer {
	return mcpauth.Issuer{
		URL: "https://login.example.com/api/auth",
	}
}

func zitadel() mcpauth.Issuer {
	return mcpauth.Issuer{
		URL:       "https://your-instance.zitadel.cloud",
		Audiences: []string{"https://mcp.example.com/mcp", "000000000000000002"},
		Claims: mcpauth.ClaimMap{
			Roles: []string{"urn:zitadel:iam:org:project:000000000000000002:roles"},
			RoleScopes: map[string][]string{
				"mcp-reader": {"urn:zitadel:iam:org:project:role:mcp-reader"},
			},
		},
	}
}

func logto() mcpauth.Issuer {
	return mcpauth.Issuer{
		URL: "https://your-tenant.logto.app/oidc",
	}
}

func pingFederate() mcpauth.Issuer {
	return mcpauth.Issuer{
		URL: "https://pingfederate.example.com",
		Claims: mcpauth.ClaimMap{
			Scopes:   []string{"scopes"},
			ClientID: "oauth_client",
		},
	}
}

func pingOne() mcpauth.Issuer {
	return mcpauth.Issuer{
		URL: "https://auth.pingone.eu/00000000-0000-0000-0000-000000000000/as",
	}
}

func fusionAuth() mcpauth.Issuer {
	return mcpauth.Issuer{
		URL:       "https://fusionauth.example.com",
		Audiences: []string{"https://mcp.example.com/mcp", "00000000-0000-0000-0000-000000000001"},
		Claims:    mcpauth.ClaimMap{ClientID: "applicationId"},
	}
}

func authentik() mcpauth.Issuer {
	return mcpauth.Issuer{
		URL:           "https://authentik.example.com/application/o/mcp/",
		Audiences:     []string{"https://mcp.example.com/mcp", "client-1"},
		RequireClaims: map[string][]string{"azp": {"client-1"}},
	}
}
