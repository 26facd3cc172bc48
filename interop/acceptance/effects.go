package main

import (
	"encoding/json"
	"os"
)

// effect is one execution of a tool.
type effect struct {
	Tool    string `json:"tool"`
	Nonce   string `json:"nonce"`
	Subject string `json:"sub"`
}

// effects is the file in which a black-box test reads what really ran. Nil
// records nothing.
type effects struct{ file *os.File }

// openEffects opens the file at start, so that a wrong path is noticed then.
func openEffects(name string) (*effects, error) {
	if name == "" {
		return nil, nil
	}
	file, err := os.OpenFile(name, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	return &effects{file}, nil
}

// append adds one line with one write: lines of calls that run at the same
// time stay whole, as O_APPEND makes each write go to the end.
func (e *effects) append(entry effect) error {
	if e == nil {
		return nil
	}
	line, err := json.Marshal(entry)
	if err != nil {
		return err
	}
	_, err = e.file.Write(append(line, '\n'))
	return err
}

func (e *effects) close() {
	if e != nil {
		_ = e.file.Close()
	}
}
