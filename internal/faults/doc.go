// Package faults sets up, on loopback and for real, the mistakes and outages
// that users of authorization on MCP servers report most. Tests of the log and
// of the doctor go through the same list and compare what is said with what
// was done.
//
// It is for tests alone: nothing that users link imports it.
package faults
