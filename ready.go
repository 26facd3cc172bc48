package mcpauth

import (
	"net/http"
	"strconv"
)

// tokenReasons are answered with 401, and always with the same words: whoever has
// no good token learns nothing that depends on the request.
var tokenReasons = []Reason{
	ErrNoCredentials, ErrMalformedToken, ErrTokenTooComplex, ErrTokenType, ErrAlgorithm, ErrClaims, ErrIssuer, ErrAudience,
	ErrExpired, ErrNotYetValid, ErrUnknownKey, ErrSignature, ErrSenderConstrained, ErrRevoked,
}

// readyAnswer is the answer to a request without a good token, rendered once: strangers cost little.
type readyAnswer struct {
	// fields are the values of the response header, in the order in which serve names them.
	fields [5]string
	body   []byte
}

// renderAnswers prepares the answers for all reasons of the kind.
func (m *Middleware) renderAnswers() {
	m.ready = make(map[Reason]*readyAnswer, len(tokenReasons))
	for _, reason := range tokenReasons {
		denied := deny(reason, "", "", "")
		body := oauthBody(denied)
		m.ready[reason] = &readyAnswer{body: body, fields: [...]string{
			"no-store", "nosniff", m.challenge(denied, m.scope), "application/json", strconv.Itoa(len(body)),
		}}
	}
}

func (a *readyAnswer) serve(w http.ResponseWriter, r *http.Request) {
	h, fields := w.Header(), a.fields // a copy, lest a change to this response change the next
	h["Cache-Control"] = fields[0:1:1]
	h["X-Content-Type-Options"] = fields[1:2:2]
	h["Www-Authenticate"] = fields[2:3:3]
	h["Content-Type"] = fields[3:4:4]
	h["Content-Length"] = fields[4:5:5]
	w.WriteHeader(http.StatusUnauthorized)
	if r.Method != http.MethodHead {
		_, _ = w.Write(a.body)
	}
}
