package corpus

import "strings"

// object is a security-relevant object: how a body has a member in it, and the
// names that mean something there.
type object struct {
	name  string
	body  func(members string) string
	names []string
}

// objects has the requirements' list (MCP-01), written down once more so that
// the code under test is not asked what it should refuse.
var objects = []object{
	{"envelope", func(m string) string { return `{` + m + `}` },
		[]string{"jsonrpc", "id", "method", "params", "result", "error"}},
	{"params", func(m string) string { return call(`{` + m + `}`) },
		[]string{"name", "uri", "arguments", "taskId", "ref", "notifications", "_meta", "argument", "context", "cursor", "level", "task",
			"requestId", "progressToken", "requestState", "inputResponses", "protocolVersion", "capabilities", "clientInfo"}},
	{"params._meta", func(m string) string { return echo(`"_meta":{` + m + `}`) },
		[]string{"io.modelcontextprotocol/protocolVersion", "io.modelcontextprotocol/clientInfo", "io.modelcontextprotocol/clientCapabilities",
			"io.modelcontextprotocol/logLevel", "io.modelcontextprotocol/related-task", "io.modelcontextprotocol/subscriptionId", "progressToken"}},
	{"params.ref", func(m string) string {
		return `{"jsonrpc":"2.0","id":1,"method":"completion/complete","params":{"ref":{` + m + `}}}`
	}, []string{"type", "name", "uri"}},
	{"params.notifications", func(m string) string {
		return `{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen","params":{"notifications":{` + m + `}}}`
	}, []string{"toolsListChanged", "promptsListChanged", "resourcesListChanged", "resourceSubscriptions", "taskIds"}},
}

// value is an acceptable value of a member.
func value(object, name string) string {
	switch name {
	case "jsonrpc":
		return `"2.0"`
	case "id":
		return `1`
	case "method":
		return `"ping"`
	case "params", "error", "arguments", "_meta", "notifications":
		return `{}`
	case "toolsListChanged", "promptsListChanged", "resourcesListChanged":
		return `true`
	case "resourceSubscriptions", "taskIds":
		return `[]`
	}
	return `"x"`
}

// beside returns the other members that make an envelope acceptable.
func (o object) beside(name string) string {
	if o.name != "envelope" {
		return `"unrelated":0,`
	}
	members := []string{`"jsonrpc":"2.0"`, `"id":1`, `"method":"ping"`}
	if name == "result" || name == "error" {
		members = members[:2]
	}
	var kept []string
	for _, m := range members {
		if !strings.HasPrefix(m, `"`+name+`"`) {
			kept = append(kept, m)
		}
	}
	return strings.Join(kept, ",") + ","
}

// caseVariants has every name in spellings that some reader takes for it.
func caseVariants() (bodies []Body) {
	for _, o := range objects {
		for _, name := range o.names {
			member := func(spelling string) string { return `"` + spelling + `":` + value(o.name, name) }
			label := o.name + " " + name
			bodies = append(bodies,
				Body{"MCP-01 exact name: " + label, o.body(o.beside(name) + member(name)), Accept},
				Body{"MCP-02 escaped name: " + label, o.body(o.beside(name) + member(escape(name))), Accept},
				Body{"MCP-01 upper case: " + label, o.body(o.beside(name) + member(strings.ToUpper(name))), Invalid},
				Body{"MCP-01 last letter in upper case, beside: " + label,
					o.body(o.beside(name) + member(name) + "," + member(name[:len(name)-1]+strings.ToUpper(name[len(name)-1:]))), Invalid},
				Body{"MCP-02 upper case by escapes: " + label, o.body(o.beside(name) + member(escape(strings.ToUpper(name)))), Invalid})
			for _, fold := range []struct{ name, ascii, rune string }{
				{"long s", "s", "\u017f"}, {"Kelvin sign", "k", "\u212a"},
				{"dotless i", "i", "\u0131"}, {"dotted I", "i", "\u0130"},
				{"ligature fi", "fi", "\ufb01"}, {"ligature st", "st", "\ufb06"}, {"ligature long s t", "st", "\ufb05"},
			} {
				if i := strings.Index(strings.ToLower(name), fold.ascii); i >= 0 {
					spelling := name[:i] + fold.rune + name[i+len(fold.ascii):]
					bodies = append(bodies,
						Body{"MCP-01 " + fold.name + ": " + label, o.body(o.beside(name) + member(spelling)), Invalid},
						Body{"MCP-02 " + fold.name + " by escapes: " + label, o.body(o.beside(name) + member(escape(spelling))), Invalid})
				}
			}
		}
	}
	return bodies
}

// nearMisses are names that no reader takes for a known one, and places where
// case variants mean nothing.
var nearMisses = []Body{
	{"MCP-01 longer name", envelope(`"methods":"tools/call"`), Accept},
	{"MCP-01 shorter name", envelope(`"metho":"tools/call"`), Accept},
	{"MCP-01 empty name", envelope(`"":0`), Accept},
	{"MCP-01 accented name", envelope(`"méthod":"tools/call"`), Accept},
	{"MCP-01 combining mark", envelope("\"method\u0301\":\"tools/call\""), Accept},
	{"MCP-01 zero width space", envelope("\"meth\u200bod\":\"tools/call\""), Accept},
	{"MCP-01 Cyrillic letter", envelope(`"mеthod":"tools/call"`), Accept},
	{"MCP-01 fullwidth letters", envelope(`"ｍｅｔｈｏｄ":"tools/call"`), Accept},
	{"MCP-01 name and NUL", envelope(`"method\u0000":"tools/call"`), Accept},
	{"MCP-01 name and space", envelope(`" method":"tools/call","method ":"tools/call"`), Accept},
	{"MCP-01 prototype", envelope(`"constructor":{"prototype":{"method":"tools/call"}}`), Accept},
	{"MCP-01 params name in the envelope", envelope(`"name":"admin_delete","NAME":"admin_delete"`), Accept},
	{"MCP-01 envelope name in params", echo(`"method":"tools/list","Method":"tools/list"`), Accept},
	{"MCP-01 case variants in arguments", args(`{"name":1,"Name":2,"NAME":3,"nam\u0045":4}`), Accept},
	{"MCP-01 case variants in a nested argument", args(`{"params":{"name":1,"Name":2}}`), Accept},
	{"MCP-01 case variants in an unknown member", envelope(`"x":{"method":1,"Method":2}`), Accept},
	{"MCP-01 case variants in clientInfo", call(`{"clientInfo":{"name":"a","Name":"b"}}`), Accept},
	{"MCP-01 long unknown name", envelope(`"` + strings.Repeat("x", 5000) + `":0`), Accept},
	{"MCP-01 sharp s is no single s", echo(`"taßkId":"x"`), Accept},
	{"MCP-01 long name of long s", envelope(`"` + strings.Repeat("ſ", 100) + `":0`), Accept},
}

// duplicates has every name twice, in each way in which that can be hidden.
func duplicates() (bodies []Body) {
	for _, o := range objects {
		for _, name := range o.names {
			member := func(spelling string) string { return `"` + spelling + `":` + value(o.name, name) }
			label := o.name + " " + name
			bodies = append(bodies,
				Body{"MCP-01 duplicate: " + label, o.body(o.beside(name) + member(name) + "," + member(name)), Invalid},
				Body{"MCP-02 duplicate by escape: " + label, o.body(member(name) + "," + o.beside(name) + member(escape(name[:1])+name[1:])), Invalid},
				Body{"MCP-03 duplicate null: " + label, o.body(o.beside(name) + member(name) + `,"` + name + `":null`), Invalid})
		}
	}
	many := func(n int) string {
		var b strings.Builder
		for i := range n {
			b.WriteString(`"k` + strings.Repeat("x", i%7) + escape(string(rune('a'+i/7))) + `":` + `{"n":[]},`)
		}
		return b.String()
	}
	return append(bodies,
		Body{"MCP-03 params, then empty params", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"admin_delete"},"params":{}}`, Invalid},
		Body{"MCP-03 params merged", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"admin_delete"},"params":{"arguments":{}}}`, Invalid},
		Body{"MCP-03 params, then null", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"admin_delete"},"params":null}`, Invalid},
		Body{"MCP-03 null, then params", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":null,"params":{"name":"admin_delete"}}`, Invalid},
		Body{"MCP-01 two tools", call(`{"name":"echo","name":"admin_delete"}`), Invalid},
		Body{"MCP-01 two methods", `{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/call","params":{"name":"admin_delete"}}`, Invalid},
		Body{"MCP-01 duplicate unknown member", envelope(`"x":1,"x":1`), Invalid},
		Body{"MCP-01 duplicate argument", args(`{"path":"/srv","path":"/etc"}`), Invalid},
		Body{"MCP-02 duplicate argument by escape", args(`{"path":"/srv","p\u0061th":"/etc"}`), Invalid},
		Body{"MCP-02 duplicate argument by pair", args(`{"😀":1,"\ud83d\ude00":2}`), Invalid},
		Body{"MCP-02 duplicate argument by solidus", args(`{"a/b":1,"a\/b":2}`), Invalid},
		Body{"MCP-01 duplicate empty argument", args(`{"":1,"":2}`), Invalid},
		Body{"MCP-01 duplicate in a nested argument", args(`{"a":[{"b":{"c":1,"c":2}}]}`), Invalid},
		Body{"MCP-01 duplicate far apart", args(`{"z":0,` + many(100) + `"z":1}`), Invalid},
		Body{"MCP-02 duplicate among many", args(`{` + many(100) + `"ka":1}`), Invalid},
		Body{"MCP-01 many distinct", args(`{` + many(100) + `"z":1}`), Accept},
		Body{"MCP-01 duplicate in clientInfo", call(`{"clientInfo":{"name":"a","name":"b"}}`), Invalid},
		Body{"MCP-01 duplicate in a result", `{"jsonrpc":"2.0","id":1,"result":{"a":1,"a":2}}`, Invalid},
		Body{"MCP-01 duplicate in an error", `{"jsonrpc":"2.0","id":1,"error":{"code":1,"code":2}}`, Invalid},
		Body{"MCP-01 duplicate in an unknown member", envelope(`"x":[{"a":1,"a":2}]`), Invalid},
		Body{"MCP-01 same names in siblings", args(`{"a":{"n":1},"b":{"n":1},"c":[{"n":1},{"n":1}]}`), Accept},
		Body{"MCP-01 same name at each level", call(`{"name":"echo","params":{"name":"x"},"arguments":{"name":"y","params":{"name":"z"}}}`), Accept},
	)
}
