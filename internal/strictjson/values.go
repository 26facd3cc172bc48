package strictjson

// String consumes a string and returns its decoded value, which aliases the
// text unless it has escapes.
func (r *Reader) String() ([]byte, error) {
	_, s, err := r.RawString()
	return s, err
}

// RawString is [Reader.String] that also returns the string as written, with
// its quotes.
func (r *Reader) RawString() (raw, s []byte, err error) {
	if err := r.expect(String); err != nil {
		return nil, nil, err
	}
	start := r.pos
	end, found := scanString(r.data, start+1)
	if found > escaped {
		r.brokenString(start, end, found)
		return nil, nil, r.err
	}
	s = r.data[start+1 : end : end]
	if found == escaped {
		s = decode(s)
	}
	r.consumed(end + 1)
	return r.data[start : end+1 : end+1], s, nil
}

// Number consumes a number and returns it as written, so that no precision is
// lost.
func (r *Reader) Number() ([]byte, error) { return r.scalar(Number) }

// Null consumes a null.
func (r *Reader) Null() error {
	_, err := r.scalar(Null)
	return err
}

// Bool consumes true or false.
func (r *Reader) Bool() (bool, error) {
	if r.Kind() == True {
		_, err := r.scalar(True)
		return err == nil, err
	}
	_, err := r.scalar(False)
	return false, err
}

func (r *Reader) scalar(kind Kind) ([]byte, error) {
	if err := r.expect(kind); err != nil {
		return nil, err
	}
	start := r.pos
	end, ok := scanScalar(r.data, start)
	if !ok {
		return nil, r.fail(end, ErrSyntax)
	}
	r.consumed(end)
	return r.data[start:end:end], nil
}

// Skip consumes one value of any kind and returns it as written. It is as
// strict inside the value as the other methods are, except that it tolerates
// lone surrogates in strings that are no member names unless
// [Limits.StrictStrings] is set.
func (r *Reader) Skip() ([]byte, error) {
	if r.err != nil {
		return nil, r.err
	}
	if r.state != atValue {
		return nil, r.fail(r.pos, ErrOrder)
	}
	start := skipSpace(r.data, r.pos)
	end := r.skip(start)
	if end < 0 {
		return nil, r.err
	}
	r.consumed(end)
	return r.data[start:end:end], nil
}

// skip returns the index after the value that begins at or after i, or -1
// after an error. It is the loop in which large bodies are read.
func (r *Reader) skip(i int) int {
	data, floor, inObject := r.data, r.depth, false
	for {
		if i = skipSpace(data, i); i == len(data) {
			return r.broken(i, ErrSyntax)
		}
		switch c := data[i]; c {
		case '"':
			end, found := scanString(data, i+1)
			if found > escaped && (found == broken || r.limits.StrictStrings) {
				return r.brokenString(i, end, found)
			}
			i = end + 1
		case '{', '[':
			inObject = c == '{'
			if !r.push(inObject) {
				return r.broken(i, ErrDepth)
			}
			i = skipSpace(data, i+1)
			if i < len(data) && data[i] == closing(inObject) {
				break // closed below, as after a value
			}
			if inObject {
				if _, i = r.name(i); i < 0 {
					return -1
				}
			}
			continue
		default:
			end, ok := scanScalar(data, i)
			if !ok {
				return r.broken(end, ErrSyntax)
			}
			i = end
		}
		for r.depth > floor {
			if i = skipSpace(data, i); i == len(data) {
				return r.broken(i, ErrSyntax)
			}
			if data[i] == ',' {
				i++
				if inObject {
					if _, i = r.name(skipSpace(data, i)); i < 0 {
						return -1
					}
				}
				break
			}
			if data[i] != closing(inObject) {
				return r.broken(i, ErrSyntax)
			}
			i++
			r.pop()
			inObject = r.inObject()
		}
		if r.depth == floor {
			return i
		}
	}
}

// broken is fail for functions that return an index.
func (r *Reader) broken(offset int, err error) int {
	_ = r.fail(offset, err)
	return -1
}

// brokenString refuses the string that begins at start and ends, or breaks, at
// end.
func (r *Reader) brokenString(start, end int, found escapes) int {
	if found == broken {
		return r.broken(end, ErrSyntax)
	}
	return r.broken(start, ErrSurrogate)
}

// Valid returns an error unless data is one acceptable JSON text.
func Valid(data []byte, lim Limits) error {
	var r Reader
	r.Reset(data, lim)
	if _, err := r.Skip(); err != nil {
		return err
	}
	return r.End()
}
