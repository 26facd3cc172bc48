package keys

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The well-known places share the time of one, and the preferred one has the last word where nobody waits.
func TestAskPlaces_FRESH_13_DISC_01_DISC_10_DISC_14(t *testing.T) {
	const tenant = as + "/t"
	good := func(takes time.Duration) page { return page{body: metadataOf(tenant, published), takes: takes} }
	silent := page{takes: time.Hour}
	keyless, foreign := page{body: metadataOf(tenant, "")}, page{body: metadataOf(as, "")}
	const ms = time.Millisecond
	for _, row := range []struct {
		name      string
		places    [3]page
		urgent    bool
		asked     bool // about tokens: keys may be missing
		rank      int
		err       string // class, "" for none
		takes     time.Duration
		requests  uint64
		abandoned int
		spent     time.Duration
	}{
		{name: "no place has any", err: "bad_status", requests: 3},
		{name: "no place has any, and keys may be missing", asked: true, err: "bad_status", requests: 3},
		{name: "the first is silent for long", places: [3]page{silent, good(0), good(0)}, urgent: true, rank: 1, takes: 1000 * ms, requests: 2, abandoned: 1, spent: 1000 * ms},
		{name: "the first is silent for long, and nobody waits", places: [3]page{silent, good(0), good(0)}, rank: 1, takes: 4500 * ms, requests: 2, abandoned: 1, spent: 4500 * ms},
		{name: "the first is silent for a while, and nobody waits", places: [3]page{good(2500 * ms), good(0), good(0)}, rank: 0, takes: 2500 * ms, requests: 2, spent: 2500 * ms},
		{name: "the second is silent, which is of less rank", places: [3]page{{}, good(500 * ms), {}}, rank: 1, takes: 500 * ms, requests: 2, spent: 500 * ms},
		{name: "two are silent", places: [3]page{silent, silent, good(1500 * ms)}, urgent: true, rank: 2, takes: 3500 * ms, requests: 3, abandoned: 2, spent: 7500 * ms},
		{name: "two are silent, and nobody waits", places: [3]page{silent, silent, good(1500 * ms)}, rank: 2, takes: 4500 * ms, requests: 3, abandoned: 2, spent: 9500 * ms},
		{name: "all are silent", places: [3]page{silent, silent, silent}, urgent: true, err: "timeout", takes: 4500 * ms, requests: 3, abandoned: 3, spent: 10500 * ms},
		{name: "without keys", places: [3]page{keyless, keyless, keyless}, err: "no_jwks_uri", requests: 3},
		{name: "without keys, which may be missing", places: [3]page{keyless, {}, keyless}, asked: true, rank: 0, requests: 3},
		{name: "without keys, of another issuer", places: [3]page{foreign, foreign, {}}, asked: true, err: "issuer_mismatch", requests: 3},
		{name: "without keys, after another issuer", places: [3]page{foreign, keyless, {}}, asked: true, rank: 1, requests: 3},
		{name: "without keys, and with some", places: [3]page{keyless, good(0), {}}, asked: true, urgent: true, rank: 1, requests: 2},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(keyA)
				r.issuer = issuerAt(tenant)
				r.issuer.Asked = row.asked
				s := r.registry.Discovered(r.issuer)
				var places []place
				for rank, location := range wellKnown(s.issuer.Location) {
					places = append(places, place{rank, location})
					if p := row.places[rank]; p != (page{}) {
						r.set(location, p)
					}
				}
				ctx, cancel := context.WithTimeout(t.Context(), 4500*ms)
				defer cancel()
				begun := time.Now()
				doc, err := s.askPlaces(ctx, places, row.urgent)
				assert.Equal(t, row.takes, time.Since(begun))
				synctest.Wait()
				status := s.Status()
				assert.Equal(t, row.requests, status.Fetches)
				assert.Equal(t, row.spent, status.FetchTime)
				assert.Equal(t, row.abandoned, r.abandoned, "nobody waits for more")
				if row.err != "" {
					require.Error(t, err)
					assert.Nil(t, doc)
					assert.Equal(t, row.err, failureOf(err).class)
					assert.Equal(t, row.requests, status.Failures)
					return
				}
				require.NoError(t, err)
				require.NotNil(t, doc)
				assert.Equal(t, row.rank, doc.value.rank)
				assert.Zero(t, status.Failures)
			})
		})
	}
}

// What is wrong with a document is said with the place where it stands.
func TestReadPlace_DISC_03_DISC_10_DISC_11_DISC_13_DISC_14(t *testing.T) {
	for _, row := range []struct {
		name, kind, body string
		want, cause      string // of the error, "" for none
	}{
		{"as usual", "application/json", metadataOf(as, published), "", ""},
		{"as usual, with a parameter", "application/json; charset=utf-8", metadataOf(as, published), "", ""},
		{"a kind of JSON", "application/oauth+json", metadataOf(as, published), "", ""},
		{"a page", "text/html", metadataOf(as, published), `bad_content_type: "text/html"`, "metadata-not-json"},
		{"a text that ends as JSON does", "text/x+json", metadataOf(as, published), `bad_content_type: "text/x+json"`, "metadata-not-json"},
		{"another application", "application/xml", metadataOf(as, published), `bad_content_type: "application/xml"`, "metadata-not-json"},
		{"a broken parameter", "application/json; =", metadataOf(as, published), `bad_content_type: "application/json; ="`, "metadata-not-json"},
		{"a list", "application/json", `[]`, "bad_metadata: json: value of another kind at byte 0", "metadata-malformed"},
		{"cut off", "application/json", `{"issuer":"` + as + `"`, "bad_metadata: json: not one JSON text at byte 34", "metadata-malformed"},
		{"a value that is none", "application/json", `{"a":tru}`, "bad_metadata: json: not one JSON text at byte 5", "metadata-malformed"},
		{"twice", "application/json", `{"a":1,"a":1}`, "bad_metadata: json: duplicate member name at byte 7", "metadata-malformed"},
		{"an issuer that is no text", "application/json", `{"issuer":5}`, "bad_metadata: issuer: json: value of another kind at byte 10", "metadata-malformed"},
		{"no issuer", "application/json", `{}`, `issuer_mismatch: the document says "", which is none, configured is "` + as + `"`, "metadata-issuer"},
		{"another issuer", "application/json", metadataOf(as+"/", published), `issuer_mismatch: the document says "` + as + `/", configured is "` + as + `"`, "metadata-issuer"},
		{"a template", "application/json", metadataOf(as+"/{tenantid}", published), `issuer_mismatch: the document says "` + as + `/{tenantid}", configured is "` + as + `"`, "metadata-issuer-template"},
		{"keys at a template", "application/json", metadataOf(as, "http://as.example.com/{tenantid}"), `insecure_url: "http://as.example.com/{tenantid}" must be https`, "insecure-url"},
		{"no keys", "application/json", metadataOf(as, ""), `no_jwks_uri`, "metadata-no-keys"},
	} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(keyA)
			r.set(described, page{kind: row.kind, body: row.body})
			s := r.registry.Discovered(r.issuer)
			doc, err := s.readPlace(s.ask(t.Context(), place{0, described}))
			if row.want == "" {
				require.NoError(t, err, row.name)
				assert.Equal(t, published, doc.value.jwksURI)
				return
			}
			require.EqualError(t, err, `"`+described+`": `+row.want, row.name)
			assert.Equal(t, row.cause, CauseOf(err), row.name)
		})
	}
}

// A place that has no document says so, too.
func TestReadPlace_Missing_DISC_10(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(keyA)
		s := r.registry.Discovered(r.issuer)
		_, err := s.readPlace(s.ask(t.Context(), place{1, as + "/.well-known/openid-configuration"}))
		require.EqualError(t, err, `GET "`+as+`/.well-known/openid-configuration": bad_status: status 404`)
		assert.Equal(t, "metadata-not-found", CauseOf(err))
	})
}

// What is read of a document that is no strict JSON is nothing.
func TestMember_DISC_13(t *testing.T) {
	for document, want := range map[string]string{
		`{"a":"b","c":1}`: "b", `{"a":5}`: "", `{"c":"b"}`: "", `["a","b"]`: "", `{"a":"b"`: "", `{"a":"b","a":"c"}`: "", `{"a":"b","c":tru}`: "", ``: "",
	} {
		assert.Equal(t, want, Member([]byte(document), "a"), document)
	}
}
