package gosdk

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/seed-1e292522/mcpauth"
)

// Registered asks a server for all that it has, page by page, for [mcpauth.Middleware.Coverage]. It does so in memory, and
// sees what a client without a caller is shown.
func Registered(ctx context.Context, server *mcp.Server) (has mcpauth.Registered, err error) {
	near, far := mcp.NewInMemoryTransports()
	serving, err := server.Connect(ctx, far, nil)
	if err != nil {
		return has, fmt.Errorf("gosdk: %w", err)
	}
	session, err := mcp.NewClient(&mcp.Implementation{Name: "mcpauth", Version: "1"}, nil).Connect(ctx, near, nil)
	if err != nil {
		_ = serving.Close()
		return has, fmt.Errorf("gosdk: %w", err)
	}
	defer func() { // it is over when both are
		_ = session.Close()
		_ = serving.Wait()
	}()
	offers := session.InitializeResult().Capabilities
	var errs [4]error
	if offers.Tools != nil {
		has.Tools, errs[0] = names(session.Tools(ctx, nil), func(t *mcp.Tool) string { return t.Name })
	}
	if offers.Prompts != nil {
		has.Prompts, errs[1] = names(session.Prompts(ctx, nil), func(p *mcp.Prompt) string { return p.Name })
	}
	if offers.Resources != nil {
		has.Resources, errs[2] = names(session.Resources(ctx, nil), func(r *mcp.Resource) string { return r.URI })
		has.Templates, errs[3] = names(session.ResourceTemplates(ctx, nil), func(t *mcp.ResourceTemplate) string { return t.URITemplate })
	}
	if err := errors.Join(errs[:]...); err != nil {
		return has, fmt.Errorf("gosdk: %w", err)
	}
	return has, nil
}

func names[T any](all iter.Seq2[T, error], name func(T) string) (list []string, err error) {
	for one, err := range all {
		if err != nil {
			return nil, err
		}
		list = append(list, name(one))
	}
	return list, nil
}
