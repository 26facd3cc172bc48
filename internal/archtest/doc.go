// Package archtest holds tests of the architecture and nothing else: who may
// import whom, how large a file may grow, what the public API is, and which
// test proves which requirement. A rule of this repository that can be
// checked by a program lives here and not in a guide.
package archtest
