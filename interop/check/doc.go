// Package check runs the conformance suite of this repository against servers
// that other libraries protect, and against careless ones of our own.
//
// It is about the suite, not about the others: the tests demand that a run
// comes to its end, that the control token was accepted, so that the rest
// means something, and that a careless server is found out. What is found in
// other people's software is printed by go test -v and asserted nowhere.
package check
