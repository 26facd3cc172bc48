package auditlog

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

type nowhere struct{}

func (nowhere) Write(...Record) error { return nil }

// Nothing is left of a caller whose records are written.
func TestQueueForgetsCallers_LIMITS_13(t *testing.T) {
	queue := NewQueue(nowhere{}, 1000)
	for i := range 1000 {
		require.NoError(t, queue.Write(Record{Subject: fmt.Sprint(i)}))
	}
	require.NoError(t, queue.Close(t.Context()))
	assert.Empty(t, queue.held)
}
