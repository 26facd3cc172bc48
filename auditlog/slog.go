package auditlog

import (
	"context"
	"log/slog"
)

// Slog returns a sink that writes each record as a line of a structured log,
// at level Info. It keeps no record itself: what the handler does with the
// line, and whether it fails, is not known here.
func Slog(logger *slog.Logger) Sink { return slogSink{logger} }

type slogSink struct{ logger *slog.Logger }

func (s slogSink) Write(records ...Record) error {
	for i := range records {
		s.logger.LogAttrs(context.Background(), slog.LevelInfo, "mcpauth: "+records[i].Event, records[i].attrs()...)
	}
	return nil
}

// attrs are the members that say something, under their JSON names.
func (r *Record) attrs() []slog.Attr {
	attrs := []slog.Attr{slog.Time("arrived", r.Time)}
	for _, text := range []struct{ name, value string }{
		{"id", r.ID}, {"decision", r.Decision}, {"reason", r.Reason}, {"cause", r.Cause},
		{"iss", r.Issuer}, {"sub", r.Subject}, {"client_id", r.ClientID}, {"kid", r.KeyID},
		{"token_fingerprint", r.TokenFingerprint}, {"session_fingerprint", r.SessionFingerprint},
		{"unverified_iss", r.UnverifiedIssuer}, {"unverified_kid", r.UnverifiedKeyID},
		{"http_method", r.Method}, {"era", r.Era}, {"remote", r.Remote}, {"elevated_from", r.ElevatedFrom},
	} {
		if text.value != "" {
			attrs = append(attrs, slog.String(text.name, text.value))
		}
	}
	if r.Status != 0 {
		attrs = append(attrs, slog.Int("status", r.Status))
	}
	if r.Machine {
		attrs = append(attrs, slog.Bool("machine", true))
	}
	if r.Actors != nil {
		attrs = append(attrs, slog.Any("actors", r.Actors))
	}
	attrs = append(attrs, slog.Int64("duration_us", r.Duration))
	if r.Generation != 0 {
		attrs = append(attrs, slog.String("config", r.Config), slog.Uint64("generation", r.Generation))
	}
	if r.Change != nil {
		attrs = append(attrs, slog.Any("change", r.Change))
	}
	if r.Calls != nil {
		attrs = append(attrs, slog.Any("calls", r.Calls), slog.Int("calls_omitted", r.Omitted))
	}
	return attrs
}
