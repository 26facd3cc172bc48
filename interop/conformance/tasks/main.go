// Command tasks is an MCP server of revision 2026-07-28 with the fixtures that
// the conformance suite asks for to test the extension
// io.modelcontextprotocol/tasks (SEP-2663). Neither Go SDK has the extension
// yet, so this server speaks plain JSON; what it does not need, it lacks.
package main

import (
	"log"
	"net/http"
	"os"
)

func main() {
	log.Fatal(http.ListenAndServe(os.Args[1], &server{tasks: map[string]*task{}}))
}
