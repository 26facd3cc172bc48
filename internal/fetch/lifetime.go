package fetch

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// lifetime is what is left of a document's (RFC 9111 section 4.2): max-age, or
// without it Expires less Date, and in either case less the age that a cache on the
// way reports. What forbids storing, or cannot be read, leaves none.
func lifetime(h http.Header) time.Duration {
	var life time.Duration
	said := false
	cacheControl := strings.ToLower(strings.Join(h.Values("Cache-Control"), ","))
	for directive := range strings.SplitSeq(cacheControl, ",") {
		name, value, _ := strings.Cut(directive, "=")
		switch strings.TrimSpace(name) {
		case "no-store", "no-cache":
			return 0
		case "max-age":
			seconds, ok := deltaSeconds(strings.Trim(strings.TrimSpace(value), `"`))
			if !ok || said && seconds != life {
				return 0
			}
			life, said = seconds, true
		}
	}
	if !said && len(h.Values("Expires")) > 0 {
		life, said = expiresIn(h), true
	}
	if !said {
		return -1
	}
	return max(max(life, 0)-age(h), 0) // one that ended centuries ago would wrap around
}

// expiresIn is the lifetime that Expires gives, by the sender's own clock if it shows it.
func expiresIn(h http.Header) time.Duration {
	expires, err := http.ParseTime(h.Get("Expires"))
	if err != nil {
		return 0 // "0" is usual (RFC 9111 section 5.3)
	}
	date, err := http.ParseTime(h.Get("Date"))
	if err != nil {
		date = time.Now()
	}
	return expires.Sub(date)
}

// age is what caches on the way say, the highest of it; 0 for what cannot be read (RFC 9111 section 5.1).
func age(h http.Header) (oldest time.Duration) {
	for _, line := range h.Values("Age") {
		for value := range strings.SplitSeq(line, ",") {
			if seconds, ok := deltaSeconds(strings.TrimSpace(value)); ok {
				oldest = max(oldest, seconds)
			}
		}
	}
	return oldest
}

// deltaSeconds reads a number of seconds (RFC 9111 section 1.2.2). One that is
// out of range stands for a very long time.
func deltaSeconds(s string) (time.Duration, bool) {
	seconds, err := strconv.ParseUint(s, 10, 31)
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return 0, false
	}
	return time.Duration(seconds) * time.Second, true
}
