package providertest

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// Run checks a provider against every row of the contract, each in a subtest of the row's name over a fresh
// provider. A row that fails prints its rule, what was seen, and what to do. What a provider does not
// offer is not checked, and the last line says so.
func Run(t *testing.T, h Harness) {
	t.Helper()
	for name, why := range h.Skip {
		if !slices.ContainsFunc(Rows(), func(r Row) bool { return r.Name == name }) {
			t.Errorf("Harness.Skip: there is no row %q", name)
		} else if strings.TrimSpace(why) == "" {
			t.Errorf("Harness.Skip: %s needs a reason", name)
		}
	}
	has := probe(t, h)
	var all []result
	for _, row := range Rows() {
		t.Run(row.Name, func(t *testing.T) {
			if why := strings.TrimSpace(h.Skip[row.Name]); why != "" {
				all = append(all, result{outcome: skipped})
				t.Skip("skipped:", why)
			}
			r := run(t, h, has, row)
			all = append(all, r)
			switch r.outcome {
			case failed:
				fmt.Fprint(t.Output(), explain(row, r))
				t.Fail()
			case notOffered:
				t.Skip("not offered:", strings.Join(r.lacks, ", "))
			}
		})
	}
	fmt.Fprintln(t.Output(), summary(all))
}

// explain is what a failed row prints.
func explain(row Row, r result) string {
	return fmt.Sprintf("rule: %s\nseen: %s\ndo:   %s\n", row.Rule, strings.ReplaceAll(r.seen, "\n", "\n      "), row.Do)
}

// summary is the closing line: 43 rows: 40 ok, 1 failed, 2 not offered (Stop, JobRunner).
func summary(all []result) string {
	count := map[string]int{}
	var lacks []string
	for _, r := range all {
		count[r.outcome]++
		for _, l := range r.lacks {
			if !slices.Contains(lacks, l) {
				lacks = append(lacks, l)
			}
		}
	}
	parts := []string{fmt.Sprintf("%d ok", count[passed])}
	for _, o := range []string{failed, skipped, notOffered} {
		if n := count[o]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, o))
		}
	}
	s := fmt.Sprintf("%d rows: %s", len(all), strings.Join(parts, ", "))
	if len(lacks) > 0 {
		s += " (" + strings.Join(lacks, ", ") + ")"
	}
	return s
}
