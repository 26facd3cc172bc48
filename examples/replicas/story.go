package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"
)

// story is what happens, to whom.
type story struct {
	ctx      context.Context
	out      io.Writer
	login    *login
	database *database
	file     string
	replicas []*replica
	url      string // of the proxy
	client   *http.Client
}

// rules writes the file, as an orchestrator does: another one in the place of the first.
func (s *story) rules(scope string) error {
	text, err := json.MarshalIndent(map[string]any{
		"resource": resource,
		"issuers":  []any{map[string]any{"url": issuerURL, "keys": s.login.keys()}},
		"rules": map[string]any{
			"tools":   map[string]any{"whoami": "authenticated", "report": []string{scope}},
			"methods": map[string]any{"tasks/get": "authenticated", "tasks/cancel": "authenticated"},
		},
	}, "", "  ")
	if err != nil {
		return err
	}
	if err = os.WriteFile(s.file+".new", text, 0o600); err != nil {
		return err
	}
	return os.Rename(s.file+".new", s.file)
}

// ask sends a request to the proxy.
func (s *story) ask(token, method, params string) (status int, body string, err error) {
	text := fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":%q,"params":{%s}}`, method, params)
	r, err := http.NewRequestWithContext(s.ctx, http.MethodPost, s.url, strings.NewReader(text))
	if err != nil {
		return 0, "", err
	}
	r.Header = http.Header{"Authorization": {"Bearer " + token}, "Content-Type": {"application/json"}, "Accept": {"application/json, text/event-stream"}, "Mcp-Protocol-Version": {"2025-11-25"}}
	resp, err := s.client.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	all, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(bytes.TrimSpace(all)), err
}

// says asks as often as there are replicas, and prints what all of them answer.
func (s *story) says(who, token, method, params string) error {
	var first string
	for i := range s.replicas {
		status, body, err := s.ask(token, method, params)
		if err != nil {
			return err
		}
		answer := fmt.Sprint(status, " ", short(body))
		if i > 0 && answer != first {
			return fmt.Errorf("%s, %s: one replica says %q and another %q", who, method, first, answer)
		}
		first = answer
	}
	fmt.Fprintf(s.out, "  %-5s %-9s at both: %s\n", who, method, first)
	return nil
}

// short is what matters of an answer.
func short(body string) string {
	var a struct {
		Result struct {
			Status  string                  `json:"status"`
			Content []struct{ Text string } `json:"content"`
			Task    struct{ Status string } `json:"task"`
		} `json:"result"`
		Error json.RawMessage `json:"error"`
		Words string          `json:"error_description"`
	}
	if json.Unmarshal([]byte(body), &a) != nil {
		return "no JSON"
	}
	var refused struct{ Message string }
	switch {
	case json.Unmarshal(a.Error, &refused) == nil && refused.Message != "":
		return refused.Message
	case a.Words != "":
		return a.Words
	case a.Result.Status != "":
		return "task " + a.Result.Status
	case a.Result.Task.Status != "":
		return "task " + a.Result.Task.Status
	case len(a.Result.Content) > 0:
		return a.Result.Content[0].Text
	}
	return "an empty answer"
}

func (s *story) tell() error {
	ada, bob := s.login.token("ada", "reports:read"), s.login.token("bob", "reports:read")
	fmt.Fprintln(s.out, "1. Ada begins a report. The proxy sends each request to the next replica.")
	status, body, err := s.ask(ada, "tools/call", `"name":"report","arguments":{},"task":{}`)
	if err != nil {
		return err
	}
	var begun struct {
		Result struct {
			Task struct {
				ID string `json:"taskId"`
			} `json:"task"`
		} `json:"result"`
	}
	if err = json.Unmarshal([]byte(body), &begun); err != nil || begun.Result.Task.ID == "" {
		return fmt.Errorf("no task began: %d %s", status, body)
	}
	task := fmt.Sprintf(`"taskId":%q`, begun.Result.Task.ID)
	for _, step := range []func() error{
		func() error { return s.says("ada", ada, "tasks/get", task) },
		func() error { return s.says("bob", bob, "tasks/get", task) },
		func() error { return s.changes(ada, task) },
		func() error { return s.loses(ada, task) },
		func() error { return s.revokes(ada, bob) },
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// changes changes the file while calls run.
func (s *story) changes(ada, task string) error {
	fmt.Fprintln(s.out, "2. The file changes while calls run: reports need reports:admin now.")
	before := s.replicas[0].auth.ConfigStatus().Fingerprint
	if err := s.rules("reports:admin"); err != nil {
		return err
	}
	allowed, refused, other := 0, 0, 0
	err := until(s.ctx, func() bool {
		switch status, _, err := s.ask(ada, "tasks/get", task); {
		case err != nil:
			other++
		case status == http.StatusOK:
			allowed++
		case status == http.StatusForbidden:
			refused++
		default:
			other++
		}
		return s.replicas[0].auth.ConfigStatus().Fingerprint != before && s.replicas[1].auth.ConfigStatus().Fingerprint == s.replicas[0].auth.ConfigStatus().Fingerprint
	})
	if err != nil || allowed == 0 || other > 0 {
		return fmt.Errorf("%d calls were allowed, %d refused, %d neither: %w", allowed, refused, other, err)
	}
	fmt.Fprintln(s.out, "  calls went on until the new rule was in force at both, and none had another answer than yes or no")
	if err := s.says("ada", ada, "tasks/get", task); err != nil {
		return err
	}
	return s.says("ada", s.login.token("ada", "reports:admin"), "tasks/get", task)
}

// loses kills Redis and starts it again.
func (s *story) loses(_, task string) error {
	admin := s.login.token("ada", "reports:admin")
	fmt.Fprintln(s.out, "3. Redis is killed: nobody knows whose the task is, nor who is revoked.")
	s.database.kill()
	if err := s.says("ada", admin, "tasks/get", task); err != nil {
		return err
	}
	fmt.Fprintln(s.out, "   Redis is back, and no server was restarted.")
	if err := s.database.start(s.ctx); err != nil {
		return err
	}
	good := 0
	err := until(s.ctx, func() bool {
		if status, _, err := s.ask(admin, "tasks/get", task); err == nil && status == http.StatusOK {
			good++
		} else {
			good = 0
		}
		return good == 2*len(s.replicas)
	})
	if err != nil {
		return err
	}
	return s.says("ada", admin, "tasks/get", task)
}

// revokes revokes all that a user has been given.
func (s *story) revokes(ada, bob string) error {
	fmt.Fprintln(s.out, "4. One replica is told that Ada's tokens of before are good no more.")
	if err := s.replicas[0].revoked.RevokeSubject(s.ctx, issuerURL, "ada", time.Now().Add(time.Second), time.Now().Add(time.Hour)); err != nil {
		return err
	}
	if err := s.says("ada", ada, "tools/call", `"name":"whoami"`); err != nil {
		return err
	}
	return s.says("bob", bob, "tools/call", `"name":"whoami"`)
}
