package onbehalf_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/internal/onward"
)

// owner is a request that was made by hand: thousands of tokens need no signatures then.
type owner struct{ facts onward.Facts }

func (o *owner) Facts() onward.Facts { return o.facts }

func (o *owner) Metadata(context.Context) ([]byte, bool, error) {
	return nil, false, errors.New("no metadata")
}

// carried is the context of a request of somebody, and what ends it.
func carried(t *testing.T, p *mcpauth.Principal, token string) (context.Context, func()) {
	t.Helper()
	r := new(onward.Request)
	onward.Begin(r, &owner{onward.Facts{Resource: resource, Issuer: p.Issuer, Principal: p}})
	onward.Carry(r, token, time.Now().Add(time.Hour))
	return onward.NewContext(t.Context(), r), func() { onward.End(r) }
}

// shows renders values in all the ways that need no reflection of one's own.
func shows(values ...any) string {
	var b strings.Builder
	text, object := slog.New(slog.NewTextHandler(&b, nil)), slog.New(slog.NewJSONHandler(&b, nil))
	for _, v := range values {
		fmt.Fprintf(&b, "%v\n%+v\n%#v\n%s\n%q\n", v, v, v, v, v)
		encoded, _ := json.Marshal(v)
		b.Write(encoded)
		text.Info("shown", "value", v)
		object.Info("shown", "value", v)
		func() {
			defer func() { fmt.Fprint(&b, recover()) }()
			panic(v)
		}()
	}
	return b.String()
}
