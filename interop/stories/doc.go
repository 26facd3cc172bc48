// Package stories holds tests of the examples that need another runtime.
package stories
