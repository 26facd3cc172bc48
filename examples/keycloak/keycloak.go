package main

import (
	"bufio"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"
)

const version = "26.7.3"

//go:embed realm.json
var realm []byte

// keycloak is a Keycloak with the realm.
type keycloak struct {
	url  string
	stop func()
}

// start runs Keycloak on a free port of loopback, with a database in memory, and
// says what takes so long. The environment fills in the ${...} of the realm.
func start(ctx context.Context, say io.Writer, env ...string) (*keycloak, error) {
	home := os.Getenv("KEYCLOAK_HOME")
	yours := home != ""
	mode := []string{"start-dev", "--db=dev-mem"} // builds what it is to run
	if yours {
		fmt.Fprintln(say, "Building and starting a copy of the Keycloak in KEYCLOAK_HOME: about a minute.")
	} else {
		var err error
		if home, err = fetched(ctx, say); err != nil {
			return nil, fmt.Errorf("Keycloak %s cannot be had: %w", version, err)
		}
		mode = []string{"start", "--optimized", "--http-enabled=true", "--hostname-strict=false", "--cache=local"}
		fmt.Fprintf(say, "Starting Keycloak %s: about half a minute.\n", version)
	}
	run, err := os.MkdirTemp("", "keycloak-")
	if err != nil {
		return nil, err
	}
	stop := func() { _ = os.RemoveAll(run) }
	if err := prepare(run, home, yours); err != nil {
		stop()
		return nil, err
	}
	arguments := append(mode, "--import-realm", "--http-host=127.0.0.1", "--http-port=0", "-Dkc.home.dir="+run)
	command := exec.CommandContext(ctx, filepath.Join(run, "bin", "kc.sh"), arguments...)
	command.Env = append(os.Environ(), env...)
	command.Cancel = func() error { return command.Process.Signal(syscall.SIGTERM) } // kc.sh passes it on
	command.WaitDelay = 10 * time.Second
	output, err := command.StdoutPipe()
	if err != nil {
		stop()
		return nil, err
	}
	command.Stderr = command.Stdout
	if err := command.Start(); err != nil {
		stop()
		return nil, err
	}
	stop = func() {
		_ = command.Process.Signal(syscall.SIGTERM)
		_ = command.Wait()
		_ = os.RemoveAll(run)
	}
	url, err := listens(output)
	if err != nil {
		stop()
		return nil, err
	}
	return &keycloak{url, stop}, nil
}

// prepare makes a home for one run: the realm to import, and the rest as it is in
// the distribution. Keycloak builds into the lib beside its script: where it is to
// build, it gets copies of both.
func prepare(run, home string, builds bool) error {
	for _, shared := range []string{"bin", "lib", "providers", "themes", "conf"} {
		if builds && (shared == "bin" || shared == "lib") {
			if err := os.CopyFS(filepath.Join(run, shared), os.DirFS(filepath.Join(home, shared))); err != nil {
				return err
			}
			continue
		}
		if err := os.Symlink(filepath.Join(home, shared), filepath.Join(run, shared)); err != nil {
			return err
		}
	}
	imported := filepath.Join(run, "data", "import")
	if err := os.MkdirAll(imported, 0o700); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(imported, "realm.json"), realm, 0o600)
}

var listening = regexp.MustCompile(`Listening on: (http://127\.0\.0\.1:\d+)`)

// listens waits until Keycloak says where it listens.
func listens(output io.Reader) (string, error) {
	var said strings.Builder
	for lines := bufio.NewScanner(output); lines.Scan(); {
		if found := listening.FindStringSubmatch(lines.Text()); found != nil {
			go func() { _, _ = io.Copy(io.Discard, output) }() // what it says later must not block it
			return found[1], nil
		}
		said.WriteString(lines.Text() + "\n")
	}
	return "", fmt.Errorf("Keycloak ended before it was ready:\n%s", said.String())
}

// fetched is the distribution in the user's cache: fetched by Maven and built once.
func fetched(ctx context.Context, say io.Writer) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	cache = filepath.Join(cache, "mcpauth-interop") // where the interop tests have it, too
	name := "keycloak-" + version
	home := filepath.Join(cache, name)
	if _, err := os.Stat(home); err == nil {
		return home, nil
	}
	fmt.Fprintf(say, "Fetching Keycloak %s (190 MB) and building it, this time only.\n", version)
	if err := os.MkdirAll(cache, 0o700); err != nil {
		return "", err
	}
	building, err := os.MkdirTemp(cache, "building-")
	if err != nil {
		return "", err
	}
	defer func() { _ = os.RemoveAll(building) }()
	for _, command := range [][]string{
		{"mvn", "-q", "-B", "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy", "-DoutputDirectory=" + building,
			"-Dartifact=org.keycloak:keycloak-quarkus-dist:" + version + ":tar.gz"},
		{"tar", "-xzf", filepath.Join(building, "keycloak-quarkus-dist-"+version+".tar.gz"), "-C", building},
		{filepath.Join(building, name, "bin", "kc.sh"), "build", "--db=dev-mem"},
	} {
		if output, err := exec.CommandContext(ctx, command[0], command[1:]...).CombinedOutput(); err != nil {
			return "", fmt.Errorf("%s: %w\n%s", command[0], err, output)
		}
	}
	if err := os.Rename(filepath.Join(building, name), home); err != nil && !errors.Is(err, os.ErrExist) {
		return "", err
	}
	return home, nil
}
