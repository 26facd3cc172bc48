package sealed

import (
	"errors"
	"fmt"
)

// ErrState is what every error of [Sealer.Open] is, whatever was wrong with the state.
var ErrState = errors.New("request state not accepted")

// Kind is why a state was not accepted, or why none could be made. A minor version may add one.
type Kind string

// Why [Sealer.Open] does not accept a state.
const (
	Malformed      Kind = "state-malformed"  // no text that Seal has ever written
	UnknownKey     Kind = "state-key"        // sealed under a key that is not among Config.Keys, or for another Config.Resource
	Forged         Kind = "state-forged"     // sealed under none of the keys, or changed since, or of the other form
	Expired        Kind = "state-expired"    // older than its lifetime
	OtherPrincipal Kind = "state-principal"  // sealed for another principal
	OtherClient    Kind = "state-client"     // sealed for another client of the same principal
	OtherCall      Kind = "state-call"       // sealed for another method, or another tool, prompt or resource
	OtherArguments Kind = "state-arguments"  // sealed for the same call with other arguments
	OtherType      Kind = "state-type"       // good, but the value does not fit into v
	Misplaced      Kind = "state-misplaced"  // on a method that has none, in a batch, or no string; from Handler only
	NoPrincipal    Kind = "state-nobody"     // nobody in the context: also an error of Seal
	NoCall         Kind = "state-no-call"    // the call is none that may have a state, or its arguments are not JSON: also an error of Seal
	TooLarge       Kind = "state-too-large"  // the value has more than 8 KiB as JSON; from Seal only
	NotJSON        Kind = "state-not-json"   // the value cannot be written as JSON; from Seal only
	Unreadable     Kind = "state-unreadable" // the answer is compressed, or its state is no string; from Handler only
)

// fixes are what the operator can do, for the log.
var fixes = map[Kind]string{
	Malformed:      "the client has sent something else than it was given, or the state was made without sealed: nothing to do if it is an attack",
	UnknownKey:     "give every replica the same Keys and Resource, and keep an old key among Keys for as long as states live",
	Forged:         "the client has changed the state: nothing to do if it is an attack. One that Handler has sealed is opened by Handler, and not by hand",
	Expired:        "the client has taken longer than Config.TTL: begin the call anew, or set a longer one",
	OtherPrincipal: "somebody has sent the state of another principal: find out how it came by it",
	OtherClient:    "the client has got another id meanwhile, by registering anew: the call has to begin anew",
	OtherCall:      "a retry has to be of the same method and target",
	OtherArguments: "a retry has to have the same arguments",
	OtherType:      "the type of the value has changed since it was sealed: let it read the old one for as long as states live",
	Misplaced:      "only tools/call, prompts/get and resources/read have a state, a string",
	NoPrincipal:    "put the handler behind the wrapper, auth.Wrap(sealer.Handler(next)) in this order; with the official SDK use gosdk.Handler and gosdk.Middleware",
	NoCall:         "name tools/call, prompts/get or resources/read with its target, and arguments that are a JSON object or nil",
	TooLarge:       "keep less in it: what is large belongs in a store, and its id in the state",
	NotJSON:        "seal what encoding/json can write",
	Unreadable:     "the handler must not compress its answer, nobody has asked it to, and its requestState has to be a string",
}

// Error is an error of [Sealer.Seal] or [Sealer.Open]. Its text is fixed, and the same for all that
// Open does not accept: it may be shown to the client. It holds neither state nor value.
type Error struct {
	Kind Kind

	opening bool
}

// Error says what was not possible.
func (e *Error) Error() string {
	if e.opening {
		return ErrState.Error()
	}
	return "request state cannot be sealed: " + string(e.Kind)
}

// Is makes every error of [Sealer.Open] an [ErrState].
func (e *Error) Is(target error) bool { return e.opening && target == ErrState }

func refuse(kind Kind) *Error { return &Error{kind, true} }
func cannot(kind Kind) *Error { return &Error{kind, false} }

// ConfigError is one mistake in a [Config]. [New] returns all of them at once, joined.
type ConfigError struct {
	Field  string // "Keys[1]"
	Value  string // what it holds, as far as it may be shown: of a key its length
	Reason string // what is wrong with it, and the fix
}

// Error names the field, the value and the fix.
func (e *ConfigError) Error() string {
	return fmt.Sprintf("sealed: Config.%s = %s: %s", e.Field, e.Value, e.Reason)
}
