package jose_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-1e292522/mcpauth/internal/jose"
)

// rfcVector is one known answer out of an RFC; refused names the sentinel when
// the RFC's token is one that a resource server must not take.
type rfcVector struct {
	Name    string
	JWS     string
	Key     json.RawMessage
	Refused string
}

func TestKnownAnswersOfTheRFCs_TOK40_TOK33(t *testing.T) {
	data, err := os.ReadFile("testdata/rfc.json")
	require.NoError(t, err)
	var vectors []rfcVector
	require.NoError(t, json.Unmarshal(data, &vectors))
	require.Len(t, vectors, 6)
	for _, vector := range vectors {
		t.Run(vector.Name, func(t *testing.T) {
			token, err := jose.Parse(vector.JWS)
			switch vector.Refused {
			case "algorithm":
				require.ErrorIs(t, err, jose.ErrAlgorithm)
				_, _, err := jose.ParseSet(set(string(vector.Key)))
				require.ErrorIs(t, err, jose.ErrNoUsableKeys)
				return
			case "malformed":
				require.ErrorIs(t, err, jose.ErrMalformed)
				return
			}
			require.NoError(t, err)
			keys, _, err := jose.ParseSet(set(string(vector.Key)))
			require.NoError(t, err)
			require.NoError(t, token.Verify(&keys[0]))
			token.Signature[len(token.Signature)/3] ^= 1
			require.ErrorIs(t, token.Verify(&keys[0]), jose.ErrSignature)
		})
	}
}

// sharedVector reads a file of the public vectors that are kept outside of the
// repository, or skips the test.
func sharedVector(t *testing.T, name string, into any) {
	t.Helper()
	folder := filepath.Join("..", "..", "..", "shared", "vectors")
	if _, err := os.Stat(folder); err != nil {
		t.Skip("the folder of public test vectors is not beside the repository")
	}
	data, err := os.ReadFile(filepath.Join(folder, name))
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(data, into))
}

func TestRFC7520Cookbook_TOK40_TOK42(t *testing.T) {
	for _, row := range []struct {
		file    string
		refused error
	}{
		{"jws_4_1.rsa_v15_signature.json", nil},
		{"jws_4_2.rsa-pss_signature.json", nil},
		{"jws_4_3.ecdsa_signature.json", nil},
		{"jws_4_4.hmac-sha2_integrity_protection.json", jose.ErrAlgorithm},
		{"rfc7797_hmac-sha2_b64_false.json", jose.ErrAlgorithm},
		{"curve25519_jws.json", nil},
	} {
		t.Run(row.file, func(t *testing.T) {
			var figure struct {
				Input struct {
					Key map[string]any
				}
				Output struct {
					Compact  string
					JSON     json.RawMessage
					JSONFlat json.RawMessage `json:"json_flat"`
				}
			}
			sharedVector(t, filepath.Join("rfc7520", row.file), &figure)
			for _, serialization := range []json.RawMessage{figure.Output.JSON, figure.Output.JSONFlat} {
				_, err := jose.Parse(string(serialization))
				require.ErrorIs(t, err, jose.ErrMalformed, "TOK-21: JSON serialization")
			}
			token, err := jose.Parse(figure.Output.Compact)
			if row.refused != nil {
				require.ErrorIs(t, err, row.refused)
				return
			}
			require.NoError(t, err)
			keys, _, err := jose.ParseSet(publicSet(t, figure.Input.Key))
			require.NoError(t, err)
			require.NoError(t, token.Verify(&keys[0]))
		})
	}
}

// publicSet makes a set of one key without its private members.
func publicSet(t *testing.T, key map[string]any) []byte {
	t.Helper()
	for _, private := range []string{"d", "p", "q", "dp", "dq", "qi"} {
		delete(key, private)
	}
	text, err := json.Marshal(map[string]any{"keys": []any{key}})
	require.NoError(t, err)
	return text
}

type wycheproof struct {
	NumberOfTests int
	TestGroups    []wycheproofGroup
}

type wycheproofGroup struct {
	Comment string
	Public  json.RawMessage
	Private json.RawMessage
	Tests   []struct {
		TcID    int
		Comment string
		JWS     json.RawMessage
		JWE     json.RawMessage
		Result  string
	}
}

// keys offers a group's key as a JWK Set: the public key where there is one,
// and the symmetric key as an issuer would have leaked it where there is not.
func (g *wycheproofGroup) keys(t *testing.T) (keys []jose.Key, reasons string) {
	t.Helper()
	text := g.Public
	if text == nil {
		text = g.Private
	}
	if !strings.Contains(string(text), `"keys"`) {
		text = set(string(text))
	}
	keys, skipped, err := jose.ParseSet(text)
	if err != nil {
		require.ErrorIs(t, err, jose.ErrNoUsableKeys)
	}
	for _, skip := range skipped {
		reasons += string(skip.Reason) + ";"
	}
	return keys, reasons
}

// accept runs one token past every key that fits, as a resource server does.
func accept(compact string, keys []jose.Key) error {
	token, err := jose.Parse(compact)
	if err != nil {
		return err
	}
	refused := jose.ErrNoUsableKeys
	for i := range keys {
		if token.Header.HasKid && keys[i].HasKid && token.Header.Kid != keys[i].Kid {
			continue
		}
		if refused = token.Verify(&keys[i]); refused == nil {
			return nil
		}
	}
	return refused
}

// TestWycheproof_TOK22_TOK32_TOK41_TOK42_JWKS01 runs all cases of three files.
// Every case that the vectors call invalid has to be refused. A valid one has
// to be accepted or refused for a stated reason, and the reasons are counted.
func TestWycheproof_TOK22_TOK32_TOK41_TOK42_JWKS01(t *testing.T) {
	for _, row := range []struct {
		file              string
		invalid, accepted int
		refused           map[string]int
	}{
		{"json_web_signature_test.json", 355, 26, map[string]int{
			hmacOrJWE: 9, emptyPayload: 6, laxBase64: 1, contradictsKey: 4,
		}},
		{"json_web_key_test.json", 21, 1, map[string]int{hmacOrJWE: 4}},
		{"json_web_crypto_test.json", 77, 2, map[string]int{hmacOrJWE: 4}},
	} {
		t.Run(row.file, func(t *testing.T) {
			var file wycheproof
			sharedVector(t, row.file, &file)
			require.NotEmpty(t, file.TestGroups)
			refused := map[string]int{}
			invalid, accepted := 0, 0
			for _, group := range file.TestGroups {
				keys, reasons := group.keys(t)
				if strings.Contains(group.Comment, "roca") {
					assert.Contains(t, reasons, jose.ReasonModulus, "the factorable key is known as such")
				}
				for _, test := range group.Tests {
					text := test.JWS
					if text == nil {
						text = test.JWE
					}
					compact := string(text)
					_ = json.Unmarshal(text, &compact) // a JSON serialization stays as it is
					switch err := accept(compact, keys); {
					case test.Result == "invalid":
						invalid++
						assert.Error(t, err, "case %d, %s", test.TcID, test.Comment)
					case err == nil:
						accepted++
					default:
						refused[stated(t, compact, err)]++
						t.Logf("case %d, %s: %s: %v; %s", test.TcID, test.Comment, stated(t, compact, err), err, reasons)
					}
				}
			}
			assert.Equal(t, row.invalid, invalid)
			assert.Equal(t, row.accepted, accepted)
			assert.Equal(t, row.refused, refused)
			t.Logf("%d invalid cases, all refused; %d accepted; valid by the vectors and refused: %v", invalid, accepted, refused)
		})
	}
}

// The reasons for which a token that the vectors call valid is refused.
const (
	hmacOrJWE      = "HMAC or encrypted"
	emptyPayload   = "empty payload"
	laxBase64      = "a character outside of base64url"
	contradictsKey = "the token contradicts its own key: reported, not counted"
)

func stated(t *testing.T, compact string, err error) string {
	t.Helper()
	switch {
	case errors.Is(err, jose.ErrAlgorithm) || strings.Count(compact, ".") == 4:
		return hmacOrJWE
	case strings.Contains(compact, ".."):
		return emptyPayload
	case strings.ContainsAny(compact, "?\n\r =+/"):
		return laxBase64
	case errors.Is(err, jose.ErrKeyMismatch), errors.Is(err, jose.ErrNoUsableKeys):
		return contradictsKey
	}
	t.Errorf("refused without a stated reason: %v", err)
	return err.Error()
}
