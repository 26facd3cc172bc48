package archtest

import (
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// library reports whether a file is production code that users link: the root
// package, internal packages, auditlog and mcpauthtest. Programs are linked by
// nobody: they have a command line and an environment.
func library(name string) bool {
	return isCode(name) && !nested(name) && !strings.HasPrefix(name, "examples/") && !strings.HasPrefix(name, "cmd/") &&
		!strings.HasPrefix(name, "internal/archtest/")
}

func within(imported, parent string) bool {
	return imported == parent || strings.HasPrefix(imported, parent+"/")
}

// Each rule says which imports it is about and which files may have them.
var importRules = []struct {
	name    string
	about   func(imported string) bool
	allowed func(file string) bool
}{
	{
		"only internal/jose imports jwx",
		func(imported string) bool { return strings.HasPrefix(imported, "github.com/lestrrat-go/") },
		func(file string) bool { return path.Dir(file) == "internal/jose" },
	}, {
		"mcp-go and testify only in examples and tests",
		func(imported string) bool {
			return within(imported, "github.com/mark3labs/mcp-go") || within(imported, "github.com/stretchr/testify")
		},
		func(file string) bool { return false },
	}, {
		"only mcpauthtest and tests import testing",
		func(imported string) bool {
			return within(imported, "testing") || imported == "net/http/httptest"
		},
		func(file string) bool {
			return strings.HasPrefix(file, "mcpauthtest/") || strings.HasPrefix(file, "internal/faults/") // for tests alone
		},
	}, {
		"internal packages know nothing of the root package",
		func(imported string) bool { return imported == module || imported == module+"/mcpauthtest" },
		func(file string) bool {
			return !strings.HasPrefix(file, "internal/") || strings.HasPrefix(file, "internal/faults/")
		},
	}, {
		"unsafe and cgo stay out",
		func(imported string) bool { return imported == "unsafe" || imported == "C" },
		func(file string) bool { return false },
	}, {
		"no switch outside the configuration: no flags, no environment",
		func(imported string) bool {
			return imported == "flag" || imported == "os" || imported == "os/exec" || imported == "plugin" || imported == "expvar"
		},
		func(file string) bool {
			// A file has to be opened, and these open none, and read no variable, that their caller does not name.
			return strings.HasPrefix(file, "mcpauthtest/") || path.Dir(file) == "auditlog" || path.Dir(file) == "configfile"
		},
	},
}

func TestImports(t *testing.T) {
	sources := goFiles(t, library)
	require.NotEmpty(t, sources)
	for _, rule := range importRules {
		t.Run(rule.name, func(t *testing.T) {
			for _, name := range sources {
				_, file := parse(t, name)
				for _, spec := range file.Imports {
					imported, err := strconv.Unquote(spec.Path.Value)
					require.NoError(t, err)
					if rule.about(imported) && !rule.allowed(name) {
						t.Errorf("%s imports %s", name, imported)
					}
				}
			}
		})
	}
}

// TestLinkedPackages: a user of the root package
// links jwx's own closure and the standard library, nothing else.
func TestLinkedPackages_TEST_15_OBS_04(t *testing.T) {
	if testing.Short() {
		t.Skip("runs the go command")
	}
	const foreign = "{{if not .Standard}}{{.ImportPath}}{{end}}"
	allowed := golist(t, "-deps", "-f", foreign,
		"github.com/lestrrat-go/jwx/v3/jws/jwsbb", "github.com/lestrrat-go/jwx/v3/jwk")
	linked := slices.DeleteFunc(golist(t, "-deps", "-f", foreign, "."), func(imported string) bool {
		return within(imported, module)
	})
	for _, imported := range linked {
		assert.Contains(t, allowed, imported, "the root package links more than jwx")
	}
	for _, imported := range golist(t, "-deps", ".") {
		assert.False(t, within(imported, "testing"), "the root package links %s", imported)
		assert.False(t, within(imported, "net/http/httptest"), "the root package links %s", imported)
	}
	t.Logf("non-standard packages linked by the root package: %d", len(linked))
}
