// Package canary asks servers of both Go SDKs, behind mcpauth, for everything
// that a caller without the rights can ask for, and looks in all that comes back, bytes
// beside the entries of lists included, for what the caller may not know of.
package canary
