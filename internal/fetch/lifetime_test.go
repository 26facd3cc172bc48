package fetch

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestLifetime_JWKS_22_DISC_16_FRESH_10(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := func(d time.Duration) string { return time.Now().Add(d).UTC().Format(http.TimeFormat) }
		const longest = (1<<31 - 1) * time.Second
		type header map[string]string
		for _, row := range []struct {
			name string
			header
			want time.Duration
		}{
			{"JWKS-22 nothing said", nil, -1},
			{"JWKS-22 nothing but an age", header{"Age": "600"}, -1},
			{"JWKS-22 max-age", header{"Cache-Control": "public, max-age=600"}, 10 * time.Minute},
			{"JWKS-22 upper case, quoted, spaces", header{"Cache-Control": `Public ,  MAX-AGE="600" `}, 10 * time.Minute},
			{"JWKS-22 zero", header{"Cache-Control": "max-age=0"}, 0},
			{"JWKS-22 a year", header{"Cache-Control": "max-age=31536000"}, 365 * 24 * time.Hour},
			{"JWKS-22 blanks around the equals sign", header{"Cache-Control": "max-age = 60", "Expires": in(time.Hour)}, time.Minute},
			{"JWKS-22 no-cache of a field, and a blank", header{"Cache-Control": "max-age=600, no-cache =\"x\""}, 0},
			{"JWKS-22 out of range", header{"Cache-Control": "max-age=99999999999999999999999"}, longest},
			{"FRESH-10 negative", header{"Cache-Control": "max-age=-1"}, 0},
			{"FRESH-10 malformed", header{"Cache-Control": "max-age=soon"}, 0},
			{"FRESH-10 without a value", header{"Cache-Control": "max-age"}, 0},
			{"JWKS-22 said twice, the same", header{"Cache-Control": "max-age=600, max-age=600"}, 10 * time.Minute},
			{"FRESH-10 said twice, differently", header{"Cache-Control": "max-age=600, max-age=60"}, 0},
			{"FRESH-10 malformed beside a good Expires", header{"Cache-Control": "max-age=", "Expires": in(time.Hour)}, 0},
			{"JWKS-22 no-store", header{"Cache-Control": "no-store", "Expires": in(time.Hour)}, 0},
			{"JWKS-22 no-cache after max-age", header{"Cache-Control": "max-age=600, no-cache"}, 0},
			{"JWKS-22 max-age wins over Expires", header{"Cache-Control": "max-age=60", "Expires": in(time.Hour)}, time.Minute},
			{"FRESH-10 less its age", header{"Cache-Control": "max-age=86400", "Age": "86000"}, 400 * time.Second},
			{"FRESH-10 older than its lifetime", header{"Cache-Control": "max-age=600", "Age": "601"}, 0},
			{"FRESH-10 two ages", header{"Cache-Control": "max-age=600", "Age": "60, 120"}, 8 * time.Minute},
			{"FRESH-10 an age that is none", header{"Cache-Control": "max-age=600", "Age": "-60"}, 10 * time.Minute},
			{"FRESH-10 an age out of range", header{"Cache-Control": "max-age=600", "Age": "99999999999999999999999"}, 0},
			{"JWKS-22 Expires", header{"Expires": in(time.Hour)}, time.Hour},
			{"JWKS-22 Expires beside an unrelated directive", header{"Cache-Control": "public", "Expires": in(time.Hour)}, time.Hour},
			{"JWKS-22 Expires in the past", header{"Expires": in(-time.Hour)}, 0},
			{"FRESH-10 Expires is nonsense", header{"Expires": "0"}, 0},
			{"FRESH-10 Expires is nonsense, and an Age", header{"Expires": "0", "Age": "60"}, 0},
			{"FRESH-10 Expires is nonsense, and so is Date", header{"Expires": "0", "Date": "Sat, 01 Jan 0000 00:00:00 GMT"}, 0},
			{"FRESH-10 Expires two thousand years ago, and an Age", header{"Expires": "Mon, 01 Jan 0001 00:00:00 GMT", "Age": "60"}, 0},
			{"FRESH-10 Expires less Date", header{"Expires": in(time.Hour), "Date": in(-time.Hour)}, 2 * time.Hour},
			{"FRESH-10 Expires less Date, less Age", header{"Expires": in(time.Hour), "Date": in(-time.Hour), "Age": "3600"}, time.Hour},
			{"FRESH-10 Expires, and a Date that is none", header{"Expires": in(time.Hour), "Date": "yesterday"}, time.Hour},
		} {
			h := http.Header{}
			for name, value := range row.header {
				h.Set(name, value)
			}
			assert.Equal(t, row.want, lifetime(h), row.name)
		}
		assert.Equal(t, time.Minute, lifetime(http.Header{"Cache-Control": {"public", "max-age=60"}}), "JWKS-22 two fields")
		assert.Equal(t, time.Minute, age(http.Header{"Age": {"5", "60"}}), "FRESH-10 two fields")
	})
}
