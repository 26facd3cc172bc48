package main

import (
	"crypto/rand"
	"sync"
	"time"
)

// server keeps every task that was begun, for as long as it runs.
type server struct {
	mu    sync.Mutex
	tasks map[string]*task
}

// task is a tool that is running. mu of the server guards it.
type task struct {
	id      string
	created time.Time
	fixture tool
	said    string
	open    []string // the questions that are not answered yet
	status  string
}

// begin makes a task and returns what tells the client about it.
func (s *server) begin(fixture tool, said string) object {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := &task{id: rand.Text(), created: time.Now(), fixture: fixture, said: said, open: fixture.asks, status: "working"}
	s.tasks[t.id] = t
	if len(t.open) > 0 {
		t.status = "input_required"
	} else {
		s.finishLater(t)
	}
	created := t.describe()
	created["resultType"] = "task"
	created["status"] = "working"
	delete(created, "inputRequests")
	return created
}

// finishLater ends the task after its delay, unless it was cancelled.
func (s *server) finishLater(t *task) {
	time.AfterFunc(t.fixture.delay, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if t.status != "working" {
			return
		}
		t.status = "completed"
		if t.fixture.err != nil {
			t.status = "failed"
		}
	})
}

// describe is the task as tasks/get shows it.
func (t *task) describe() object {
	described := object{
		"taskId": t.id, "status": t.status, "ttlMs": 600_000, "pollIntervalMs": 100,
		"createdAt": t.created.UTC().Format(time.RFC3339), "lastUpdatedAt": time.Now().UTC().Format(time.RFC3339),
	}
	switch t.status {
	case "input_required":
		described["inputRequests"] = asking(t.open...)
	case "completed":
		described["result"] = text(t.said, t.fixture.isError)
	case "failed":
		described["error"] = t.fixture.err
	}
	return described
}

// onTask is tasks/get, tasks/update and tasks/cancel.
func (s *server) onTask(r *request) (object, *failure) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, ok := s.tasks[r.Params.TaskID]
	if !ok {
		return nil, unknownTask
	}
	switch r.Method {
	case "tasks/get":
		return t.describe(), nil
	case "tasks/update":
		s.answer(t, r)
	case "tasks/cancel":
		if t.status == "working" || t.status == "input_required" {
			t.status = "cancelled"
		}
	}
	return object{}, nil
}

// answer takes what the user said, and goes on when nothing is left to ask.
func (s *server) answer(t *task, r *request) {
	if t.status != "input_required" {
		return
	}
	var left []string
	for _, key := range t.open {
		if r.Params.Responses[key] == nil {
			left = append(left, key)
		}
	}
	if t.open = left; len(left) == 0 {
		t.status = "working"
		s.finishLater(t)
	}
}
