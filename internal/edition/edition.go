// Package edition tells one configuration from another: by a fingerprint, and by what has changed.
package edition

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// Edition is what is known of a configuration beside what it decides.
type Edition struct {
	Number      uint64 // 1 for the first one
	Fingerprint string // "sha256:" and 64 hex digits; the same in every process that has the same configuration
	fields      map[string]Digest
}

// Digest stands for a value.
type Digest [sha256.Size]byte

// New makes an edition of its parts, by name.
func New(number uint64, fields map[string]Digest) Edition {
	h := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		digest := fields[name]
		writeText(h, name)
		h.Write(digest[:])
	}
	return Edition{Number: number, Fingerprint: "sha256:" + hex.EncodeToString(h.Sum(nil)), fields: fields}
}

// Changes are the names of the parts by which an edition differs from the one before.
func (e *Edition) Changes(before *Edition) (added, removed, changed []string) {
	for name, digest := range e.fields {
		if old, ok := before.fields[name]; !ok {
			added = append(added, name)
		} else if old != digest {
			changed = append(changed, name)
		}
	}
	for name := range before.fields {
		if _, ok := e.fields[name]; !ok {
			removed = append(removed, name)
		}
	}
	slices.Sort(added)
	slices.Sort(removed)
	slices.Sort(changed)
	return added, removed, changed
}

// Of makes the digest of a value that may be shown: what a struct has in fields whose names speak of a secret is
// left out, since a short one could be guessed from its digest.
func Of(v any) Digest { return digest(v, false) }

// OfAll makes the digest of a value with its secrets. It must not leave the process.
func OfAll(v any) Digest { return digest(v, true) }

func digest(v any, secrets bool) (d Digest) {
	w := writer{hash: sha256.New(), secrets: secrets}
	w.value(reflect.ValueOf(v), 0)
	w.hash.Sum(d[:0])
	return d
}

// writer writes values so that different ones are written in different ways.
type writer struct {
	hash    hash.Hash
	secrets bool
}

// maxDepth bounds values that contain themselves.
const maxDepth = 64

func (w *writer) value(v reflect.Value, depth int) {
	w.number(uint64(v.Kind()))
	if depth > maxDepth {
		return
	}
	switch v.Kind() {
	case reflect.Bool:
		w.flag(v.Bool())
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		w.number(uint64(v.Int()))
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		w.number(v.Uint())
	case reflect.Float32, reflect.Float64:
		_ = binary.Write(w.hash, binary.LittleEndian, v.Float())
	case reflect.String:
		writeText(w.hash, v.String())
	case reflect.Slice, reflect.Array:
		w.list(v, depth)
	case reflect.Map:
		w.table(v, depth)
	case reflect.Struct:
		w.fields(v, depth)
	case reflect.Pointer, reflect.Interface:
		if w.flag(!v.IsNil()); !v.IsNil() {
			writeText(w.hash, v.Elem().Type().String())
			w.value(v.Elem(), depth+1)
		}
	case reflect.Func: // one cannot be compared with another, but that it is there
		w.flag(!v.IsNil())
	}
}

func (w *writer) list(v reflect.Value, depth int) {
	w.flag(v.Kind() == reflect.Slice && v.IsNil())
	w.number(uint64(v.Len()))
	for i := range v.Len() {
		w.value(v.Index(i), depth+1)
	}
}

func (w *writer) table(v reflect.Value, depth int) {
	w.flag(v.IsNil())
	w.number(uint64(v.Len()))
	type member struct {
		key    reflect.Value
		digest Digest // puts keys of any type in an order
	}
	members := make([]member, 0, v.Len())
	for _, key := range v.MapKeys() {
		of := writer{hash: sha256.New(), secrets: w.secrets}
		of.value(key, depth+1)
		members = append(members, member{key, Digest(of.hash.Sum(nil))})
	}
	slices.SortFunc(members, func(a, b member) int { return bytes.Compare(a.digest[:], b.digest[:]) })
	for _, m := range members {
		w.hash.Write(m.digest[:])
		w.value(v.MapIndex(m.key), depth+1)
	}
}

func (w *writer) fields(v reflect.Value, depth int) {
	for i := range v.NumField() {
		name := v.Type().Field(i).Name
		if name == "_" || !w.secrets && strings.Contains(strings.ToLower(name), "secret") {
			continue
		}
		writeText(w.hash, name)
		w.value(v.Field(i), depth+1)
	}
}

func (w *writer) flag(b bool) {
	var n uint64
	if b {
		n = 1
	}
	w.number(n)
}

func (w *writer) number(n uint64) { w.hash.Write(binary.LittleEndian.AppendUint64(nil, n)) }

func writeText(h hash.Hash, s string) {
	h.Write(binary.LittleEndian.AppendUint64(nil, uint64(len(s))))
	h.Write([]byte(s))
}
