package stories

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestKeycloakExample: the one command of examples/keycloak starts a Keycloak with
// its realm, and the story goes as told.
func TestKeycloakExample(t *testing.T) {
	need(t, "java", "mvn")
	program := filepath.Join(t.TempDir(), "keycloak")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", program, ".")
	build.Dir = filepath.Join("..", "..", "examples", "keycloak")
	build.Env = append(os.Environ(), "GOWORK=off")
	output, err := build.CombinedOutput()
	require.NoError(t, err, "%s", output)
	output, err = exec.CommandContext(t.Context(), program).CombinedOutput()
	if err != nil {
		giveUp(t, "%v\n%s", err, output)
	}
	assert.Contains(t, string(output), "\nAll 7 steps went as told.\n")
	assert.NotContains(t, string(output), "eyJ", "a token is printed")
}
