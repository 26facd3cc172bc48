package archtest

import (
	"bytes"
	"go/ast"
	"io/fs"
	"path"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var (
	// The character before the slash keeps URLs and base64 out.
	machinePath = regexp.MustCompile(`(^|[^A-Za-z0-9_.~+/-])/(work|root|farm|hom[e])/`)
	unfinished  = regexp.MustCompile(`\b(TO[D]O|FIX[M]E)\b`)
)

// TestNoLeftovers: a path of somebody's machine or a promise to finish later
// has no place in what is published. Checksums and fuzz corpora are not prose.
func TestNoLeftovers(t *testing.T) {
	for _, name := range files(t) {
		content := read(t, name)
		if path.Base(name) == "go.sum" || strings.Contains(name, "testdata/fuzz/") || bytes.IndexByte(content, 0) >= 0 {
			continue
		}
		n := 0
		for line := range bytes.Lines(content) {
			n++
			if found := machinePath.Find(line); found != nil {
				t.Errorf("%s:%d: machine path %q", name, n, found)
			}
			if found := unfinished.Find(line); found != nil {
				t.Errorf("%s:%d: %s", name, n, found)
			}
		}
	}
}

// TestFuzzCorpora: a fuzz target without a committed corpus tests nothing in
// an ordinary go test.
func TestFuzzCorpora(t *testing.T) {
	targets := 0
	for _, name := range goFiles(t, isTest) {
		_, file := parse(t, name)
		for _, declaration := range file.Decls {
			function, ok := declaration.(*ast.FuncDecl)
			if !ok || function.Recv != nil || !strings.HasPrefix(function.Name.Name, "Fuzz") {
				continue
			}
			targets++
			corpus, _ := fs.Glob(root, path.Join(path.Dir(name), "testdata/fuzz", function.Name.Name, "*"))
			assert.NotEmpty(t, corpus, "%s: %s has no committed corpus", name, function.Name.Name)
		}
	}
	require.Positive(t, targets)
	t.Logf("fuzz targets: %d", targets)
}

// TestGoldenResponses: one whole-response file at least for each of the 13
// rows of the status matrix.
func TestGoldenResponses(t *testing.T) {
	golden, err := fs.Glob(root, "testdata/wire/*.http")
	require.NoError(t, err)
	assert.GreaterOrEqual(t, len(golden), 13)
	for _, name := range golden {
		assert.NotEmpty(t, read(t, name), name)
	}
}
