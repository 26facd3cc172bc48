package matrix

import "slices"

// deviation is a cell of the matrix that is not simply "yes". A cell without
// one must work, and a deviation of a cell that works must go: both are checked.
type deviation struct {
	servers, clients []string // nil: all
	step             string
	fails            bool   // false: not applicable, by choice of the client or the server
	seen             string // what the judge says, or a part of it: any other problem is news
	reason           string
}

const (
	oidcProvider     = "oidc-provider"
	oidcProviderFree = "oidc-provider, free scopes"
	zitadel          = "zitadel/oidc"
	fosite           = "ory/fosite"

	nameMCPGo     = "mcp-go"
	nameTS1       = "TypeScript SDK 1.x"
	nameTS2       = "TypeScript SDK 2.x"
	nameInspector = "Inspector CLI"
	nameRemote    = "mcp-remote"
)

var deviations = []deviation{
	{
		servers: []string{zitadel, fosite}, step: stepRegister,
		seen:   "no client was registered",
		reason: "The server has no dynamic registration: its administrator gives the client an id.",
	},
	{
		clients: []string{nameMCPGo}, step: stepDiscover,
		seen: "no request without a token",
		reason: "The client sends nothing before it has a token, so it never sees a challenge. " +
			"It finds the metadata at its well-known path.",
	},
	{
		servers: []string{zitadel}, clients: []string{nameMCPGo, nameTS1}, step: stepUpWithRefresh,
		seen:   "there is no refresh token",
		reason: "The server issues a refresh token for `offline_access` only, and the client does not ask for that by itself.",
	},
	{
		clients: []string{nameMCPGo}, step: stepUp,
		seen: "insufficient scope",
		reason: "The client does not act on a 403. The application gets the refusal, " +
			"and can authorize again with more scopes.",
	},
	{
		clients: []string{nameMCPGo}, step: stepUpWithRefresh,
		seen: "insufficient scope",
		reason: "The client does not act on a 403. The application gets the refusal, " +
			"and can authorize again with more scopes.",
	},
	{
		servers: []string{zitadel}, clients: []string{nameMCPGo, nameTS1}, step: stepRefresh,
		seen:   "there is no refresh token",
		reason: "The server issues a refresh token for `offline_access` only, and the client does not ask for that by itself.",
	},
	{
		servers: []string{oidcProvider}, clients: []string{nameTS1, nameTS2, nameRemote}, step: stepUp, fails: true,
		seen:   "invalid_scope",
		reason: heldToRegistration,
	},
	{
		servers: []string{oidcProvider}, clients: []string{nameTS2, nameRemote}, step: stepUpWithRefresh, fails: true,
		seen:   "invalid_scope",
		reason: heldToRegistration,
	},
	{
		servers: []string{oidcProvider, oidcProviderFree, fosite}, clients: []string{nameTS1}, step: stepUpWithRefresh, fails: true,
		seen: "403 after trying upscoping",
		reason: "With a refresh token in hand the client refreshes instead of asking for consent, gets the scopes " +
			"that it had, and gives up. Nothing on the wire tells it to do otherwise; SDK 2.x does.",
	},
	{
		servers: []string{oidcProvider, oidcProviderFree}, clients: []string{nameInspector}, step: stepUp, fails: true,
		seen:   "consent for the scope was not asked for",
		reason: inspectorRegistered,
	},
	{
		servers: []string{oidcProvider, oidcProviderFree}, clients: []string{nameInspector}, step: stepUpWithRefresh, fails: true,
		seen:   "consent for the scope was not asked for",
		reason: inspectorRegistered,
	},
}

const (
	heldToRegistration = "The client registers with the scope of the first challenge, and the server holds it to that: " +
		"`invalid_scope`. An operator of such a server lets clients register for more (the rows with free scopes), " +
		"or lists all scopes in `Config.Scopes`."
	inspectorRegistered = "After registering by itself the client answers the 403 with the scopes that it registered for, " +
		"not with those of the challenge, and gives up. With an id from an administrator it steps up."
)

func deviationFor(server, client, step string) *deviation {
	for i, d := range deviations {
		if d.step == step && among(d.servers, server) && among(d.clients, client) {
			return &deviations[i]
		}
	}
	return nil
}

func among(names []string, name string) bool {
	return names == nil || slices.Contains(names, name)
}
