package main

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net/url"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/urfave/cli/v3"
)

func app(env environment) *cli.Command {
	root := &cli.Command{
		Name:      "mcpauth",
		Usage:     "say why an MCP server refuses what it should accept, and the other way round",
		Writer:    env.stdout,
		ErrWriter: env.stderr,
		Commands:  []*cli.Command{doctorCommand(env), checkCommand(env), policyCommand(env)},
		Action: func(_ context.Context, c *cli.Command) error {
			if c.Args().Present() {
				return usageError("there is no command %q: use doctor, check or policy", c.Args().First())
			}
			return cli.ShowRootCommandHelp(c)
		},
		ExitErrHandler: func(context.Context, *cli.Command, error) {},
	}
	for _, c := range append(root.Commands, root) {
		c.OnUsageError = func(_ context.Context, _ *cli.Command, err error, _ bool) error { return usageError("%w", err) }
		c.HideHelpCommand = true
	}
	return root
}

func jsonFlag() cli.Flag {
	return &cli.BoolFlag{Name: "json", Usage: "write one JSON object"}
}

func policyFlag() cli.Flag {
	return &cli.StringFlag{Name: "policy", Aliases: []string{"config"}, Usage: "`FILE` with the policy and, if wanted, the issuers (docs/cli.md)"}
}

func doctorCommand(env environment) *cli.Command {
	return &cli.Command{
		Name:  "doctor",
		Usage: "walk through discovery, keys and a token, and name each fault with its fix",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "resource", Usage: "`URL` of the MCP endpoint, as clients dial it"},
			&cli.StringSliceFlag{Name: "issuer", Usage: "`URL` of the authorization server; default: those of the file, or of the metadata"},
			&cli.StringFlag{Name: "token", Usage: "`FILE` with an access token, - for standard input; it is never printed"},
			&cli.StringFlag{Name: "tool", Usage: "`NAME` of a tool that the token should open"},
			&cli.StringFlag{Name: "origin", Usage: "`ORIGIN` of a browser application that should be admitted"},
			policyFlag(), jsonFlag(),
		},
		Action: func(ctx context.Context, c *cli.Command) error {
			token, err := readSecret(c, env.stdin, "token")
			if err != nil {
				return err
			}
			file, err := readFile(c.String("policy"))
			if err != nil {
				return err
			}
			d := &doctor{
				resource: c.String("resource"), file: file, issuers: c.StringSlice("issuer"), token: token, hasToken: c.IsSet("token"),
				tool: c.String("tool"), origin: c.String("origin"), hasPolicy: file.hasRules,
			}
			if d.resource == "" {
				d.resource = file.Resource
			}
			if d.resource == "" {
				return usageError("doctor needs --resource URL, or --policy FILE with a file that names it")
			}
			if u, err := url.Parse(d.resource); err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
				return usageError("--resource: %w, as clients dial it", errNoURL)
			}
			if err := file.readClients(d.resource); err != nil {
				return err
			}
			return d.examine(ctx).finish(env, c.Bool("json"))
		},
	}
}

// maxSecret bounds a file with a token or a key.
const maxSecret = 1 << 20

// readSecret reads a token or a key from the file that a flag names, "-" for standard input. Its errors name the
// flag, and neither the content nor what was given as a name: people give the secret itself.
func readSecret(c *cli.Command, stdin io.Reader, flag string) (string, error) {
	name := c.String(flag)
	if name == "" {
		return "", nil
	}
	in := stdin
	if name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return "", usageError("--%s: %w: it takes the name of a file, or - for standard input", flag, withoutName(err))
		}
		defer file.Close()
		in = file
	}
	content, err := io.ReadAll(io.LimitReader(in, maxSecret))
	if err != nil {
		return "", usageError("--%s: %w: it takes the name of a file, or - for standard input", flag, withoutName(err))
	}
	secret := strings.TrimSpace(string(content))
	if secret == "" {
		return "", usageError("--%s: the file is empty: write the secret into it, or give - for standard input", flag)
	}
	return secret, nil
}

// withoutName is an error about a file without its name.
func withoutName(err error) error {
	var of *fs.PathError
	if errors.As(err, &of) {
		return of.Err
	}
	return err
}

// aJWT is what a token looks like that stands where something else is wanted.
var aJWT = regexp.MustCompile(`eyJ[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]*)*`)

// withoutTokens takes tokens out of what is said of the command line, whatever flag they stand at.
func withoutTokens(text string) string { return aJWT.ReplaceAllString(text, "[token]") }

// timeLimit bounds a run of doctor or policy.
const timeLimit = time.Minute

var errNoURL = errors.New("an absolute http or https URL is needed")
