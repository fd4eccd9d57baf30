// Package docs tests that the documents speak of everything that people meet:
// each field, reason, metric, flag and command, and each decision.
package docs

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/serin-gitops/serin/api/v1alpha1"
)

const (
	root  = "../.."
	pages = root + "/docs"
)

// text is all of docs/*.md.
func text(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	for _, page := range files(t, pages+"/*.md") {
		all.WriteString(read(t, page))
	}
	return all.String()
}

func files(t *testing.T, pattern string) []string {
	t.Helper()
	found, err := filepath.Glob(pattern)
	if err != nil || len(found) == 0 {
		t.Fatalf("%s: %v, found %d files", pattern, err, len(found))
	}
	return found
}

func read(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// everyWord fails where a word is not in the documents as code; at least says
// how many there must be, so that a search that finds none is seen.
func everyWord(t *testing.T, what string, words []string, least int) {
	t.Helper()
	if len(words) < least {
		t.Fatalf("found %d of %s in the code, expected at least %d: the search is broken", len(words), what, least)
	}
	all := text(t)
	for _, word := range words {
		if !strings.Contains(all, "`"+word+"`") {
			t.Errorf("docs/*.md: no line on %s `%s`", what, word)
		}
	}
}

func TestReasons(t *testing.T) {
	everyWord(t, "reason", reasons(t), 60)
}

// TestReasonsForOperators states that whoever is on call finds each condition and
// event on one page; it links to those of phases and verdicts.
func TestReasonsForOperators(t *testing.T) {
	page := read(t, pages+"/operations.md")
	for _, reason := range reasonsIn(t, "controllers", "environments") {
		isVerdict := strings.Contains(read(t, pages+"/analysis.md"), "| `"+reason+"` | ")
		if !isVerdict && !strings.Contains(page, "`"+reason+"`") {
			t.Errorf("docs/operations.md: no line on the reason `%s`", reason)
		}
	}
}

// TestReasonsInTables states that what a table promises is said by the code.
func TestReasonsInTables(t *testing.T) {
	known := append(reasons(t), conditionTypes...)
	header, rows := regexp.MustCompile(`^\| (reason|event|phase)\b`), 0
	for _, page := range files(t, pages+"/*.md") {
		inTable := false
		for line := range strings.Lines(read(t, page)) {
			if !strings.HasPrefix(line, "|") {
				inTable = false
				continue
			}
			if header.MatchString(line) {
				inTable = true
				continue
			}
			first, _, _ := strings.Cut(strings.TrimPrefix(line, "|"), "|")
			for _, named := range regexp.MustCompile("`([A-Z][A-Za-z]+)`").FindAllStringSubmatch(first, -1) {
				if !inTable {
					continue
				}
				rows++
				if !slices.Contains(known, named[1]) {
					t.Errorf("%s: nothing in the code says %s", page, named[1])
				}
			}
		}
	}
	if rows < 60 {
		t.Errorf("found %d reasons, events and phases in tables: the search is broken", rows)
	}
}

// TestLabels compares the labels of metrics with the table of operations.md.
func TestLabels(t *testing.T) {
	known := labels(t)
	row := regexp.MustCompile("(?m)^\\| ((?:`serin_[a-z_]+`(?:, )?)+) \\| ([^|]*) \\|")
	above, seen := "", 0
	for _, found := range row.FindAllStringSubmatch(read(t, pages+"/operations.md"), -1) {
		says := strings.TrimSpace(found[2])
		if says == "the same" {
			says = above
		}
		above = says
		for _, name := range regexp.MustCompile(`serin_[a-z_]+`).FindAllString(found[1], -1) {
			seen++
			if got := strings.Join(known[name], ", "); got != says {
				t.Errorf("docs/operations.md: %s has the labels %q, and not %q", name, got, says)
			}
		}
	}
	if seen < 10 {
		t.Errorf("found %d metrics in the table: the search is broken", seen)
	}
}

// TestMakeTargets follows "make x" to the Makefile.
func TestMakeTargets(t *testing.T) {
	makefile, all := read(t, root+"/Makefile"), text(t)+read(t, root+"/README.md")
	named := regexp.MustCompile("`(?:[A-Z]+=[^ `]+ )?make ([a-z0-9-]+)[^`]*`|(?m)^make ([a-z0-9-]+)").FindAllStringSubmatch(all, -1)
	if len(named) < 10 {
		t.Fatalf("found %d targets in the pages: the search is broken", len(named))
	}
	for _, words := range named {
		if target := words[1] + words[2]; !strings.Contains(makefile, "\n"+target+":") {
			t.Errorf("a page says make %s, which the Makefile has not", target)
		}
	}
}

// TestMarks states that the labels, annotations and finalizers that the pages name
// are the code's.
func TestMarks(t *testing.T) {
	var code strings.Builder
	for _, directory := range []string{"api", "config", "controllers", "embedded", "environments", "traffic", "e2e"} {
		err := filepath.WalkDir(filepath.Join(root, directory), func(path string, entry fs.DirEntry, err error) error {
			if err == nil && !entry.IsDir() && !strings.HasSuffix(path, "_test.go") {
				code.WriteString(read(t, path))
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	marks := collected(regexp.MustCompile(`serin\.dev/[a-z-]+[a-z]`).FindAllString(text(t), -1))
	for _, mark := range marks {
		if mark != "serin.dev/v" && !strings.Contains(code.String(), mark) {
			t.Errorf("docs/*.md: nothing in the code is called %s", mark)
		}
	}
	if len(marks) < 10 {
		t.Errorf("found %d marks: the search is broken", len(marks))
	}
}

func TestMetrics(t *testing.T) {
	metrics := metrics(t)
	everyWord(t, "metric", metrics, 7)
	for _, named := range regexp.MustCompile("`(serin_[a-z_]+)`").FindAllStringSubmatch(text(t), -1) {
		if !slices.Contains(metrics, named[1]) && !strings.HasPrefix(named[1], "serin_dev_") {
			t.Errorf("docs/*.md: metric `%s` is not in the code", named[1])
		}
	}
}

func TestFlags(t *testing.T) {
	flags := flags(t)
	everyWord(t, "flag of serin controller", flags, 10)
	table := regexp.MustCompile("(?m)^\\| `(--[a-z-]+)` \\|").FindAllStringSubmatch(read(t, pages+"/operations.md"), -1)
	for _, named := range table {
		if !slices.Contains(flags, named[1]) {
			t.Errorf("docs/operations.md: serin controller has no flag `%s`", named[1])
		}
	}
}

func TestCommands(t *testing.T) {
	commands := commands(t)
	if len(commands) < 10 {
		t.Fatalf("found %d commands in cmd/serin: the search is broken", len(commands))
	}
	all := text(t)
	for _, command := range commands {
		if !regexp.MustCompile(`serin (\w+ )?` + regexp.QuoteMeta(command) + `\b`).MatchString(all) {
			t.Errorf("docs/*.md: no line on the command serin %s", command)
		}
	}
}

func TestDecisions(t *testing.T) {
	index := read(t, pages+"/architecture.md")
	for at, path := range files(t, pages+"/adr/*.md") {
		name := filepath.Base(path)
		if number := fmt.Sprintf("%04d-", at+1); !strings.HasPrefix(name, number) {
			t.Errorf("docs/adr/%s: expected number %s", name, number)
		}
		if !strings.Contains(index, "(adr/"+name+")") {
			t.Errorf("docs/architecture.md: no link to adr/%s", name)
		}
		for _, part := range []string{"## Context", "## Decision", "## Consequences"} {
			if !strings.Contains(read(t, path), part) {
				t.Errorf("docs/adr/%s: no part %q", name, part)
			}
		}
	}
}

// TestLinks follows the links from page to page.
func TestLinks(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#:]*)(#[^)]*)?\)`)
	for _, page := range append(append(files(t, pages+"/*.md"), files(t, pages+"/adr/*.md")...), root+"/README.md", root+"/examples/ipfs-kit/README.md") {
		for _, found := range link.FindAllStringSubmatch(read(t, page), -1) {
			if strings.HasSuffix(found[1], ".svg") {
				continue // drawn by "make plots"
			}
			target := filepath.Join(filepath.Dir(page), found[1])
			if found[1] == "" {
				target = page
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s: the link %s leads nowhere", page, found[1])
			} else if found[2] != "" && !slices.Contains(headings(t, target), found[2]) {
				t.Errorf("%s: the page %s has no heading %s", page, target, found[2])
			}
		}
	}
}

// headings are a page's, as links name them.
func headings(t *testing.T, page string) []string {
	t.Helper()
	var names []string
	for _, found := range regexp.MustCompile(`(?m)^#+ (.+)$`).FindAllStringSubmatch(read(t, page), -1) {
		name := regexp.MustCompile(`[^a-z0-9 -]`).ReplaceAllString(strings.ToLower(found[1]), "")
		names = append(names, "#"+strings.ReplaceAll(name, " ", "-"))
	}
	return names
}

// TestExamples reads every object of ours in the pages as strictly as the API
// server does.
func TestExamples(t *testing.T) {
	block := regexp.MustCompile("(?s)\n```yaml\n(.*?)\n```")
	seen := 0
	for _, page := range append(files(t, pages+"/*.md"), root+"/README.md") {
		for _, found := range block.FindAllStringSubmatch(read(t, page), -1) {
			for document := range strings.SplitSeq(found[1], "\n---\n") {
				if strings.HasPrefix(document, "apiVersion: "+v1alpha1.GroupVersion.String()+"\n") {
					seen++
					decode(t, page, document)
				}
			}
		}
	}
	if seen < 6 {
		t.Errorf("found %d objects of ours in the pages: the search is broken", seen)
	}
}

func decode(t *testing.T, page, document string) {
	t.Helper()
	var kind struct {
		Kind string `json:"kind"`
	}
	if err := yaml.Unmarshal([]byte(document), &kind); err != nil {
		t.Errorf("%s: %v", page, err)
		return
	}
	into, known := map[string]client.Object{
		"Pipeline": &v1alpha1.Pipeline{}, "Release": &v1alpha1.Release{}, "Promotion": &v1alpha1.Promotion{},
		"Rollout": &v1alpha1.Rollout{}, "AnalysisTemplate": &v1alpha1.AnalysisTemplate{}, "ClusterAnalysisTemplate": &v1alpha1.ClusterAnalysisTemplate{}, "AnalysisRun": &v1alpha1.AnalysisRun{},
	}[kind.Kind]
	if !known {
		t.Errorf("%s: an example is of kind %q, which is none of ours", page, kind.Kind)
		return
	}
	if err := yaml.UnmarshalStrict([]byte(document), into); err != nil {
		t.Errorf("%s: the example %s %s: %v", page, kind.Kind, into.GetName(), err)
	}
}
