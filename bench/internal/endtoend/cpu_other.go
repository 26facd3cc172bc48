//go:build !unix

package endtoend

import "time"

// cpuTime is not known here; the report then has no CPU column.
func cpuTime() time.Duration { return 0 }
