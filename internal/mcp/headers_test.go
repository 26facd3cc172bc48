package mcp

import (
	"encoding/base64"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/seed-1e292522/mcpauth/internal/refusal"
)

func TestVersion_MCP_20_MCP_24(t *testing.T) {
	for _, row := range []struct {
		lines   []string
		want    string
		refused bool
	}{
		{nil, "", false},
		{[]string{""}, "", false},
		{[]string{" \t "}, "", false},
		{[]string{"\t2025-11-25 "}, "2025-11-25", false},
		{[]string{"2025-11-25, 2025-11-25"}, "2025-11-25", false},
		{[]string{" 2025-11-25\t", "2025-11-25"}, "2025-11-25", false},
		{[]string{"2025-11-25", "2025-06-18"}, "", true},
		{[]string{"2025-11-25,2025-06-18"}, "", true},
		{[]string{"2025-11-25", ""}, "", true},
		{[]string{",2025-11-25"}, "", true},
		{[]string{","}, "", false},
	} {
		version, denied := Version(http.Header{"Mcp-Protocol-Version": row.lines})
		assert.Equal(t, row.want, version, row.lines)
		if row.refused {
			if assert.NotNil(t, denied, row.lines) {
				assert.Equal(t, refusal.HeaderMismatch, denied.Reason)
			}
		} else {
			assert.Nil(t, denied, row.lines)
		}
	}
}

func TestIsModern_MCP_20(t *testing.T) {
	for version, want := range map[string]bool{
		"2026-07-28": true, "2026-07-29": true, "2027-01-01": true, "2026-07-27": false, "2025-11-25": false, "2025-03-26": false,
		"": false, "x": false, "zzzz-99-99": false, "2026-13-01": false, "9": false,
	} {
		assert.Equal(t, want, IsModern(http.Header{"Mcp-Protocol-Version": {version}}), version)
	}
}

// What cannot stand in a field comes in base64, in its one spelling; all else is literal.
func TestHeaderValue_MCP_23(t *testing.T) {
	encode := func(text string) string { return "=?base64?" + base64.StdEncoding.EncodeToString([]byte(text)) + "?=" }
	for value, want := range map[string]string{
		"echo": "echo", "": "", encode("é"): "é", encode(""): "", "=?base64?ZQ==": "=?base64?ZQ==", "=?BASE64?ZQ==?=": "=?BASE64?ZQ==?=", "=?base64?": "=?base64?",
	} {
		got, ok := decodeHeaderValue(value)
		assert.True(t, ok, value)
		assert.Equal(t, want, got)
	}
	for _, value := range []string{"=?base64?ZQ?=", "=?base64?ZR==?=", "=?base64?!?=", encode("\xff")} {
		got, ok := decodeHeaderValue(value)
		assert.False(t, ok, value)
		assert.Empty(t, got)
		denied := agreeOn("Mcp-Name", []string{value}, "e", true)
		if assert.NotNil(t, denied, value) {
			assert.Contains(t, denied.Want, "base64")
		}
		assert.NotNil(t, agreeOn("Mcp-Method", []string{value}, "e", true))
	}
	assert.Nil(t, agreeOn("Mcp-Name", []string{" " + encode("e")}, "e", true))
	assert.NotNil(t, agreeOn("Mcp-Method", []string{encode("e")}, "e", false))
	assert.Nil(t, agreeOn("Mcp-Method", nil, "e", false))
	assert.NotNil(t, agreeOn("Mcp-Method", nil, "e", true))
}
