package saga

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"unicode/utf8"

	"github.com/seed57833328/rondo/effect"
	"github.com/seed57833328/rondo/internal/kept"
	"github.com/seed57833328/rondo/internal/tree"
	"github.com/seed57833328/rondo/reducer"
)

// kind is a definition with its types hidden.
type kind struct {
	name      string
	schema    int
	upcasters map[int]func([]byte) ([]byte, error)
	action    reflect.Type
	actions   map[string]*ActionType
	byAction  map[reflect.Type]*ActionType
	requests  map[string]*RequestType
	byRequest map[reflect.Type]*RequestType
	children  map[string]*RequestType // by their type
	errors    []ErrorType
	problem   error

	step  func(state []byte, action any, env reducer.Env, emit func(op) error) ([]byte, error)
	check func(state []byte) error
}

func newKind(name string, action reflect.Type, types Types) *kind {
	k := &kind{
		name:      name,
		schema:    max(types.Schema, 1),
		upcasters: types.Upcasters,
		action:    action,
		actions:   map[string]*ActionType{},
		byAction:  map[reflect.Type]*ActionType{},
		requests:  map[string]*RequestType{},
		byRequest: map[reflect.Type]*RequestType{},
		children:  map[string]*RequestType{},
		errors:    append(slices.Clone(types.Errors), builtinErrors...),
	}
	k.fault(CheckType("name", name))
	if types.Schema < 0 {
		k.fault(inputError("Types.Schema", show(types.Schema), "at least 0"))
	}
	for from := range k.schema - 1 {
		if k.upcasters[from+1] == nil {
			k.fault(fmt.Errorf("Types.Schema is %d, and Types.Upcasters has none from %d", k.schema, from+1))
		}
	}
	for i := range types.Actions {
		k.addAction(fmt.Sprintf("Types.Actions[%d]", i), &types.Actions[i])
	}
	for i := range types.Requests {
		k.addRequest(fmt.Sprintf("Types.Requests[%d]", i), &types.Requests[i])
	}
	codes := map[string]bool{}
	for i, e := range k.errors {
		if e.err == nil || !isName(e.code) || codes[e.code] {
			k.fault(inputError(fmt.Sprintf("Types.Errors[%d]", i), quote(e.code), "an error with a name of its own, in UTF-8"))
		}
		codes[e.code] = true
	}
	return k
}

// isName tells whether a record can keep a name as it is.
func isName(name string) bool { return name != "" && utf8.ValidString(name) }

// fault keeps what is wrong with the definition.
func (k *kind) fault(err error) { k.problem = errors.Join(k.problem, err) }

func (k *kind) addAction(field string, t *ActionType) {
	switch {
	case t.goType == nil:
		k.fault(inputError(field, "empty", "one made by saga.Action"))
		return
	case !isName(t.name) || k.actions[t.name] != nil:
		k.fault(inputError(field, quote(t.name), "a name of its own, in UTF-8"))
	case k.byAction[t.goType] != nil:
		k.fault(fmt.Errorf("%s: %s is registered twice, as %q and %q", field, t.goType, k.byAction[t.goType].name, t.name))
	case !t.goType.AssignableTo(k.action):
		k.fault(fmt.Errorf("%s: %s is no %s", field, t.goType, k.action))
	}
	k.keeps(field, t.goType)
	k.actions[t.name], k.byAction[t.goType] = t, t
}

func (k *kind) addRequest(field string, t *RequestType) {
	switch {
	case t.problem != nil:
		k.fault(fmt.Errorf("%s: %q: %w", field, t.name, t.problem))
		return
	case t.goType == nil && t.child == nil:
		k.fault(inputError(field, "empty", "one made by saga.On, saga.Request or saga.OnChild"))
		return
	case !isName(t.name) || k.requests[t.name] != nil:
		k.fault(inputError(field, quote(t.name), "a name of its own, in UTF-8"))
	case t.child != nil && t.child.problem != nil:
		k.fault(fmt.Errorf("%s: child saga %q: %w", field, t.child.name, t.child.problem))
	case t.child != nil && k.children[t.child.name] != nil:
		k.fault(fmt.Errorf("%s: child saga %q is registered twice, as %q and %q", field, t.child.name, k.children[t.child.name].name, t.name))
	case t.child != nil && t.options.Retry != nil:
		k.fault(fmt.Errorf("%s: Retry of %q: what a child saga has come to is final", field, t.name))
	case t.goType != nil && k.byRequest[t.goType] != nil:
		k.fault(fmt.Errorf("%s: %s is registered twice, as %q and %q", field, t.goType, k.byRequest[t.goType].name, t.name))
	case t.action != nil && t.act == nil:
		k.fault(fmt.Errorf("%s: the function of %q is nil", field, t.name))
	case t.action != nil && !t.action.AssignableTo(k.action):
		k.fault(fmt.Errorf("%s: the function of %q returns %s, want %s", field, t.name, t.action, k.action))
	case t.options.late && t.act == nil:
		k.fault(fmt.Errorf("%s: late results of %q come to no function, use saga.On", field, t.name))
	case t.options.Undo != nil || t.options.Key != "":
		k.fault(fmt.Errorf("%s: Undo and Key of %q are said where it is done", field, t.name))
	}
	if t.options.Retry != nil {
		k.fault(t.options.Retry.validate(field + " RetryPolicy"))
	}
	k.requests[t.name] = t
	if t.child != nil {
		k.children[t.child.name] = t
		return
	}
	k.keeps(field, t.goType)
	if t.act != nil {
		k.keeps(fmt.Sprintf("%s: result of %q", field, t.name), t.result)
	}
	k.byRequest[t.goType] = t
}

// keeps faults what a record would lose of values of that type.
func (k *kind) keeps(field string, t reflect.Type) {
	for _, loss := range kept.Losses(t.String(), t, kept.TagMeant) {
		k.fault(fmt.Errorf("%s: %s", field, loss))
	}
}

// named is a value with the name of its type.
type named struct {
	Name string          `json:"name"`
	Data json.RawMessage `json:"data,omitempty"`
}

func (k *kind) encodeAction(a any) (*named, error) {
	t := k.byAction[reflect.TypeOf(a)]
	if t == nil {
		return nil, fmt.Errorf("action %T is not one of Types.Actions of saga %q", a, k.name)
	}
	data, err := json.Marshal(a)
	if err != nil {
		return nil, fmt.Errorf("encode action %q: %w", t.name, err)
	}
	return &named{t.name, data}, nil
}

func (k *kind) decodeAction(n *named) (any, error) {
	t := k.actions[n.Name]
	if t == nil {
		return nil, fmt.Errorf("action %q is not one of Types.Actions of saga %q", n.Name, k.name)
	}
	a, err := t.decode(n.Data)
	if err != nil {
		return nil, fmt.Errorf("decode action %q: %w", n.Name, err)
	}
	return a, nil
}

// encodeRequest is what a record keeps of a request.
func (k *kind) encodeRequest(q any) (call, error) {
	t, err := k.wants(q)
	if err != nil {
		return call{}, err
	}
	c := call{Request: t.name}
	if child, ok := q.(Child); ok {
		c.Child = t.child.name
		c.Data, err = t.encodeChild(child)
	} else {
		c.Data, err = json.Marshal(q)
	}
	if err != nil {
		return call{}, fmt.Errorf("encode request %q: %w", t.name, err)
	}
	return c, nil
}

// upcast brings a state up to the present schema.
func (k *kind) upcast(state []byte, schema int) ([]byte, error) {
	if schema > k.schema {
		return nil, &SchemaError{Type: k.name, Schema: schema, Known: k.schema}
	}
	for ; schema < k.schema && len(state) > 0; schema++ {
		up := k.upcasters[schema]
		if up == nil {
			return nil, &SchemaError{Type: k.name, Schema: schema, Known: k.schema}
		}
		next, err := up(state)
		if err != nil {
			return nil, fmt.Errorf("upcast the state from schema %d: %w", schema, err)
		}
		state = next
	}
	return state, nil
}

// handlers finds a handler for each type of request.
func (k *kind) handlers(by map[reflect.Type]*tree.Handler) error {
	var missing error
	for _, name := range sortedKeys(k.requests) {
		if t := k.requests[name]; t.child == nil && by[t.goType] == nil {
			missing = errors.Join(missing, fmt.Errorf("%w for %s (%q of saga %q)", effect.ErrNoHandler, t.goType, name, k.name))
		}
	}
	return missing
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

func show(v any) string { return fmt.Sprint(v) }
