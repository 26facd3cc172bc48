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
	keycloak         = "Keycloak"

	betterAuth = "Better Auth"
	hydra      = "Ory Hydra"
	glewlwyd   = "Glewlwyd"

	nameMCPGo     = "mcp-go"
	nameTS1       = "TypeScript SDK 1.x"
	nameTS2       = "TypeScript SDK 2.x"
	namePython    = "Python SDK"
	nameInspector = "Inspector CLI"
	nameRemote    = "mcp-remote"
)

var deviations = slices.Concat(
	unread,
	general,
)

// unread are the steps that mcp-go does not come to with Better Auth.
var unread = func() (all []deviation) {
	for step, seen := range map[string]string{
		stepList:          "the client did not get so far",
		stepCall:          "the client did not get so far",
		stepUp:            "nothing was refused",
		stepUpWithRefresh: "there is no refresh token",
		stepRefresh:       "there is no refresh token",
		stepRotation:      "there is no refresh token",
		stepRefusedUp:     "the client did not get so far",
		stepRevoked:       "no token was refused",
	} {
		all = append(all, deviation{
			servers: []string{betterAuth}, clients: []string{nameMCPGo}, step: step, fails: step == stepList, seen: seen,
			reason: "The token response has `expires_at` as a number, and the client reads a text there: it has no token. " +
				"RFC 6749 has no such member, and Better Auth no setting to leave it out.",
		})
	}
	return all
}()

var general = []deviation{
	{
		servers: fixed, step: stepRotation,
		seen:   "the keys are fixed",
		reason: "The server runs with one key here. Rotation is shown with the others, and below.",
	},
	{
		servers: []string{betterAuth}, clients: []string{nameTS1}, step: stepRotation,
		seen:   "there is no refresh token",
		reason: "The server issues a refresh token for `offline_access` only, and the client does not ask for that by itself.",
	},
	{
		servers: fixed, step: stepRevoked,
		seen:   "nobody is told",
		reason: "The server runs here without an administration that could revoke, or be asked.",
	},
	{
		servers: []string{zitadel, fosite}, step: stepRegister,
		seen:   "no client was registered",
		reason: "The server has no dynamic registration: its administrator gives the client an id.",
	},
	{
		servers: []string{hydra}, step: stepRegister,
		seen:   "no client was registered",
		reason: hydraAnswer,
	},
	{
		clients: []string{nameMCPGo}, step: stepDiscover,
		seen: "no request without a token",
		reason: "The client sends nothing before it has a token, so it never sees a challenge. " +
			"It finds the metadata at its well-known path.",
	},
	{
		servers: []string{zitadel, betterAuth}, clients: []string{nameMCPGo, nameTS1}, step: stepUpWithRefresh,
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
		clients: []string{nameMCPGo}, step: stepRefusedUp,
		seen: "insufficient scope",
		reason: "The client does not act on a 403. The application gets the refusal, " +
			"and can authorize again with more scopes.",
	},
	{
		servers: []string{oidcProvider}, clients: []string{nameTS1, nameTS2, namePython, nameRemote}, step: stepRefusedUp, fails: true,
		seen:   "invalid_scope",
		reason: heldToRegistration,
	},
	{
		servers: []string{keycloak}, clients: []string{nameTS2, namePython}, step: stepRefusedUp, fails: true,
		seen:   "invalid_scope",
		reason: heldToRegistration,
	},
	{
		servers: []string{keycloak, glewlwyd}, clients: []string{nameTS1}, step: stepRefusedUp, fails: true,
		seen:   "403 after trying upscoping",
		reason: refreshesInstead,
	},
	{
		servers: []string{oidcProvider, oidcProviderFree, betterAuth}, clients: []string{nameInspector}, step: stepRefusedUp, fails: true,
		seen:   "consent for the scope was not asked for",
		reason: inspectorRegistered,
	},
	{
		servers: []string{oidcProviderFree, zitadel, fosite, betterAuth, hydra}, clients: []string{namePython}, step: stepRefusedUp, fails: true,
		seen: "what was allowed before no longer is",
		reason: "An authorization that fails during a call ends the client's whole connection, so `echo` fails too " +
			"until the application connects anew. Nothing was run, and the reason was told.",
	},
	{
		servers: []string{glewlwyd}, step: stepRefused,
		seen:   "nobody refused",
		reason: "The server has no answer `access_denied`: who refuses everything does not come back to the client.",
	},
	{
		servers: []string{glewlwyd}, clients: []string{nameTS2, nameRemote}, step: stepRefusedUp, fails: true,
		seen: "Unauthorized",
		reason: "Who refuses a scope there gives the others. The client gets a token that is good for no more than the one before, " +
			"asks the person a second time at once, and then says `Unauthorized`, and not which scope is missing. Nothing was run, " +
			"and `echo` still works.",
	},
	{
		servers: []string{glewlwyd}, clients: []string{nameInspector}, step: stepRegister, fails: true,
		seen: "no client was registered",
		reason: "The client registers, and then sends its secret by `client_secret_basic`, although the server's answer has " +
			"`client_secret_post`: `unauthorized_client`. The rest is run with an id and a secret from an administrator.",
	},
	{
		servers: []string{hydra}, clients: []string{nameTS1, nameTS2, nameInspector, nameRemote}, step: stepRotation, fails: true,
		seen:   "no key fits a signature",
		reason: hydraOldKey,
	},
	{
		clients: []string{nameMCPGo}, step: stepUpWithRefresh,
		seen: "insufficient scope",
		reason: "The client does not act on a 403. The application gets the refusal, " +
			"and can authorize again with more scopes.",
	},
	{
		servers: []string{zitadel, betterAuth}, clients: []string{nameMCPGo, nameTS1}, step: stepRefresh,
		seen:   "there is no refresh token",
		reason: "The server issues a refresh token for `offline_access` only, and the client does not ask for that by itself.",
	},
	{
		servers: []string{keycloak}, clients: []string{nameMCPGo}, step: stepRegister, fails: true,
		seen: "no client was registered",
		reason: "The client registers with a member `resource`, and the server refuses members that it does not know (400), " +
			"which RFC 7591 has it ignore. The rest is run with an id from an administrator.",
	},
	{
		servers: []string{keycloak}, clients: []string{nameInspector, nameRemote}, step: stepRegister, fails: true,
		seen: "no client was registered",
		reason: "The client names a `client_uri` at a host that the server's policy Trusted Hosts does not list (403). To list it " +
			"allows redirects to that host, too. The rest is run with an id from an administrator.",
	},
	{
		servers: []string{keycloak, glewlwyd}, clients: []string{nameTS1}, step: stepUp, fails: true,
		seen:   "403 after trying upscoping",
		reason: refreshesInstead,
	},
	{
		servers: []string{keycloak}, clients: []string{nameTS2, namePython}, step: stepUp, fails: true,
		seen:   "invalid_scope",
		reason: heldToRegistration,
	},
	{
		servers: []string{oidcProvider}, clients: []string{nameTS1, nameTS2, namePython, nameRemote}, step: stepUp, fails: true,
		seen:   "invalid_scope",
		reason: heldToRegistration,
	},
	{
		servers: []string{oidcProvider}, clients: []string{nameTS2, namePython, nameRemote}, step: stepUpWithRefresh, fails: true,
		seen:   "invalid_scope",
		reason: heldToRegistration,
	},
	{
		servers: []string{keycloak}, clients: []string{nameTS2, namePython}, step: stepUpWithRefresh, fails: true,
		seen:   "invalid_scope",
		reason: heldToRegistration,
	},
	{
		servers: []string{oidcProvider, oidcProviderFree, fosite, hydra, keycloak, glewlwyd}, clients: []string{nameTS1}, step: stepUpWithRefresh, fails: true,
		seen:   "403 after trying upscoping",
		reason: refreshesInstead,
	},
	{
		servers: []string{oidcProvider, oidcProviderFree, betterAuth}, clients: []string{nameInspector}, step: stepUp, fails: true,
		seen:   "consent for the scope was not asked for",
		reason: inspectorRegistered,
	},
	{
		servers: []string{oidcProvider, oidcProviderFree, betterAuth}, clients: []string{nameInspector}, step: stepUpWithRefresh, fails: true,
		seen:   "consent for the scope was not asked for",
		reason: inspectorRegistered,
	},
}

const hydraOldKey = "A token that Hydra 2.3.0 makes with a refresh token from before the rotation names the old key and is signed with " +
	"the new one, so no signature fits. Clients that then sign the person in anew are served; these refresh until they give up."

const hydraAnswer = "The client has an id from an administrator. Hydra registers clients if it is told to, but its answer " +
	"has `client_uri: \"\"` and `contacts: null`, which most clients take for no registration: TestHydraRegistration tells which."

// fixed are the servers that run with one key and no memory of what was revoked.
var fixed = []string{oidcProvider, oidcProviderFree, zitadel, fosite}

const (
	heldToRegistration = "The client registers with the scope of the first challenge, and the server holds it to that: " +
		"`invalid_scope`. An operator of such a server lets clients register for more (the rows with free scopes), " +
		"or lists all scopes in `Config.Scopes`."
	refreshesInstead = "With a refresh token in hand the client refreshes instead of asking for consent, gets the scopes " +
		"that it had, and gives up. Nothing on the wire tells it to do otherwise; SDK 2.x does."
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
