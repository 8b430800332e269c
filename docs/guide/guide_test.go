// Package guide holds the guide to what runs: its Go code stands in the programs
// beside it or in the examples, the output it shows in their golden files.
package guide

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const root = "../.."

// TestPagesShowWhatRuns finds each block of a page that is marked as go, line
// by line and in one piece, in a Go file that the tests run, and each block
// marked as text in a golden file. Indentation is free.
func TestPagesShowWhatRuns(t *testing.T) {
	t.Parallel()
	programs := contents(t, "*.go", "docs/guide", "examples")
	golden := contents(t, "*.txt", "docs/guide", "examples")
	pages := contents(t, "*.md", "docs/guide")
	require.NotEmpty(t, pages)
	for path, page := range contents(t, "from-composable-rust.md", "docs") {
		pages[path] = page
	}
	for path, page := range pages {
		require.Equal(t, strings.Count(page, "```"), 2*len(blocks(page)), "%s has a fence that is not at the start of its line", path)
		for _, b := range blocks(page) {
			switch b.language {
			case "go":
				if !contained(b.text, programs) {
					t.Errorf("%s shows Go code that is in no program:\n\n%s", path, b.text)
				}
			case "text":
				if !contained(b.text, golden) {
					t.Errorf("%s shows output that is in no golden file:\n\n%s", path, b.text)
				}
			}
		}
	}
}

// TestLinks follows every relative link of every page in the repository.
func TestLinks(t *testing.T) {
	t.Parallel()
	link := regexp.MustCompile(`\]\(([^)#\s]+)[^)]*\)`)
	for path, page := range contents(t, "*.md", ".") {
		for _, m := range link.FindAllStringSubmatch(withoutBlocks(page), -1) {
			if strings.Contains(m[1], ":") { // https:, mailto:
				continue
			}
			if _, err := os.Stat(filepath.Join(root, filepath.Dir(path), m[1])); err != nil {
				t.Errorf("%s links to %s, which does not exist", path, m[1])
			}
		}
	}
}

type block struct{ language, text string }

// fenced is a block between two lines of backticks.
var fenced = regexp.MustCompile("(?s)\n```([a-z]*)\n(.*?\n)```\n")

// blocks are the fenced blocks of a page.
func blocks(page string) (all []block) {
	for _, m := range fenced.FindAllStringSubmatch(page, -1) {
		all = append(all, block{language: m[1], text: m[2]})
	}
	return all
}

func withoutBlocks(page string) string { return fenced.ReplaceAllString(page, "\n") }

func contained(text string, files map[string]string) bool {
	want := flat(text)
	for _, file := range files {
		if strings.Contains(flat(file), want) {
			return true
		}
	}
	return false
}

// flat is a text without indentation, with a line break at both ends.
func flat(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	for i, line := range lines {
		lines[i] = strings.TrimSpace(line)
	}
	return "\n" + strings.Join(lines, "\n") + "\n"
}

// contents are the files in some directories of the repository, and below them,
// whose names match a pattern, by path.
func contents(t *testing.T, pattern string, dirs ...string) map[string]string {
	t.Helper()
	files := map[string]string{}
	for _, dir := range dirs {
		err := fs.WalkDir(os.DirFS(root), dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				if d != nil && d.Name() == ".git" {
					return fs.SkipDir
				}
				return err
			}
			if ok, err := filepath.Match(pattern, d.Name()); !ok {
				return err
			}
			text, err := os.ReadFile(filepath.Join(root, path))
			files[path] = string(text)
			return err
		})
		require.NoError(t, err)
	}
	return files
}

func TestBlocksAndLinks(t *testing.T) {
	t.Parallel()
	page := "Text\n\n```go\nif x {\n\treturn\n}\n```\n\n```\na [b](c)\n```\n"
	require.Equal(t, []block{{"go", "if x {\n\treturn\n}\n"}, {"", "a [b](c)\n"}}, blocks(page))
	require.NotContains(t, withoutBlocks(page), "[b]")
	require.True(t, contained("if x {\n    return\n}", map[string]string{"f": "\t{\n\t\tif x {\n\t\t\treturn\n\t\t}\n\t}\n"}))
	require.False(t, contained("return", map[string]string{"f": "return nil\n"}), "part of a line")
	require.False(t, contained("a\nc", map[string]string{"f": "a\nb\nc\n"}), "a line left out")
}
