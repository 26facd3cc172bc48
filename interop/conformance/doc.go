// Package conformance holds tests only. They run the official conformance
// suite of MCP twice against each server, bare and behind mcpauth, and fail
// when any check comes out differently.
package conformance
