//go:build race

package mcpauth_test

// raceEnabled says that the race detector is at work. It is slow, and with more than 255 goroutines at
// a time it ends now and then with a failed check of its own (tsan_rtl.cpp, kEpochLast).
const raceEnabled = true
