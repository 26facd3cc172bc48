package owned

import "sync"

// Accounts count what each owner makes us hold at the moment. The zero value
// is ready for use, by several goroutines too.
type Accounts struct {
	mu   sync.Mutex
	held map[string]int
}

// Take books n more for an owner, unless it would hold more than most then.
func (a *Accounts) Take(owner string, n, most int) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if n > most-a.held[owner] {
		return false
	}
	if a.held == nil {
		a.held = map[string]int{}
	}
	a.held[owner] += n
	return true
}

// Give takes n off the owner's account.
func (a *Accounts) Give(owner string, n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.held[owner] -= n; a.held[owner] <= 0 {
		delete(a.held, owner)
	}
}
