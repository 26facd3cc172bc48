package strictjson

// Lookup finds the value at a path of object member names, as written; nil if there is none. It reads
// no further than to that value: the text is one that has been read to its end before, or decides nothing.
func Lookup(text []byte, path []string, lim Limits) []byte {
	value, _ := Find(text, path, lim)
	return value
}

// Find is [Lookup] that also tells where in the text the value begins.
func Find(text []byte, path []string, lim Limits) (value []byte, at int) {
	for _, step := range path {
		var r Reader
		r.Reset(text, lim)
		if r.Object() != nil {
			return nil, 0
		}
		found := false
		for !found {
			name, more, err := r.Member()
			if err != nil || !more {
				return nil, 0
			}
			value, _ = r.Skip() // an error stays, and Member returns it
			if found = string(name) == step; found {
				text, at = value, at+r.Offset()-len(value)
			}
		}
	}
	return text, at
}
