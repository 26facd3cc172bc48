package jsonrpc

import "github.com/seed-1e292522/mcpauth/internal/strictjson"

// params reads the object that says what the method is called on. Null is absent,
// here and in what is read below, but for a target: that is how both Go SDKs read it, and
// what serializers write that leave no member out.
func (p *parser) params() {
	if p.value.Kind == strictjson.Null {
		return
	}
	p.m.HasParams = true
	var seen uint64
	for p.object(ErrEnvelope); p.next(paramsNames, &seen); {
		switch p.member {
		case "name":
			p.m.Name = p.target(maxName)
		case "uri":
			p.m.URI = p.target(maxURI)
		case "taskId":
			p.m.TaskID = p.target(maxName)
		case "arguments":
			p.arguments()
		case "cursor":
			p.cursor()
		case "ref":
			p.ref()
		case "notifications":
			p.listen()
		case "_meta":
			p.meta()
		default:
			p.other(paramsNames)
		}
	}
}

// target reads what a call is made on. A null is none, and is not absent: whoever
// writes one means to name something.
func (p *parser) target(limit int) Field {
	f := p.field(limit)
	if f.State == Absent {
		f.State = Other
	}
	return f
}

// arguments are an object or null. An empty array, which languages write in which a map is
// one, is no arguments to mcp-go and an error to the official SDK.
func (p *parser) arguments() {
	switch p.value.Kind {
	case strictjson.Null:
	case strictjson.Object:
		p.m.Arguments = p.pass()
	default:
		p.fail(ErrType)
	}
}

// cursor takes null for absent. Neither length nor characters are looked at:
// that is up to the one who has given it away.
func (p *parser) cursor() {
	c := &p.m.Cursor
	switch p.value.Kind {
	case strictjson.Null:
		return
	case strictjson.String:
		c.Value, c.State = p.value.Text(), String
	default:
		c.State = Other
	}
	raw := p.pass()
	c.From, c.To = p.r.Offset()-len(raw), p.r.Offset()
}

func (p *parser) meta() {
	if p.value.Kind == strictjson.Null {
		return
	}
	p.m.HasMeta = true
	var seen uint64
	for p.object(ErrType); p.next(metaNames, &seen); {
		if p.member == "io.modelcontextprotocol/protocolVersion" {
			p.m.Version = p.field(maxName)
		} else {
			p.other(metaNames)
		}
	}
}

func (p *parser) ref() {
	if p.value.Kind == strictjson.Null {
		return
	}
	ref := &p.m.Ref
	ref.Present = true
	if p.value.Kind != strictjson.Object {
		p.pass()
		return
	}
	var seen uint64
	for p.object(ErrType); p.next(refNames, &seen); {
		switch p.member {
		case "type":
			ref.Type = p.field(maxName)
		case "name":
			ref.Name = p.field(maxName)
		case "uri":
			ref.URI = p.field(maxURI)
		default:
			p.other(refNames)
		}
	}
}

func (p *parser) listen() {
	if p.value.Kind == strictjson.Null {
		return
	}
	l := &Listen{}
	p.m.Listen = l
	if p.value.Kind != strictjson.Object {
		l.Unknown = true
		p.pass()
		return
	}
	var seen uint64
	for p.object(ErrType); p.next(listenNames, &seen); {
		switch p.member {
		case "toolsListChanged":
			l.ToolsListChanged = p.flag()
		case "promptsListChanged":
			l.PromptsListChanged = p.flag()
		case "resourcesListChanged":
			l.ResourcesListChanged = p.flag()
		case "resourceSubscriptions":
			l.ResourceSubscriptions = p.list(maxURI)
		case "taskIds":
			l.TaskIDs = p.list(maxName)
		default:
			l.Unknown = true
			p.other(listenNames)
		}
	}
}

func (p *parser) flag() bool {
	switch p.value.Kind {
	case strictjson.True:
		return true
	case strictjson.False, strictjson.Null:
		return false
	}
	p.fail(ErrType)
	return false
}

// list reads an array of strings.
func (p *parser) list(limit int) []string {
	switch p.value.Kind {
	case strictjson.Null:
		return nil
	case strictjson.Array:
		p.fail(p.r.Array())
	default:
		p.fail(ErrType)
	}
	list := []string{}
	for p.element() {
		p.must(p.value.Kind == strictjson.String, ErrType)
		p.must(len(list) < maxEntries, ErrLength)
		list = append(list, p.field(limit).Value)
	}
	return list
}

// element is next for the elements of an array.
func (p *parser) element() (ok bool) {
	if p.err != nil {
		return false
	}
	if ok, p.err = p.r.Element(); ok {
		p.value, p.err = p.r.Value()
	}
	return ok && p.err == nil
}
