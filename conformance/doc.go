// Package conformance looks at an MCP server from outside, as a client and as
// an attacker would, and reports where its OAuth resource-server side breaks a
// rule. It needs nothing from the server but HTTP, so it does not matter in
// which language the server is written.
//
//	report, err := conformance.Run(ctx, conformance.Target{URL: "http://127.0.0.1:8080/mcp"})
//	if err == nil {
//		report.WriteText(os.Stdout)
//	}
//
// # What it needs to know
//
// With a URL alone, [Run] looks at the metadata, at challenges and at what
// passes without a token. A good token ([Target].Token) adds what a request
// with a token may do. The most is learned with a [Minter], which signs tokens
// that the server trusts: only then can a token be wrong in one way and right
// in all others. [NewIssuer] is a whole authorization server for that;
// [NewSigner] signs with a key that is at hand. Each of its checks is held
// against a control, a token without any fault that must be accepted first: a
// server that refuses everything passes nothing.
//
// A check that cannot be made is reported as not run, with the reason.
//
// # What it does to the server
//
// It lists tools, makes the handshake, opens streams, and calls only the tools that are
// named in [Target].Tools, which are to be harmless. Everything else that it sends is
// meant to be refused, or to have no effect. Requests go out one after the other, but for
// the calls during which another person does something, and no faster than
// [Target].Rate. A target that is not on loopback is refused unless [Target].Owned says
// whose it is.
//
// Others may use the target meanwhile. What is cancelled has an id that nobody else has.
// A DELETE without a session, by which a careless server ends what belongs to anybody, is
// sent only to loopback, or where [Target].Alone says that there is nobody.
//
// # Rules
//
// Each [Result] names the rule that it is about: the section of a standard or
// of the MCP specification, and the number of the requirement in this project's
// internal/archtest/requirements.tsv. A rule that no standard makes is marked as advice and
// is of low severity.
package conformance
