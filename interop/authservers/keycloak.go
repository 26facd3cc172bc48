package authservers

import (
	"bufio"
	"context"
	"crypto/rand"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/interop/wire"
)

// KeycloakVersion is the release of Keycloak that is fetched and started.
const KeycloakVersion = "26.7.3"

// KeycloakAudience is what the audience mappers of the realm put into aud.
const KeycloakAudience = "https://mcp.example.com/mcp"

// KeycloakRealm is the realm as Keycloak imports it when it starts. Its people
// have their names for passwords.
//
//go:embed keycloak/realm.json
var KeycloakRealm []byte

// keycloakHome is Keycloak's distribution, which Maven fetches once for this
// user, built for a database in memory so that it starts without building.
var keycloakHome = sync.OnceValues(func() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	cache = filepath.Join(cache, "mcpauth-interop")
	home := filepath.Join(cache, "keycloak-"+KeycloakVersion)
	if _, err := exec.LookPath("java"); err != nil {
		return "", errors.New("java is not installed")
	}
	if _, err := os.Stat(home); err == nil {
		return home, nil
	}
	if _, err := exec.LookPath("mvn"); err != nil {
		return "", errors.New("mvn is not installed")
	}
	if err := os.MkdirAll(cache, 0o700); err != nil {
		return "", err
	}
	building, err := os.MkdirTemp(cache, "building-")
	if err != nil {
		return "", err
	}
	defer func() { _ = os.RemoveAll(building) }()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	unpacked := filepath.Join(building, "keycloak-"+KeycloakVersion)
	for _, command := range [][]string{
		{"mvn", "-q", "-B", "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy", "-DoutputDirectory=" + building,
			"-Dartifact=org.keycloak:keycloak-quarkus-dist:" + KeycloakVersion + ":tar.gz"},
		{"tar", "-xzf", filepath.Join(building, "keycloak-quarkus-dist-"+KeycloakVersion+".tar.gz"), "-C", building},
		{filepath.Join(unpacked, "bin", "kc.sh"), "build", "--db=dev-mem"},
	} {
		step := exec.CommandContext(ctx, command[0], command[1:]...)
		step.Env = append(os.Environ(), keycloakJava)
		step.WaitDelay = 10 * time.Second
		if output, err := step.CombinedOutput(); err != nil {
			return "", fmt.Errorf("%s: %w\n%s", command[0], err, output)
		}
	}
	if err := os.Rename(unpacked, home); err != nil && !errors.Is(err, os.ErrExist) {
		if _, missing := os.Stat(home); missing != nil { // nobody else was faster
			return "", err
		}
	}
	return home, nil
})

// A process that lives for a minute or two is started faster, and computes
// fast enough, without the second compiler.
const keycloakJava = "JAVA_OPTS_APPEND=-XX:TieredStopAtLevel=1"

// keycloakRun starts a command, and ends it when its own standard input ends,
// as it does when the program of the tests does, however that comes about.
const keycloakRun = `exec 3<&0
"$@" </dev/null 3<&- & pid=$!
(while read -r _ <&3; do :; done; kill "$pid" 2>/dev/null) &
exec 3<&-
wait "$pid"; wait "$pid"; rm -rf "$HOME_OF_RUN"`

// keycloak is the one process that all tests of a program share.
type keycloak struct {
	port     int
	password string // of the administrator
	ready    time.Duration
	input    io.Closer // held open, for its end ends the process

	mu      sync.Mutex
	token   string // of the administrator
	granted time.Time
	keys    int // that were added
}

var keycloakProcess = sync.OnceValues(startKeycloak)

func startKeycloak() (*keycloak, error) {
	home, err := keycloakHome()
	if err != nil {
		return nil, err
	}
	run, err := os.MkdirTemp("", "keycloak-")
	if err != nil {
		return nil, err
	}
	// Keycloak takes realms from, and writes to, data of its home. The home of a
	// run has these of its own, and the rest from the distribution.
	if err := os.MkdirAll(filepath.Join(run, "data", "import"), 0o700); err != nil {
		return nil, err
	}
	for _, shared := range []string{"lib", "providers", "themes", "conf"} {
		if err := os.Symlink(filepath.Join(home, shared), filepath.Join(run, shared)); err != nil {
			return nil, err
		}
	}
	for name, realm := range map[string][]byte{"realm.json": KeycloakRealm, "exchange.json": KeycloakExchange} {
		if err := os.WriteFile(filepath.Join(run, "data", "import", name), realm, 0o600); err != nil {
			return nil, err
		}
	}
	k := &keycloak{password: rand.Text()}
	command := exec.Command("sh", "-c", keycloakRun, "keycloak", filepath.Join(home, "bin", "kc.sh"),
		"start", "--optimized", "--import-realm", "--cache=local", "--http-enabled=true", "--http-host=127.0.0.1", "--http-port=0",
		"--hostname-strict=false", "-Dkc.home.dir="+run)
	command.Env = append(os.Environ(), keycloakJava, "HOME_OF_RUN="+run,
		"KC_BOOTSTRAP_ADMIN_USERNAME=admin", "KC_BOOTSTRAP_ADMIN_PASSWORD="+k.password)
	if k.input, err = command.StdinPipe(); err != nil {
		return nil, err
	}
	output, err := command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	command.Stderr = command.Stdout
	started := time.Now()
	if err := command.Start(); err != nil {
		return nil, err
	}
	limit := time.AfterFunc(5*time.Minute, func() { _ = k.input.Close() })
	defer limit.Stop()
	if k.port, err = keycloakPort(output); err != nil {
		return nil, err
	}
	k.ready = time.Since(started)
	return k, nil
}

var keycloakListens = regexp.MustCompile(`Listening on: http://127\.0\.0\.1:(\d+)`)

// keycloakPort waits for Keycloak to say where it listens.
func keycloakPort(output io.Reader) (int, error) {
	var said strings.Builder
	lines := bufio.NewScanner(output)
	for lines.Scan() {
		if found := keycloakListens.FindStringSubmatch(lines.Text()); found != nil {
			go func() { _, _ = io.Copy(io.Discard, output) }() // what it says later must not block it
			return strconv.Atoi(found[1])
		}
		said.WriteString(lines.Text() + "\n")
	}
	return 0, fmt.Errorf("keycloak ended before it was ready:\n%s", said.String())
}

// StartKeycloak gives a test a place of its own at the Keycloak of this
// program: another origin, and so another issuer, in front of the same realms.
// The first one starts it. It skips the test on a machine without Java, or
// where Maven cannot fetch it, and fails it there if MCPAUTH_INTEROP is "required".
func StartKeycloak(t testing.TB) *Server {
	t.Helper()
	return StartKeycloakRealm(t).Server
}

// Realm is the realm, with what its administrator can do.
type Realm struct {
	*Server
	process *keycloak
	path    string
}

// keycloakPath is the path of the realm.
const keycloakPath = "/realms/mcp"

// StartKeycloakRealm is [StartKeycloak] for tests that administrate.
func StartKeycloakRealm(t testing.TB) *Realm {
	t.Helper()
	realm := startRealm(t, keycloakPath)
	realm.Prepare = func(person string) {
		realm.TokensLive(t, person == Ron)
		realm.ForgetConsent(t, person)
	}
	return realm
}

func startRealm(t testing.TB, path string) *Realm {
	t.Helper()
	k, err := keycloakProcess()
	if err != nil {
		reason := "Keycloak " + KeycloakVersion + " cannot be run (it needs Java 17 or newer, and Maven to fetch it once): " + err.Error()
		if os.Getenv("MCPAUTH_INTEROP") == "required" {
			t.Fatal(reason)
		}
		t.Skip(reason)
	}
	t.Logf("Keycloak %s was ready after %.1f s", KeycloakVersion, k.ready.Seconds())
	realm := &Realm{process: k, path: path, Server: &Server{
		Name:    "Keycloak",
		Version: KeycloakVersion,
		Habits: "dynamic registration by policy, an issuer with a path, no RFC 8707: `aud` comes from the audience mappers of the " +
			"tool scopes, RS256, `typ` JWT, always a refresh token, both discoveries",
		Known:           map[string]string{"mcp-go": "interop", "Inspector CLI": "interop", "mcp-remote": "interop"},
		IgnoresResource: true,
		Authorize:       path + "/protocol/openid-connect/auth", Token: path + "/protocol/openid-connect/token",
		Register: path + "/clients-registrations/openid-connect",
		Rotate:   k.rotate, Revoke: k.revoke, Revoked: k.revoked,
		Record: &wire.Record{},
	}}
	serve(t, realm.Record, func(origin string) http.Handler {
		realm.Issuer = mcpauth.Issuer{URL: origin + path, Audiences: []string{KeycloakAudience}}
		return forward(k.port)
	})
	return realm
}
