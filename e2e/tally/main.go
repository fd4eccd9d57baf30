// Command tally adds up test results: it reads the JSON lines that "go test
// -json" writes, one file a part, and prints a table. Its last line is
// "N passed, N failed, N skipped". It exits with 1 where a test failed, where a
// part ran none, or where there is no part.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
)

type event struct {
	Action, Package, Test string
	Elapsed               float64
}

type counts struct {
	passed, failed, skipped int
	seconds                 float64
	names                   []string
}

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "tally:", err)
		os.Exit(1)
	}
}

func run(files []string, out io.Writer) error {
	var total counts
	var empty []string
	table := tabwriter.NewWriter(out, 0, 4, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "part\tpassed\tfailed\tskipped\tseconds\t")
	for _, file := range files {
		part, err := count(file)
		if err != nil {
			return err
		}
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		fmt.Fprintf(table, "%s\t%d\t%d\t%d\t%.0f\t\n", name, part.passed, part.failed, part.skipped, part.seconds)
		if part.passed+part.failed == 0 {
			empty = append(empty, name)
		}
		total.passed += part.passed
		total.failed += part.failed
		total.skipped += part.skipped
		total.names = append(total.names, part.names...)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for _, name := range total.names {
		fmt.Fprintln(out, name)
	}
	fmt.Fprintf(out, "%d passed, %d failed, %d skipped\n", total.passed, total.failed, total.skipped)
	switch {
	case len(files) == 0:
		return errors.New("no part was run")
	case len(empty) > 0:
		return fmt.Errorf("no test ran in %s", strings.Join(empty, ", "))
	case total.failed > 0:
		return errors.New("some tests failed")
	}
	return nil
}

// count reads one part. A package that fails without a failing test (it does
// not build, or its process died) counts as one failure.
func count(path string) (counts, error) {
	file, err := os.Open(path)
	if err != nil {
		return counts{}, err
	}
	defer file.Close()
	var c counts
	failedIn := map[string]bool{}
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var e event
		if json.Unmarshal(lines.Bytes(), &e) != nil {
			continue // output of the build, between the events
		}
		c.add(e, failedIn)
	}
	return c, lines.Err()
}

func (c *counts) add(e event, failedIn map[string]bool) {
	switch {
	case e.Test == "" && (e.Action == "pass" || e.Action == "fail"):
		c.seconds += e.Elapsed
		if e.Action == "fail" && !failedIn[e.Package] {
			c.failed++
			c.names = append(c.names, "FAILED  "+e.Package)
		}
	case e.Test == "":
	case e.Action == "pass":
		c.passed++
	case e.Action == "fail":
		c.failed++
		failedIn[e.Package] = true
		c.names = append(c.names, "FAILED  "+e.Package+" "+e.Test)
	case e.Action == "skip":
		c.skipped++
		c.names = append(c.names, "SKIPPED "+e.Package+" "+e.Test)
	}
}
