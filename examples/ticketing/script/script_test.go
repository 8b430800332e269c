package script_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"github.com/seed57833328/rondo/examples/ticketing/gateway"
	"github.com/seed57833328/rondo/examples/ticketing/script"
)

// play runs the lines of a script.
func play(t *testing.T, lines ...string) (result script.Result, out, bad string) {
	t.Helper()
	var o, b bytes.Buffer
	result, err := script.Run(1, gateway.Rates{}, strings.NewReader(strings.Join(lines, "\n")), &o, &b)
	require.NoError(t, err)
	require.True(t, result.Passed(), "%s", &o)
	return result, o.String(), b.String()
}

const openGala = `{"do":"open","event":"gala","tiers":[{"name":"one","cents":1000}],"sections":[{"name":"A","tier":"one","rows":2,"seats":4},{"name":"B","tier":"one","rows":1,"seats":2}]}`

// Every line is wrong in its way. Each is told of, and changes nothing.
func TestBadLines(t *testing.T) {
	t.Parallel()
	const quantityWant = "want a whole number from 1 to 8"
	open := func(tiers, sections string) string {
		return fmt.Sprintf(`{"do":"open","event":"new","tiers":%s,"sections":%s}`, tiers, sections)
	}
	one := `[{"name":"one","cents":1}]`
	for line, want := range map[string]string{
		// JSON
		`nonsense`:                    `the line: nonsense, want a JSON object (invalid character 'o' in literal null (expecting 'u'))`,
		`{"do":`:                      `the line: {"do":, want a JSON object`,
		`{"do":"audit"`:               `the line: {"do":"audit", want a JSON object`,
		`["audit"]`:                   `the line: ["audit"], want a JSON object`,
		`"audit"`:                     `the line: "audit", want a JSON object`,
		`null`:                        `the line: null, want a JSON object`,
		`{"do":"audit"} {}`:           `{"do":"audit"} {}: something follows the object, want one command a line`,
		`{"do":"audit","do":"audit"}`: `do: given twice, want it once`,
		"\x00\x1b[31m":                "the line: ��[31m, want a JSON object (invalid character '\\x00' looking for beginning of value)",

		// Commands
		`{}`:                     `do: missing, want one of open, reserve, cancel, call-off, gateway, wait, status, seats, audit`,
		`{"do":"fly"}`:           `do: "fly", want one of open, reserve, cancel, call-off, gateway, wait, status, seats, audit`,
		`{"do":7}`:               `do: 7, want one of open, reserve, cancel, call-off, gateway, wait, status, seats, audit`,
		`{"DO":"audit"}`:         `do: missing, want one of open, reserve, cancel, call-off, gateway, wait, status, seats, audit`,
		`{"do":"audit","now":1}`: `now: 1, unknown field, want do`,

		// open
		openGala: `event: "gala", want one that is not open yet`,
		`{"do":"open","event":"","tiers":[],"sections":[]}`: `event: "", want a name of 1 to 64 printable characters`,
		open(`[]`, `[]`):                           `tiers: [], want a list of 1 to 20 tiers`,
		open(`{}`, `[]`):                           `tiers: {}, want a list of 1 to 20 tiers`,
		open(one, `[]`):                            `sections: [], want a list of 1 to 50 sections`,
		open(`[7]`, `[]`):                          `tiers[0]: 7, want a JSON object`,
		open(`[{"name":"one","cents":0}]`, `[]`):   `tiers[0].cents: 0, want a whole number from 1 to 10000000`,
		open(`[{"name":"one","cents":1.5}]`, `[]`): `tiers[0].cents: 1.5, want a whole number from 1 to 10000000`,
		open(`[{"name":"one","cents":1},{"name":"one","cents":2}]`, `[]`):                                                                 `tiers[1].name: "one", want each tier once`,
		open(`[{"name":"one","cents":1,"euro":1}]`, `[]`):                                                                                 `tiers[0].euro: 1, unknown field, want name, cents`,
		open(one, `[{"name":"A","tier":"two","rows":1,"seats":1}]`):                                                                       `sections[0].tier: "two", want one of the event's tiers: one`,
		open(one, `[{"name":"A","tier":"one","rows":0,"seats":1}]`):                                                                       `sections[0].rows: 0, want a whole number from 1 to 50`,
		open(one, `[{"name":"A","tier":"one","rows":1,"seats":999}]`):                                                                     `sections[0].seats: 999, want a whole number from 1 to 50`,
		open(one, strings.Repeat(`[`, 2)+strings.Repeat(`]`, 2)):                                                                          `sections[0]: [], want a JSON object`,
		open(one, `[`+strings.Repeat(`{"name":"A","tier":"one","rows":1,"seats":1},`, 1)+`{"name":"A","tier":"one","rows":1,"seats":1}]`): `sections[1].name: "A", want each section once`,

		// reserve
		`{"do":"reserve","id":"r","event":"gala","section":"A","quantity":-1}`:                                          `quantity: -1, ` + quantityWant,
		`{"do":"reserve","id":"r","event":"gala","section":"A","quantity":0}`:                                           `quantity: 0, ` + quantityWant,
		`{"do":"reserve","id":"r","event":"gala","section":"A","quantity":9}`:                                           `quantity: 9, ` + quantityWant,
		`{"do":"reserve","id":"r","event":"gala","section":"A","quantity":1e99}`:                                        `quantity: 1e99, ` + quantityWant,
		`{"do":"reserve","id":"r","event":"gala","section":"A","quantity":"2"}`:                                         `quantity: "2", ` + quantityWant,
		`{"do":"reserve","id":"r","event":"gala","section":"A","quantity":null}`:                                        `quantity: null, ` + quantityWant,
		`{"do":"reserve","id":"r","event":"gala","section":"A"}`:                                                        `quantity: missing, ` + quantityWant,
		`{"do":"reserve","id":"ann","event":"gala","section":"A","quantity":1}`:                                         `id: "ann", want one that is not reserved yet`,
		`{"do":"reserve","event":"gala","section":"A","quantity":1}`:                                                    `id: missing, want a name of 1 to 64 printable characters`,
		`{"do":"reserve","id":7,"event":"gala","section":"A","quantity":1}`:                                             `id: 7, want a name of 1 to 64 printable characters`,
		`{"do":"reserve","id":"a\nb","event":"gala","section":"A","quantity":1}`:                                        `id: "a\nb", want a name of 1 to 64 printable characters`,
		`{"do":"reserve","id":"r","event":"encore","section":"A","quantity":1}`:                                         `event: "encore", want an event that is open: gala`,
		`{"do":"reserve","id":"r","event":"gala","section":"Z","quantity":1}`:                                           `section: "Z", want a section of gala: A, B`,
		`{"do":"reserve","id":"r","event":"gala","section":"A","seats":["A1"],"quantity":1}`:                            `seats: ["A1"], want either seats or quantity`,
		`{"do":"reserve","id":"r","event":"gala","section":"A","seats":"A1"}`:                                           `seats: "A1", want a list of 1 to 8 seats`,
		`{"do":"reserve","id":"r","event":"gala","section":"A","seats":[]}`:                                             `seats: [], want a list of 1 to 8 seats`,
		`{"do":"reserve","id":"r","event":"gala","section":"A","seats":["A1","A5"]}`:                                    `seats[1]: "A5", want a seat of gala/A, A1 to B4`,
		`{"do":"reserve","id":"r","event":"gala","section":"A","seats":["A1",2]}`:                                       `seats[1]: 2, want a seat of gala/A, A1 to B4`,
		`{"do":"reserve","id":"r","event":"gala","section":"A","seats":["1A"]}`:                                         `seats[0]: "1A", want a seat of gala/A, A1 to B4`,
		`{"do":"reserve","id":"r","event":"gala","section":"A","quantity":1,"customer":""}`:                             `customer: "", want a name of 1 to 64 printable characters`,
		`{"do":"reserve","id":"r","event":"gala","section":"A","quantity":1,"color":"red"}`:                             `color: "red", unknown field, want do, id, customer, event, section, quantity, seats`,
		`{"do":"reserve","id":"r","event":"gala","section":"A","quantity":1,"note":"` + strings.Repeat("x", 100) + `"}`: `note: "` + strings.Repeat("x", 59) + `…, unknown field, want do, id, customer, event, section, quantity, seats`,

		// the others
		`{"do":"cancel","id":"nobody"}`:                                `id: "nobody", want the id of an earlier reserve`,
		`{"do":"status","id":"nobody"}`:                                `id: "nobody", want the id of an earlier reserve`,
		`{"do":"call-off","event":"encore"}`:                           `event: "encore", want an event that is open: gala`,
		`{"do":"seats","event":"gala","section":"Z"}`:                  `section: "Z", want a section of gala: A, B`,
		`{"do":"seats","event":"gala"}`:                                `section: missing, want a name of 1 to 64 printable characters`,
		`{"do":"wait","for":"-5m"}`:                                    `for: "-5m", want a time such as "90s" or "5m", above 0 and up to 168h0m0s`,
		`{"do":"wait","for":"0s"}`:                                     `for: "0s", want a time such as "90s" or "5m", above 0 and up to 168h0m0s`,
		`{"do":"wait","for":"1000h"}`:                                  `for: "1000h", want a time such as "90s" or "5m", above 0 and up to 168h0m0s`,
		`{"do":"wait","for":5}`:                                        `for: 5, want a time such as "90s" or "5m", above 0 and up to 168h0m0s`,
		`{"do":"wait"}`:                                                `for: missing, want a time such as "90s" or "5m", above 0 and up to 168h0m0s`,
		`{"do":"gateway","id":"ann","answers":"decline"}`:              `id: "ann", want one that is not reserved yet`,
		`{"do":"gateway","id":"r","answers":"perhaps"}`:                `answers: "perhaps", want one of decline, timeout, lost, late`,
		`{"do":"gateway","id":"r","answers":"late"}`:                   `after: missing, want a time such as "90s" or "5m", above 0 and up to 168h0m0s`,
		`{"do":"gateway","id":"r","answers":"decline","after":"5m"}`:   `after: "5m", unknown field, want do, id, answers`,
		strings.Repeat("x", script.MaxLine):                            strings.Repeat("x", 60) + `… is 65537 bytes long, want at most 65536`,
		`{"do":"audit","pad":"` + strings.Repeat(" ", 1<<20) + `"}`:    `{"do":"audit","pad":" is 1048600 bytes long, want at most 65536`,
		`{"do":"audit","pad":"` + strings.Repeat(`"`, 1<<16) + "\x00}": `{"do":"audit","pad":"` + strings.Repeat(`"`, 39) + `… is 65560 bytes long, want at most 65536`,
	} {
		t.Run(fmt.Sprintf("%.80q", line), func(t *testing.T) {
			t.Parallel()
			ann := `{"do":"reserve","id":"ann","event":"gala","section":"A","quantity":2}`
			result, out, bad := play(t, openGala, ann, line, `{"do":"wait","for":"1m"}`)
			require.Equal(t, "line 3: "+want+"\n", bad)
			require.Equal(t, 1, result.BadLines)
			_, without, _ := play(t, openGala, ann, ``, `{"do":"wait","for":"1m"}`)
			require.Equal(t, without, out, "nothing else is changed")
		})
	}
}

func TestNothingIsOpen(t *testing.T) {
	t.Parallel()
	_, _, bad := play(t, `{"do":"reserve","id":"r","event":"gala","section":"A","quantity":1}`)
	require.Equal(t, `line 1: event: "gala", want an event that is open (there is none)`+"\n", bad)
}

func TestEmptyScript(t *testing.T) {
	t.Parallel()
	result, out, bad := play(t, "", "   ", "# a comment", "")
	require.Zero(t, result.BadLines)
	require.Empty(t, bad)
	require.Contains(t, out, "0 seats: 0 sold")
}

func TestLineEndings(t *testing.T) {
	t.Parallel()
	result, out, _ := play(t, openGala+"\r", `{"do":"wait","for":"1s"}`+"\r", `{"do":"audit"}`) // the last one without an end
	require.Zero(t, result.BadLines)
	require.Len(t, result.Audits, 2)
	require.Contains(t, out, "00:01.000  audit\n")
}

func TestSameSeedSameOutput(t *testing.T) {
	t.Parallel()
	lines := openGala + "\n"
	for i := range 20 {
		lines += fmt.Sprintf(`{"do":"reserve","id":"r%d","event":"gala","section":"A","quantity":2}`+"\n", i)
	}
	run := func(seed uint64) string {
		var out bytes.Buffer
		_, err := script.Run(seed, gateway.Rates{Decline: 0.3, Timeout: 0.3, Late: 0.3}, strings.NewReader(lines), &out, &out)
		require.NoError(t, err)
		return out.String()
	}
	first, second := run(1), run(1)
	require.Equal(t, first, second)
	require.NotEqual(t, first, run(2))
}

func TestInputThatBreaksOff(t *testing.T) {
	t.Parallel()
	broken := errors.New("the disk is gone")
	var out bytes.Buffer
	_, err := script.Run(1, gateway.Rates{}, iotest.ErrReader(broken), &out, &out)
	require.ErrorIs(t, err, broken)
	require.ErrorContains(t, err, "read line 1")
}

// Whatever the lines are, each is carried out or told of, and the books are
// right.
func FuzzScript(f *testing.F) {
	f.Add(openGala)
	f.Add(openGala + "\n" + `{"do":"reserve","id":"r","event":"gala","section":"A","seats":["A1","A1"]}`)
	f.Add(openGala + "\n" + `{"do":"gateway","id":"r","answers":"late","after":"6m"}` + "\n" +
		`{"do":"reserve","id":"r","event":"gala","section":"B","quantity":1}` + "\n" + `{"do":"cancel","id":"r"}`)
	f.Add(`{"do":"open","event":"` + "\xff" + `"}`)
	f.Add("{\"do\":\"wait\",\"for\":\"1ns\"}\r\n\x00\n[[[[")
	f.Fuzz(func(t *testing.T, lines string) {
		var out, bad bytes.Buffer
		result, err := script.Run(1, gateway.Rates{}, strings.NewReader(lines), &out, &bad)
		require.NoError(t, err)
		require.True(t, result.Passed(), "%s", &out)
		require.Equal(t, result.BadLines, strings.Count(bad.String(), "\n"))
	})
}
