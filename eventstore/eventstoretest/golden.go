package eventstoretest

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/seed57833328/rondo/eventstore"
)

// UpdateGolden names the environment variable that has [Golden] write the files
// of the present schemas anew.
const UpdateGolden = "RONDO_UPDATE_GOLDEN"

// Golden holds a registry to what was recorded. For each type and schema version
// the directory has a file with an event's data, named
// "inventory.seats-held.v2.json" (what a file name cannot have is escaped as in
// a URL). The test fails if
//
//   - the sample of a type is not encoded as the file of its present schema says:
//     the form of an event has changed, and needs a new schema version;
//   - the file of an older schema, or of a former name, cannot be decoded, or is
//     to nothing;
//   - a type has no sample, or a schema version from 1 has no file.
//
// There is one sample for each type; set all its fields. With the environment
// variable [UpdateGolden] set to 1 it writes the files of the present schemas:
// for a new type or version, or for a form that has never been recorded. Those
// of older schemas are kept for ever, in the form they had.
func Golden(t testing.TB, r *eventstore.Registry, dir string, samples ...any) {
	t.Helper()
	encoded := map[string][]byte{}
	for _, sample := range samples {
		e, err := r.Encode(sample)
		switch {
		case err != nil:
			t.Errorf("sample %#v: %v", sample, err)
			continue
		case encoded[e.Type] != nil:
			t.Errorf("event type %q has two samples", e.Type)
			continue
		case saysNothing(sample):
			t.Errorf("event type %q: no field of the sample is set, so it shows nothing", e.Type)
		}
		encoded[e.Type] = indented(e.Data)
	}
	for name, schema := range r.Names() {
		sample := encoded[name]
		if sample == nil {
			t.Errorf("event type %q has no sample", name)
			continue
		}
		for version := 1; version < schema; version++ {
			if _, err := os.Stat(filepath.Join(dir, goldenName(name, version))); errors.Is(err, fs.ErrNotExist) {
				t.Errorf("event type %q: schema %d has no golden file: write %s as it was recorded", name, version, goldenName(name, version))
			}
		}
		goldenSample(t, dir, name, schema, sample)
	}
	goldenFiles(t, r, dir)
}

// goldenSample compares a sample with the file of the present schema.
func goldenSample(t testing.TB, dir, name string, schema int, sample []byte) {
	t.Helper()
	path := filepath.Join(dir, goldenName(name, schema))
	golden, err := os.ReadFile(path)
	if err == nil && bytes.Equal(indented(golden), sample) {
		return
	}
	if os.Getenv(UpdateGolden) == "1" {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Errorf("event type %q: %v", name, err)
		}
		if err := os.WriteFile(path, sample, 0o644); err != nil {
			t.Errorf("event type %q: %v", name, err)
		}
		return
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		t.Errorf("event type %q: schema %d has no golden file: %s=1 writes %s", name, schema, UpdateGolden, path)
	case err != nil:
		t.Errorf("event type %q: %v", name, err)
	default:
		t.Errorf("event type %q: schema %d is not what it was when %s was written.\nfile:\n%s\nsample:\n%s\n"+
			"Raise the schema and give it an Upcast, or set %s=1 if it has never been recorded.",
			name, schema, path, indented(golden), sample, UpdateGolden)
	}
}

// goldenFiles decodes all files.
func goldenFiles(t testing.TB, r *eventstore.Registry, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Errorf("golden files: %v", err)
	}
	for _, entry := range entries {
		path := filepath.Join(dir, entry.Name())
		name, schema, ok := parseGolden(entry.Name())
		if !ok {
			t.Errorf("%s is not named as a golden file is: NAME.vSCHEMA.json", path)
			continue
		}
		data, err := os.ReadFile(path)
		if err != nil {
			t.Errorf("golden files: %v", err)
			continue
		}
		value, err := r.Decode(eventstore.Recorded{Stream: path, Version: 1, Position: 1, Type: name, Schema: schema, Data: data})
		if err != nil {
			t.Errorf("%s cannot be decoded any more, though it may have been recorded: %v", path, err)
			continue
		}
		if saysNothing(value) {
			t.Errorf("%s is decoded to a value of which no field is set: what was recorded is lost", path)
		}
	}
}

// saysNothing tells whether a value could say something and does not.
func saysNothing(v any) bool {
	value := reflect.ValueOf(v)
	return value.Type().Size() > 0 && value.IsZero()
}

const goldenExt = ".json"

func goldenName(name string, schema int) string {
	return url.PathEscape(name) + ".v" + strconv.Itoa(schema) + goldenExt
}

func parseGolden(file string) (name string, schema int, ok bool) {
	base, isJSON := strings.CutSuffix(file, goldenExt)
	i := strings.LastIndex(base, ".v")
	if !isJSON || i < 0 {
		return "", 0, false
	}
	schema, err := strconv.Atoi(base[i+2:])
	if err != nil {
		return "", 0, false
	}
	name, err = url.PathUnescape(base[:i])
	return name, schema, err == nil && goldenName(name, schema) == file
}

// indented is JSON in the form of golden files. What is none is left as it is.
func indented(data []byte) []byte {
	var b bytes.Buffer
	if err := json.Indent(&b, bytes.TrimSpace(data), "", "  "); err != nil {
		return data
	}
	b.WriteByte('\n')
	return b.Bytes()
}
