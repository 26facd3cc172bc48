// Package browser holds tests only: a person in headless Chromium who signs in
// at the authorization server's own page and approves or denies, while a real
// MCP client waits for the outcome.
package browser
