// Package rotation lets real clients meet a rotation, an outage and a refusal that
// asks them to come back, and writes down what they make of it. The table stands in
// docs/interop.md.
package rotation
