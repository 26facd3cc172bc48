package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"reflect"
	"strings"
	"time"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/clientauth"
	"github.com/seed-1e292522/mcpauth/internal/fetch"
)

// file is what --policy reads: the parts of a mcpauth.Config that can be
// written down, and who holds which scopes.
type file struct {
	Resource string              `json:"resource"`
	Issuers  []fileIssuer        `json:"issuers"`
	Scopes   []string            `json:"scopes"`
	Implies  map[string][]string `json:"implies"`
	Origins  []string            `json:"allowed_origins"`
	Metadata map[string]any      `json:"metadata"`
	Leeway   duration            `json:"leeway"`
	MaxBody  int64               `json:"max_body"`
	Loopback bool                `json:"allow_insecure_loopback"` // also where the resource or an issuer is there
	LegacyAS bool                `json:"legacy_as_metadata"`
	Delegate bool                `json:"delegate_tasks"`
	Rules    fileRules           `json:"rules"`
	// Holders are groups of people or clients, and the scopes that they can get.
	Holders map[string][]string `json:"holders"`
}

type fileIssuer struct {
	URL                 string              `json:"url"`
	Audiences           []string            `json:"audiences"`
	Algorithms          []string            `json:"algorithms"`
	TokenTypes          []string            `json:"token_types"`
	Claims              fileClaims          `json:"claims"`
	RequireClaims       map[string][]string `json:"require_claims"`
	MaxLifetime         duration            `json:"max_lifetime"`
	AllowMissingSubject bool                `json:"allow_missing_subject"`
	AllowIDTokenClaims  bool                `json:"allow_id_token_claims"`
	DPoP                fileDPoP            `json:"dpop"`
	AllowPrivate        bool                `json:"allow_private"`
	OnBehalf            bool                `json:"on_behalf"`
	Introspect          *fileIntrospection  `json:"introspect"`
	Unlisted            bool                `json:"unlisted"`
	JWKSURI             string              `json:"jwks_uri"`
	Keys                fileKeys            `json:"keys"`
}

// fileIntrospection says how an authorization server is asked about tokens. The client's secret stands in the
// environment, and not in a file that others read; it is sent as client_secret_basic.
type fileIntrospection struct {
	Endpoint  string `json:"endpoint"`
	ClientID  string `json:"client_id"`
	SecretEnv string `json:"client_secret_env"`
	Prefix    string `json:"prefix"`
	JWTs      bool   `json:"jwts"`
	Tokeninfo bool   `json:"tokeninfo"`

	secret string // in place of that of the environment, "" for none
}

func (i *fileIntrospection) introspection() *mcpauth.Introspection {
	if i == nil {
		return nil
	}
	out := &mcpauth.Introspection{Endpoint: i.Endpoint, Prefix: i.Prefix, JWTs: i.JWTs, Tokeninfo: i.Tokeninfo}
	if i.ClientID != "" || !i.Tokeninfo {
		out.Client = clientauth.SecretBasic(i.ClientID, cmp.Or(i.secret, os.Getenv(i.SecretEnv)))
	}
	return out
}

// lacksSecret says why there is none, "" if there is one. The name of the variable is not
// shown: a secret may stand there by mistake.
func (i *fileIntrospection) lacksSecret() string {
	switch {
	case i == nil || i.Tokeninfo:
		return ""
	case i.SecretEnv == "":
		return "name the variable of the environment that has the client's secret"
	case os.Getenv(i.SecretEnv) == "":
		return "the environment has no such variable, or it is empty: export it, with the client's secret"
	}
	return ""
}

// needSecrets returns an error if a secret by which an authorization server is asked is not there, with all else that
// is wrong with the configuration.
func (f *file) needSecrets(name, resource string) error {
	var wrong []error
	for i, issuer := range f.Issuers {
		if problem := issuer.Introspect.lacksSecret(); problem != "" {
			wrong = append(wrong, fmt.Errorf("%s: issuers[%d].introspect.client_secret_env: %s", name, i, problem))
		}
	}
	if wrong == nil {
		return nil
	}
	f.standInSecrets()
	_, rest := mcpauth.New(f.config(resource))
	return usageError("%w", errors.Join(append(wrong, rest)...))
}

// standInSecrets is for a file of which nobody is asked about tokens.
func (f *file) standInSecrets() {
	for _, issuer := range f.Issuers {
		if issuer.Introspect.lacksSecret() != "" {
			issuer.Introspect.secret = "stand-in"
		}
	}
}

// fileDPoP is one of the modes, "" for off.
type fileDPoP string

var dpopModes = map[fileDPoP]mcpauth.DPoP{"": mcpauth.DPoPOff, "off": mcpauth.DPoPOff, "accepted": mcpauth.DPoPAccepted, "required": mcpauth.DPoPRequired}

// UnmarshalJSON reads a mode.
func (d *fileDPoP) UnmarshalJSON(text []byte) error {
	var mode string
	err := json.Unmarshal(text, &mode)
	if _, known := dpopModes[fileDPoP(mode)]; !known || err != nil {
		return fmt.Errorf("dpop is \"off\", \"accepted\" or \"required\", not %s", text)
	}
	*d = fileDPoP(mode)
	return nil
}

// fileKeys are a JWK Set, or PEM as a text.
type fileKeys []byte

// UnmarshalJSON reads both forms, and null for none.
func (k *fileKeys) UnmarshalJSON(text []byte) error {
	switch text[0] {
	case 'n':
		return nil
	case '"':
		var pem string
		err := json.Unmarshal(text, &pem)
		*k = []byte(pem)
		return err
	}
	*k = bytes.Clone(text)
	return nil
}

type fileClaims struct {
	Scopes     []string            `json:"scopes"`
	Union      bool                `json:"union"`
	Roles      []string            `json:"roles"`
	RoleScopes map[string][]string `json:"role_scopes"`
	ClientID   string              `json:"client_id"`
	Audience   string              `json:"audience"`
}

type fileRules struct {
	given bool // the file has rules, if only an empty object

	Tools     map[string]fileRequirement `json:"tools"`
	Prompts   map[string]fileRequirement `json:"prompts"`
	Resources map[string]fileRequirement `json:"resources"`
	Methods   map[string]fileRequirement `json:"methods"`
}

// fileRequirement is a list of scopes of which all are needed, the word
// "authenticated" for any valid token, or an object.
type fileRequirement struct{ mcpauth.Requirement }

// UnmarshalJSON reads the three forms.
func (r *fileRequirement) UnmarshalJSON(text []byte) error {
	var object struct {
		All     []string   `json:"all"`
		Any     [][]string `json:"any"`
		Visible bool       `json:"visible"`
		InBand  bool       `json:"in_band"`
	}
	switch text[0] {
	case '"':
		if string(text) != `"authenticated"` {
			return fmt.Errorf("a requirement is a list of scopes, an object, or the word \"authenticated\", not %s", text)
		}
		r.Requirement = mcpauth.Authenticated()
		return nil
	case '[':
		if err := json.Unmarshal(text, &object.All); err != nil {
			return err
		}
	default:
		if err := strictly(text, &object); err != nil {
			return err
		}
	}
	r.Requirement = mcpauth.Requirement{AllOf: object.All, AnyOf: object.Any, Visible: object.Visible, InBand: object.InBand}
	return nil
}

// duration is a text such as "90s".
type duration time.Duration

// UnmarshalJSON reads the text.
func (d *duration) UnmarshalJSON(text []byte) error {
	var s string
	if json.Unmarshal(text, &s) != nil {
		return fmt.Errorf("a duration is a text such as \"30s\" or \"1h\", not %s", text)
	}
	parsed, err := time.ParseDuration(s)
	*d = duration(parsed)
	return err
}

// strictly reads one JSON value in which every member is known: a misspelt one
// would be a rule that does not exist.
func strictly(text []byte, into any) error {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return readably(err, text)
	}
	if decoder.More() {
		return fmt.Errorf("something follows the object")
	}
	return nil
}

// readably says of a text what is wrong with it, in the words of JSON and not in those of Go.
func readably(err error, text []byte) error {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	name, unknown := strings.CutPrefix(err.Error(), "json: unknown field ")
	switch {
	case name == `"client_secret"`:
		return errors.New("a secret does not stand in the file: client_secret_env names the variable of the environment that has it")
	case unknown:
		return fmt.Errorf("no member is called %s: docs/cli.md#the-file shows all of them", name)
	case errors.As(err, &syntax):
		return fmt.Errorf("line %d: %w", 1+bytes.Count(text[:min(int(syntax.Offset), len(text))], []byte("\n")), err)
	case errors.As(err, &kind):
		expected := map[reflect.Kind]string{reflect.String: "a text", reflect.Bool: "true or false", reflect.Int64: "a number", reflect.Slice: "a list"}[kind.Type.Kind()]
		where := ""
		if kind.Field != "" {
			where = kind.Field + ": "
		}
		return fmt.Errorf("%sexpected %s, not a %s", where, cmp.Or(expected, "an object"), kind.Value)
	}
	return err
}

// readFile reads the file of --policy. No name is an empty file.
func readFile(name string) (*file, error) {
	f := &file{}
	if name == "" {
		return f, nil
	}
	content, err := os.ReadFile(name)
	if err != nil {
		return nil, usageError("%w", err)
	}
	if err := strictly(content, f); err != nil {
		return nil, usageError("%s: %w", name, err)
	}
	return f, nil
}

// UnmarshalJSON notes that there are rules at all.
func (r *fileRules) UnmarshalJSON(text []byte) error {
	type plain fileRules
	r.given = true
	return strictly(text, (*plain)(r))
}

func (r *fileRules) empty() bool {
	return len(r.Tools)+len(r.Prompts)+len(r.Resources)+len(r.Methods) == 0
}

func (r *fileRules) rules() mcpauth.Rules {
	plain := func(in map[string]fileRequirement) map[string]mcpauth.Requirement {
		out := make(map[string]mcpauth.Requirement, len(in))
		for name, requirement := range in {
			out[name] = requirement.Requirement
		}
		return out
	}
	return mcpauth.Rules{Tools: plain(r.Tools), Prompts: plain(r.Prompts), Resources: plain(r.Resources), Methods: plain(r.Methods)}
}

func (i *fileIssuer) issuer() mcpauth.Issuer {
	return mcpauth.Issuer{
		URL: i.URL, Audiences: i.Audiences, Algorithms: i.Algorithms, TokenTypes: i.TokenTypes,
		Claims: mcpauth.ClaimMap{Scopes: i.Claims.Scopes, Union: i.Claims.Union, Roles: i.Claims.Roles,
			RoleScopes: i.Claims.RoleScopes, ClientID: i.Claims.ClientID, Audience: i.Claims.Audience},
		RequireClaims: i.RequireClaims, MaxLifetime: time.Duration(i.MaxLifetime), AllowMissingSubject: i.AllowMissingSubject,
		AllowIDTokenClaims: i.AllowIDTokenClaims, DPoP: dpopModes[i.DPoP], AllowPrivate: i.AllowPrivate, OnBehalf: i.OnBehalf, Introspect: i.Introspect.introspection(), Unlisted: i.Unlisted,
		JWKSURI: i.JWKSURI, Keys: i.Keys,
	}
}

// config makes what the operator's program has, for a resource and issuers that
// may come from the command line.
func (f *file) config(resource string) mcpauth.Config {
	c := mcpauth.Config{
		Resource: resource, Scopes: f.Scopes, Implies: f.Implies, AllowedOrigins: f.Origins, Leeway: time.Duration(f.Leeway),
		Metadata: f.Metadata, MaxBody: f.MaxBody, LegacyASMetadata: f.LegacyAS, DelegateTasks: f.Delegate,
		Policy: f.Rules.rules(), AllowInsecureLoopback: f.Loopback || onLoopback(resource),
	}
	for _, i := range f.Issuers {
		c.Issuers = append(c.Issuers, i.issuer())
		c.AllowInsecureLoopback = c.AllowInsecureLoopback || onLoopback(i.URL)
	}
	return c
}

// withIssuers takes the URLs of the command line, with what the file says about
// them. One on a private address, of which it says nothing, needs Issuer.AllowPrivate in the program.
func (f *file) withIssuers(urls []string) {
	if len(urls) == 0 {
		return
	}
	known := map[string]fileIssuer{}
	for _, i := range f.Issuers {
		known[i.URL] = i
	}
	f.Issuers = nil
	for _, u := range urls {
		i, given := known[u]
		if parsed, err := url.Parse(u); err == nil && !given {
			i.AllowPrivate = fetch.IsPrivateHost(parsed.Hostname()) // whoever names it means it
		}
		i.URL = u
		f.Issuers = append(f.Issuers, i)
	}
}

// onLoopback reports whether plain http is for this machine alone.
func onLoopback(raw string) bool {
	u, err := url.Parse(raw)
	return err == nil && u.Scheme == "http" && fetch.IsLoopbackHost(u.Hostname())
}
