package onbehalf

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
)

// No request has such a token as long as the wrapper refuses them, so that only this can be shown.
func TestIsBound_EXCH_22(t *testing.T) {
	for text, bound := range map[string]bool{
		`{}`: false, `{"CNF":{}}`: false, `{"cnf":{"jkt":"x"}}`: true, `{"cnf":{"x5t#S256":"x"}}`: true, `{"cnf":null}`: true, `{"cnf":{}}`: true,
	} {
		var claims map[string]json.RawMessage
		assert.NoError(t, json.Unmarshal([]byte(text), &claims))
		assert.Equal(t, bound, isBound(claims), text)
	}
}
