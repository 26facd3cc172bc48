package refusal

import "slices"

// Reason says in fixed words why a request was refused: all that a client is told.
type Reason string

// Error returns the words.
func (r Reason) Error() string { return string(r) }

// The reasons.
const (
	NoCredentials     Reason = "authorization required"
	ManyCredentials   Reason = "more than one credential"
	MalformedToken    Reason = "malformed token"
	TokenTooComplex   Reason = "token too complex"
	TokenType         Reason = "token type not accepted"
	Algorithm         Reason = "signature algorithm not accepted"
	Claims            Reason = "claim missing or malformed"
	Issuer            Reason = "issuer not accepted"
	Audience          Reason = "audience mismatch"
	Expired           Reason = "token expired"
	NotYetValid       Reason = "token not yet valid"
	UnknownKey        Reason = "signing key unknown"
	Signature         Reason = "signature invalid"
	SenderConstrained Reason = "sender-constrained token without proof of possession"
	InvalidProof      Reason = "DPoP proof invalid"
	UseNonce          Reason = "DPoP proof without a valid nonce"
	Revoked           Reason = "token revoked"
	InsufficientScope Reason = "insufficient scope"
	Forbidden         Reason = "not permitted"
	Unavailable       Reason = "authorization temporarily unavailable"
	Policy            Reason = "authorization failed"
	Origin            Reason = "origin not allowed"
	HTTPMethod        Reason = "HTTP method not allowed"
	RequestHeaders    Reason = "request header fields too large"
	MediaType         Reason = "content type or encoding not supported"
	BodyTooLarge      Reason = "request body too large"
	SlowBody          Reason = "request body too slow"
	UnreadableBody    Reason = "body is not one JSON text"
	InvalidRequest    Reason = "body is not an acceptable JSON-RPC message"
	InvalidParams     Reason = "target of the call is missing or malformed"
	HeaderMismatch    Reason = "header and body disagree"
	UnknownMethod     Reason = "method not found"
	UnknownSession    Reason = "session not found"
	Cancelled         Reason = "request cancelled"
	UnknownTask       Reason = "task not found"
	UnknownCursor     Reason = "invalid cursor"
	TooManyStreams    Reason = "too many streams"
	TooMuchHeld       Reason = "too many large messages at once"
	Unfiltered        Reason = "list cannot be filtered"
)

// Entry is how one reason is answered, and what it means.
type Entry struct {
	Reason
	Code   string // stable: for records and metric labels
	Status int    // of HTTP
	OAuth  string // error code of RFC 6750 section 3.1 or of RFC 9449 section 7.1, "" for none
	RPC    int    // JSON-RPC error code; 0: the body is an OAuth error object instead
	Cause  string // id in internal/explain, when nothing more is known of the case; "" for none
	Means  string
}

// catalogue has all reasons, in the order of the documentation. JSON-RPC codes of our own lie outside
// the range that it reserves; -32020 is MCP's header mismatch. A task or a cursor that is not the
// caller's is answered with 200, as the handler does, and so is what was cancelled: nobody waits for
// that, but clients want a whole answer.
var catalogue = []Entry{
	{NoCredentials, "no_credentials", 401, "", 0, "", "No usable bearer token was presented. It is the normal first request of every client, which learns from the answer where to get a token."},
	{ManyCredentials, "many_credentials", 400, "invalid_request", -32600, "many-credentials", "The request carries more than one credential, and nobody can say which one counts."},
	{MalformedToken, "malformed_token", 401, "invalid_token", 0, "", "The token is no signed JWT."},
	{TokenTooComplex, "token_too_complex", 401, "invalid_token", 0, "token-size", "The token is larger, or nested deeper, than any honest access token."},
	{TokenType, "token_type", 401, "invalid_token", 0, "token-type", "The token is a JWT that was made for something else than access."},
	{Algorithm, "algorithm", 401, "invalid_token", 0, "", "The token's header names a signature algorithm that is not accepted for its issuer."},
	{Claims, "claims", 401, "invalid_token", 0, "claim-missing", "A claim that every access token must have is missing or malformed."},
	{Issuer, "issuer", 401, "invalid_token", 0, "", "The token's iss is not, byte for byte, the URL of a configured issuer."},
	{Audience, "audience", 401, "invalid_token", 0, "", "No member of the token's aud is an accepted audience: the token was made for somebody else."},
	{Expired, "expired", 401, "invalid_token", 0, "", "The token's exp has passed. Clients refresh and come back."},
	{NotYetValid, "not_yet_valid", 401, "invalid_token", 0, "", "The token's nbf or iat lies in the future, beyond the leeway."},
	{UnknownKey, "unknown_key", 401, "invalid_token", 0, "", "The issuer's current key set has no key that fits the token."},
	{Signature, "signature", 401, "invalid_token", 0, "signature", "The key was found, and the signature is not by it."},
	{SenderConstrained, "sender_constrained", 401, "invalid_token", 0, "sender-constrained", "The token is bound to a key and is not sent as such a token, or is bound in another way than is accepted, or not bound where it must be."},
	{InvalidProof, "invalid_dpop_proof", 401, "invalid_dpop_proof", 0, "proof-malformed", "The token is good and bound to a key, and the DPoP proof that came with it is missing, wrong, or not new."},
	{UseNonce, "use_dpop_nonce", 401, "use_dpop_nonce", 0, "proof-nonce", "The proof is good but for its nonce: the client comes back with that of the answer. It is a normal first answer."},
	{Revoked, "revoked", 401, "invalid_token", 0, "revoked", "The operator's function says that the token has been revoked, or the authorization server that it is not active."},
	{InsufficientScope, "insufficient_scope", 403, "insufficient_scope", -31403, "", "The token is good and lacks scopes; the challenge names those that help."},
	{Forbidden, "forbidden", 403, "", -31403, "forbidden", "The token is good and no scope would help."},
	{Unavailable, "unavailable", 503, "", -31503, "", "Something that is needed to decide cannot be reached. The client keeps its token and tries again."},
	{Policy, "policy_failed", 500, "", -32603, "policy", "The policy or another function of the operator has failed."},
	{Origin, "origin", 403, "", -31403, "origin", "A browser sent the request for a web page whose origin is neither the resource's nor in AllowedOrigins."},
	{HTTPMethod, "http_method", 405, "", -31405, "http-method", "The HTTP method does not exist in the revision of MCP that the request speaks."},
	{RequestHeaders, "headers_too_large", 431, "", -31431, "header-size", "The request has more header fields, or larger ones, than is accepted."},
	{MediaType, "media_type", 415, "", -31415, "media-type", "The body is not announced as plain JSON."},
	{BodyTooLarge, "body_too_large", 413, "", -31413, "body-size", "The body is larger than Config.MaxBody, by default 4 MiB."},
	{SlowBody, "body_too_slow", 408, "", -31408, "body-slow", "The body did not come within the time that it has."},
	{UnreadableBody, "unreadable_body", 400, "", -32700, "body-unreadable", "The body could not be read, or is not one JSON text."},
	{InvalidRequest, "invalid_request", 400, "", -32600, "message", "The body is JSON and no message of MCP that has one meaning only."},
	{InvalidParams, "invalid_params", 400, "", -32602, "target", "The call does not say, as a string, what it is about."},
	{HeaderMismatch, "header_mismatch", 400, "", -32020, "header-mismatch", "A header repeats a part of the body and says something else."},
	{UnknownMethod, "unknown_method", 404, "", -32601, "method", "The JSON-RPC method is none of MCP and none of the policy."},
	{UnknownSession, "unknown_session", 404, "", -31404, "session", "The session was not begun here by this principal and client, or a DELETE names none."},
	{Cancelled, "cancelled", 200, "", -31499, "cancelled", "The client has cancelled the request while it was under way."},
	{UnknownTask, "unknown_task", 200, "", -32602, "task", "The task was not begun here by this principal. On a message endpoint of HTTP+SSE it is 400."},
	{UnknownCursor, "unknown_cursor", 200, "", -32602, "cursor", "The cursor was not given to this principal and client, for this list. On a message endpoint of HTTP+SSE it is 400."},
	{TooManyStreams, "too_many_streams", 429, "", -31429, "streams", "The principal has as many streams open with this client as are allowed."},
	{TooMuchHeld, "too_much_held", 429, "", -31429, "messages-held", "The principal, with this client, has as many bytes of long bodies and answers under way as are allowed."},
	{Unfiltered, "list_unfiltered", 500, "", -32603, "list", "The handler's list is in a form that cannot be read, and an unread list is not passed on."},
}

var entries = func() map[Reason]*Entry {
	m := make(map[Reason]*Entry, len(catalogue))
	for i := range catalogue {
		m[catalogue[i].Reason] = &catalogue[i]
	}
	return m
}()

// Catalogue lists the reasons in the order of the documentation.
func Catalogue() []Entry { return slices.Clone(catalogue) }

// other is for a reason that is in no catalogue: it opens nothing, and keeps the set of codes closed.
var other = Entry{Code: "other", Status: 401, OAuth: "invalid_token"}

// Entry finds how the reason is answered.
func (r Reason) Entry() *Entry {
	if e := entries[r]; e != nil {
		return e
	}
	return &other
}
