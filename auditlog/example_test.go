package auditlog_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"time"

	"github.com/seed-1e292522/mcpauth"
	"github.com/seed-1e292522/mcpauth/auditlog"
)

// withAudit runs a program whose decisions are kept in a file of the current directory.
func withAudit(ctx context.Context, config mcpauth.Config, serve func(mcpauth.Config) error) error {
	file, err := auditlog.OpenFile(auditlog.FileOptions{Path: "audit.jsonl", SyncEvery: time.Second})
	if err != nil {
		return err
	}
	queue := auditlog.NewQueue(file, 4096)
	audit, err := auditlog.New(queue, auditlog.Options{FailClosed: true})
	if err != nil {
		return err
	}
	config.OnDecision = audit.OnDecision

	failed := serve(config)

	err = queue.Close(ctx)               // everything is written
	err = errors.Join(err, file.Close()) // and on the disk
	return errors.Join(failed, err)
}

// A server with a queue in front of a file, and what is in the file after its end.
func Example() {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	before, _ := os.Getwd()
	if err := os.Chdir(dir); err != nil {
		log.Fatal(err)
	}
	defer func() { _ = os.Chdir(before) }()

	config := mcpauth.Config{Resource: "https://mcp.example.com/mcp", Issuers: []mcpauth.Issuer{{URL: "https://login.example.com"}}}
	err = withAudit(context.Background(), config, func(config mcpauth.Config) error {
		auth, err := mcpauth.New(config)
		if err == nil {
			auth.Wrap(http.NotFoundHandler()).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/mcp", nil))
		}
		return err
	})
	fmt.Println(err)
	text, err := os.Open("audit.jsonl")
	if err != nil {
		log.Fatal(err)
	}
	defer text.Close()
	for record, err := range auditlog.Read(text) {
		fmt.Println(record.Seq, record.Event, record.Decision, record.Reason, record.Status, err)
	}
	// Output:
	// <nil>
	// 1 decision deny no_credentials 401 <nil>
}
