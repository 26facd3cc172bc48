// Package isolation lets two callers meet in front of one server, of every
// kind that mcpauth is put before, and shows that neither sees, steers or
// breaks anything of the other: whether nobody presents a session or each its
// own, in both eras of the protocol, and whoever the two are. What lawful
// callers lose by that, and what a server keeps for them, is counted beside
// it. The tables stand in docs/interop.md.
package isolation
