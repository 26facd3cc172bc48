package main

import (
	"context"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"github.com/seed-1e292522/mcpauth/conformance"
	"github.com/seed-1e292522/mcpauth/internal/fetch"
)

func checkCommand(env environment) *cli.Command {
	return &cli.Command{
		Name:      "check",
		Usage:     "black-box conformance checks of any MCP server's resource-server side",
		ArgsUsage: "URL",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "i-own-this-target", Usage: "the target is mine; needed unless it is on loopback"},
			&cli.StringFlag{Name: "embed-issuer", Usage: "serve an issuer at this loopback `URL` during the run; the target must trust it"},
			&cli.StringFlag{Name: "issuer", Usage: "`URL` of an issuer that the target trusts, whose key is in --key"},
			&cli.StringFlag{Name: "key", Usage: "`FILE` with the private key of --issuer, PEM, PKCS #8"},
			&cli.StringFlag{Name: "kid", Usage: "`ID` of that key"},
			&cli.StringFlag{Name: "token", Usage: "`FILE` with a good token, - for standard input"},
			&cli.StringFlag{Name: "other-token", Usage: "`FILE` with a good token of another person"},
			&cli.StringFlag{Name: "foreign-token", Usage: "`FILE` with a good token that was made for another client or API"},
			&cli.StringSliceFlag{Name: "tool", Usage: "a harmless tool that may be called, as `NAME=SCOPE+SCOPE`"},
			&cli.StringFlag{Name: "notifier", Usage: "`NAME` of the one of these tools that takes seconds and sends notifications while it runs"},
			&cli.BoolFlag{Name: "alone", Usage: "nobody else uses the target during the run; needed for what may disturb others, unless it is on loopback"},
			&cli.StringSliceFlag{Name: "scope", Usage: "a further `SCOPE` for minted tokens"},
			&cli.StringFlag{Name: "origin", Usage: "a browser `ORIGIN` that the target admits"},
			&cli.BoolFlag{Name: "outage", Usage: "take the embedded issuer down for a moment at the beginning"},
			&cli.IntFlag{Name: "rate", Usage: "requests per second", Value: conformance.DefaultRate},
			&cli.DurationFlag{Name: "wait", Usage: "how long to wait for the target to come up"},
			&cli.StringFlag{Name: "format", Usage: "text, json or junit", Value: "text"},
			&cli.StringFlag{Name: "fail-on", Usage: "exit with 1 for findings of this `SEVERITY` and worse", Value: string(conformance.Low)},
			&cli.BoolFlag{Name: "list", Usage: "list the checks and send nothing"},
			jsonFlag(),
		},
		Action: func(ctx context.Context, c *cli.Command) error { return check(ctx, c, env) },
	}
}

func check(ctx context.Context, c *cli.Command, env environment) error {
	format := c.String("format")
	if c.Bool("json") {
		format = "json"
	}
	if format != "text" && format != "json" && format != "junit" {
		return usageError("--format %s: use text, json or junit", format)
	}
	failOn, err := conformance.ParseSeverity(c.String("fail-on"))
	if err != nil {
		return usageError("--fail-on: %w", err)
	}
	if c.Bool("list") {
		return writeReport(&conformance.Report{Target: "no target", Results: conformance.Catalogue()}, format, env, true)
	}
	if c.Args().Len() != 1 {
		return usageError("check needs one URL")
	}
	target, stop, err := readTarget(c, env)
	if err != nil {
		return err
	}
	defer stop()
	if err := waitFor(ctx, target.URL, c.Duration("wait")); err != nil {
		return err
	}
	report, err := conformance.Run(ctx, target)
	var unreachable *conformance.UnreachableError
	switch {
	case errors.As(err, &unreachable):
		return &codedError{exitUnreachable, err}
	case err != nil:
		return usageError("%w", err)
	}
	if err := writeReport(report, format, env, false); err != nil {
		return err
	}
	if len(report.Findings(failOn)) > 0 {
		return &codedError{code: exitFindings}
	}
	return nil
}

// readTarget makes the target of flags and files. The function ends the
// embedded issuer.
func readTarget(c *cli.Command, env environment) (target conformance.Target, stop func(), err error) {
	stop = func() {}
	target = conformance.Target{
		URL: c.Args().First(), Owned: c.Bool("i-own-this-target"), Rate: c.Int("rate"), Scopes: c.StringSlice("scope"),
		Notifier: c.String("notifier"), Alone: c.Bool("alone"), Origin: c.String("origin"), Outage: c.Bool("outage"),
	}
	if target.Rate < 1 {
		return target, stop, usageError("--rate must be at least 1")
	}
	for _, tool := range c.StringSlice("tool") {
		name, scopes, _ := strings.Cut(tool, "=")
		one := conformance.Tool{Name: name}
		if scopes != "" {
			one.Scopes = strings.Split(scopes, "+")
		}
		target.Tools = append(target.Tools, one)
	}
	if target.Token, err = readSecret(c, env.stdin, "token"); err != nil {
		return target, stop, err
	}
	if target.OtherToken, err = readSecret(c, env.stdin, "other-token"); err != nil {
		return target, stop, err
	}
	if target.ForeignToken, err = readSecret(c, env.stdin, "foreign-token"); err != nil {
		return target, stop, err
	}
	switch {
	case c.IsSet("embed-issuer") && c.IsSet("key"):
		return target, stop, usageError("--embed-issuer has a key of its own: drop --key")
	case c.IsSet("embed-issuer"):
		issuer, end, err := embed(c.String("embed-issuer"))
		if err != nil {
			return target, stop, err
		}
		target.Minter, stop = issuer, end
	case c.IsSet("key"):
		key, err := readKey(c, env)
		if err != nil {
			return target, stop, err
		}
		signer, err := conformance.NewSigner(c.String("issuer"), c.String("kid"), key)
		if err != nil {
			return target, stop, usageError("--issuer and --key: %w", err)
		}
		target.Minter = signer
	case c.IsSet("issuer"):
		return target, stop, usageError("--issuer needs --key, to sign tokens with")
	}
	return target, stop, nil
}

// embed serves an issuer on loopback.
func embed(issuerURL string) (*conformance.Issuer, func(), error) {
	u, err := url.Parse(issuerURL)
	if err != nil || u.Scheme != "http" || !fetch.IsLoopbackHost(u.Hostname()) || u.Port() == "" {
		return nil, nil, usageError("--embed-issuer must be http://127.0.0.1:PORT or another loopback address with a port")
	}
	issuer, err := conformance.NewIssuer(issuerURL)
	if err != nil {
		return nil, nil, usageError("--embed-issuer: %w", err)
	}
	listener, err := net.Listen("tcp", u.Host)
	if err != nil {
		return nil, nil, usageError("--embed-issuer: %w", err)
	}
	server := &http.Server{Handler: issuer, ReadHeaderTimeout: liveTimeout}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(listener)
	}()
	return issuer, func() {
		_ = server.Close()
		<-done
	}, nil
}

func readKey(c *cli.Command, env environment) (crypto.Signer, error) {
	text, err := readSecret(c, env.stdin, "key")
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return nil, usageError("--key: the file holds no PEM block: it takes a private key, PEM, PKCS #8")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, usageError("--key: the file holds no PKCS #8 private key: convert it with openssl pkcs8 -topk8 -nocrypt")
	}
	signer, ok := parsed.(crypto.Signer)
	if !ok {
		return nil, usageError("--key: the file holds a key that does not sign: use RSA, an elliptic curve or Ed25519")
	}
	return signer, nil
}

// waitFor waits until something listens where the target is.
func waitFor(ctx context.Context, target string, limit time.Duration) error {
	u, err := url.Parse(target)
	if err != nil || limit <= 0 {
		return nil // Run says what is wrong
	}
	address := u.Host
	if u.Port() == "" {
		address = net.JoinHostPort(u.Hostname(), map[string]string{"https": "443"}[u.Scheme])
	}
	for end := time.Now().Add(limit); ; {
		connection, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", address)
		if err == nil {
			return connection.Close()
		}
		if time.Now().After(end) || ctx.Err() != nil {
			return &codedError{exitUnreachable, fmt.Errorf("%s cannot be reached: %w", target, err)}
		}
		time.Sleep(100 * time.Millisecond)
	}
}

func writeReport(report *conformance.Report, format string, env environment, catalogue bool) error {
	switch {
	case format == "json":
		return report.WriteJSON(env.stdout)
	case format == "junit":
		return report.WriteJUnit(env.stdout)
	case catalogue:
		for _, one := range report.Results {
			fmt.Fprintf(env.stdout, "%-34s %-8s %-9s %s; %s\n", one.ID, one.Severity, one.Requirement, one.Title, one.Rule)
		}
		return nil
	case !env.color:
		return report.WriteText(env.stdout)
	}
	var text strings.Builder
	if err := report.WriteText(&text); err != nil {
		return err
	}
	painted := strings.NewReplacer("  ✓ ", "  "+env.paint("✓", "32")+" ", "  ✗ ", "  "+env.paint("✗", "31")+" ").Replace(text.String())
	_, err := fmt.Fprint(env.stdout, painted)
	return err
}
