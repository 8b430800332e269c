package effect

import (
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/seed57833328/rondo/internal/tree"
)

// Description is an effect as plain data: for assertions, logs and inspection.
// Fields that do not apply are zero.
type Description struct {
	// Kind is none, send, all, sequence, request, stream, run, after, cancel,
	// hold, resume, scope, prune or fault.
	Kind string `json:"kind"`
	// Name is the request's type or the name of an opaque function.
	Name string `json:"name,omitempty"`
	// Key is the effect's key; of a scope, the child's.
	Key any `json:"key,omitempty"`
	// Policy is what happens if the key is in use; set if a call has a key.
	Policy string `json:"policy,omitempty"`
	// Request is the request's value.
	Request any `json:"request,omitempty"`
	// Action is what will be reduced.
	Action any `json:"action,omitempty"`
	// Delay is a timer's.
	Delay time.Duration `json:"delay,omitempty"`
	// Timeout is that of each attempt.
	Timeout time.Duration `json:"timeout,omitempty"`
	// Attempts is how many there are at most, when a retry policy is given.
	Attempts int `json:"attempts,omitempty"`
	// Err is what is wrong, of a fault.
	Err string `json:"error,omitempty"`
	// Effects are those of a group.
	Effects []Description `json:"effects,omitempty"`
}

// Describe gives an effect as data. Equal effects have equal descriptions; the
// functions that map results to actions are not part of it.
func Describe[A any](e Effect[A]) Description { return DescribeTree(e.node) }

// DescribeTree is [Describe] for packages of this module.
func DescribeTree[A any](n tree.Node[A]) Description {
	d := Description{Kind: kindName(n.Kind), Key: n.Key, Delay: n.Delay}
	switch n.Kind { //nolint:exhaustive // the rest is said by the fields all have
	case tree.Send, tree.After, tree.Resume:
		d.Action = n.Action
	case tree.Run:
		o := n.Call.Options()
		d.Kind, d.Name, d.Request = callName(n.Call.Kind()), n.Call.Name(), n.Call.Request()
		d.Key, d.Timeout = o.Key, o.Timeout
		if o.Key != nil {
			d.Policy = Policy(o.Policy).String()
		}
		if o.Retry != nil {
			d.Attempts = o.Retry.Attempts
		}
	case tree.Prune:
		gone, _ := n.Key.(tree.Gone)
		d.Key, d.Name = nil, gone.Name
	case tree.Scope:
		if scope, ok := n.Key.(tree.ScopeKey); ok {
			d.Name, d.Key = scope.Name, scope.Key
		}
	case tree.Fault:
		err, _ := n.Key.(error)
		d.Key, d.Err, d.Action = nil, fmt.Sprint(err), n.Action
	}
	for _, kid := range n.Kids() {
		d.Effects = append(d.Effects, DescribeTree(kid))
	}
	return d
}

// String writes the description as a tree, one effect a line.
func (d Description) String() string {
	var b strings.Builder
	d.write(&b, 0)
	return strings.TrimSuffix(b.String(), "\n")
}

func (d Description) write(b *strings.Builder, depth int) {
	b.WriteString(strings.Repeat("  ", depth))
	b.WriteString(d.Kind)
	switch {
	case d.Request != nil:
		fmt.Fprintf(b, " %s", typed(d.Name, d.Request))
	case d.Name != "":
		fmt.Fprintf(b, " %s", d.Name)
	}
	if d.Key != nil {
		fmt.Fprintf(b, " key=%v", d.Key)
	}
	if d.Policy != "" && d.Policy != Every.String() {
		fmt.Fprintf(b, " policy=%s", d.Policy)
	}
	if d.Kind == "after" {
		fmt.Fprintf(b, " delay=%s", d.Delay)
	}
	if d.Timeout != 0 {
		fmt.Fprintf(b, " timeout=%s", d.Timeout)
	}
	if d.Attempts != 0 {
		fmt.Fprintf(b, " attempts=%d", d.Attempts)
	}
	if d.Err != "" {
		fmt.Fprintf(b, " error=%q", d.Err)
	}
	if d.Action != nil {
		fmt.Fprintf(b, " action=%s", typed(fmt.Sprintf("%T", d.Action), d.Action))
	}
	b.WriteByte('\n')
	for _, kid := range d.Effects {
		kid.write(b, depth+1)
	}
}

// typed writes a value with its type's name: app.Add{N:1}, app.Name("ada").
func typed(name string, v any) string {
	switch reflect.ValueOf(v).Kind() { //nolint:exhaustive // the rest is alike
	case reflect.Struct:
		return fmt.Sprintf("%s%+v", name, v)
	case reflect.String:
		return fmt.Sprintf("%s(%q)", name, v)
	}
	return fmt.Sprintf("%s(%+v)", name, v)
}

func kindName(k tree.Kind) string {
	names := [...]string{
		tree.None: "none", tree.Send: "send", tree.All: "all", tree.Sequence: "sequence", tree.Run: "run",
		tree.After: "after", tree.Cancel: "cancel", tree.Hold: "hold", tree.Resume: "resume",
		tree.Scope: "scope", tree.Prune: "prune", tree.Fault: "fault",
	}
	if int(k) < len(names) {
		return names[k]
	}
	return fmt.Sprintf("kind(%d)", k)
}

func callName(k tree.CallKind) string {
	switch k {
	case tree.Request:
		return "request"
	case tree.Stream:
		return "stream"
	case tree.Opaque:
	}
	return "run"
}
