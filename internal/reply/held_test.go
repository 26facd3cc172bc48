package reply

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestHeld_MCP_62: whatever the pieces, what is held is what was written, and it may go on after it was looked at.
func TestHeld_MCP_62(t *testing.T) {
	for _, sizes := range [][]int{{}, {0}, {1}, {1, 1, 1, 2, 3, 1, 1}, {3 * heldPart, 1, heldPart}, {heldPart, heldPart, 2 * heldPart, 7}, {600, 100, 300, 0, 700, 5}} {
		var h Held
		var want []byte
		for i, size := range sizes {
			piece := bytes.Repeat([]byte{byte('a' + i)}, size)
			n, err := h.Write(piece)
			require.NoError(t, err)
			require.Equal(t, size, n)
			want = append(want, piece...)
			clear(piece) // it is the writer's again
			if i == 3 {
				require.Equal(t, want, h.Bytes())
			}
		}
		require.Equal(t, len(want), h.Len())
		require.Equal(t, want, h.Bytes())
		require.Equal(t, want, h.Bytes(), "again")
	}
}
