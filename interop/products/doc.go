// Package products asks the command of mcpauth about every authorization server
// of the matrix: about a set-up in which all is well, and about set-ups with one
// fault each.
package products
