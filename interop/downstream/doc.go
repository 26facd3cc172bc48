// Package downstream has an MCP server whose tools call another API in the name of
// their caller, with a real Keycloak that exchanges the tokens.
package downstream
