package jsonrpc

import "github.com/seed-1e292522/mcpauth/internal/strictjson"

// params reads the object that says what the method is called on. Null is absent,
// here and in what is read below, but for a target: that is how both Go SDKs read it, and
// what serializers write that leave no member out.
func (p *parser) params() error {
	if p.null() {
		return nil
	}
	p.m.HasParams = true
	return p.members(ErrEnvelope, func(name []byte) (err error) {
		switch string(name) {
		case "name":
			p.m.Name, err = p.target(maxName)
		case "uri":
			p.m.URI, err = p.target(maxURI)
		case "taskId":
			p.m.TaskID, err = p.target(maxName)
		case "arguments":
			p.m.Arguments, err = p.arguments()
		case "cursor":
			err = p.cursor()
		case "ref":
			err = p.ref()
		case "notifications":
			err = p.listen()
		case "_meta":
			err = p.meta()
		default:
			err = p.other(paramsNames, name)
		}
		return err
	})
}

// target reads what a call is made on. A null is none, and is not absent: whoever
// writes one means to name something.
func (p *parser) target(limit int) (Field, error) {
	if p.null() {
		return Field{State: Other}, nil
	}
	return p.field(limit)
}

// arguments are an object or null. An empty array, which languages write in which a map is
// one, is no arguments to mcp-go and an error to the official SDK.
func (p *parser) arguments() ([]byte, error) {
	switch p.r.Kind() {
	case strictjson.Null:
		return nil, p.r.Null()
	case strictjson.Object:
		return p.r.Skip()
	}
	return nil, ErrType
}

// cursor takes null for absent. Neither length nor characters are looked at:
// that is up to the one who has given it away.
func (p *parser) cursor() error {
	c := &p.m.Cursor
	switch p.r.Kind() {
	case strictjson.Null:
		return p.r.Null()
	case strictjson.String:
		raw, value, err := p.r.RawString()
		c.Value, c.State, c.From, c.To = value, String, p.r.Offset()-len(raw), p.r.Offset()
		return err
	}
	raw, err := p.r.Skip()
	c.State, c.From, c.To = Other, p.r.Offset()-len(raw), p.r.Offset()
	return err
}

func (p *parser) meta() error {
	if p.null() {
		return nil
	}
	p.m.HasMeta = true
	return p.members(ErrType, func(name []byte) (err error) {
		if string(name) == "io.modelcontextprotocol/protocolVersion" {
			p.m.Version, err = p.word(maxName)
			return err
		}
		return p.other(metaNames, name)
	})
}

func (p *parser) ref() error {
	if p.null() {
		return nil
	}
	ref := &p.m.Ref
	ref.Present = true
	if p.r.Kind() != strictjson.Object {
		_, err := p.r.Skip()
		return err
	}
	return p.members(ErrType, func(name []byte) (err error) {
		switch string(name) {
		case "type":
			ref.Type, err = p.word(maxName)
		case "name":
			ref.Name, err = p.field(maxName)
		case "uri":
			ref.URI, err = p.field(maxURI)
		default:
			err = p.other(refNames, name)
		}
		return err
	})
}

func (p *parser) listen() error {
	if p.null() {
		return nil
	}
	l := &Listen{}
	p.m.Listen = l
	if p.r.Kind() != strictjson.Object {
		l.Unknown = true
		_, err := p.r.Skip()
		return err
	}
	return p.members(ErrType, func(name []byte) (err error) {
		switch string(name) {
		case "toolsListChanged":
			l.ToolsListChanged, err = p.flag()
		case "promptsListChanged":
			l.PromptsListChanged, err = p.flag()
		case "resourcesListChanged":
			l.ResourcesListChanged, err = p.flag()
		case "resourceSubscriptions":
			l.ResourceSubscriptions, err = p.list(maxURI)
		case "taskIds":
			l.TaskIDs, err = p.list(maxName)
		default:
			l.Unknown = true
			err = p.other(listenNames, name)
		}
		return err
	})
}

func (p *parser) flag() (bool, error) {
	if p.null() {
		return false, nil
	}
	b, err := p.r.Bool()
	return b, otherKind(err, ErrType)
}

// list reads an array of strings.
func (p *parser) list(limit int) ([]string, error) {
	if p.null() {
		return nil, nil
	}
	if err := p.r.Array(); err != nil {
		return nil, otherKind(err, ErrType)
	}
	list := []string{}
	for {
		ok, err := p.r.Element()
		if err != nil || !ok {
			return list, err
		}
		f, err := p.field(limit)
		switch {
		case err != nil:
			return nil, err
		case f.State != String:
			return nil, ErrType
		case len(list) == maxEntries:
			return nil, ErrLength
		}
		list = append(list, f.Value)
	}
}
