package cli

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"runctl/examples/runctl/cli/safe"
)

// In tables, unknown is "?", absent is "-", and neither is ever 0.
const (
	unknown = "?"
	absent  = "-"
)

// table is a list for people: columns as wide as their widest cell, two blanks between.
type table struct {
	head []string
	rows [][]string
}

func (t *table) add(cells ...string) {
	for i := range cells {
		if cells[i] = safe.Line(cells[i]); cells[i] == "" {
			cells[i] = absent
		}
	}
	t.rows = append(t.rows, cells)
}

// print writes the table to stdout.
func (a *app) print(t *table) {
	width := make([]int, len(t.head))
	all := append([][]string{t.head}, t.rows...)
	for _, row := range all {
		for i, c := range row {
			width[i] = max(width[i], utf8.RuneCountInString(c))
		}
	}
	for _, row := range all {
		var b strings.Builder
		for i, c := range row {
			b.WriteString(c)
			if i < len(row)-1 {
				b.WriteString(strings.Repeat(" ", width[i]-utf8.RuneCountInString(c)+2))
			}
		}
		fmt.Fprintln(a.stdout, b.String())
	}
}
