package providertest

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"runctl"
	"runctl/internal/toycloud"
)

// mutant is a provider with one mistake, and the row that is to find it: that one and no other.
type mutant struct {
	name string
	row  string
	make func(w *wrong) // nil: one of shellMutants
}

func mutants() []mutant {
	return slices.Concat(shellMutants(), infoMutants, offerMutants, launchMutants, bootMutants, doubtMutants, refusalMutants, getMutants, listMutants,
		terminateMutants, errorMutants, wireMutants, callMutants, stopMutants, execMutants, jobMutants)
}

// harness makes a provider with the mistake, whose goroutines that never end do so when over is closed.
func (m mutant) harness(over <-chan struct{}) Harness {
	if m.make == nil {
		return crookedHarness(crookedMachines[m.row])
	}
	return toy(func(p *toycloud.Provider) runctl.Provider {
		w := &wrong{Provider: p, over: over}
		m.make(w)
		if w.is != nil {
			return w.is(w)
		}
		return w
	})
}

// broken returns the rows that the mutant fails, and what they saw. The reference provider lives in memory, so its mutants
// are judged on virtual time: what a computer has to do beside is no part of the verdict. Real processes know no virtual time.
func (m mutant) broken(t *testing.T) (names []string, seen string) {
	var results []result
	if m.make == nil {
		results = m.results(t, nil, 8)
	} else {
		synctest.Test(t, func(t *testing.T) {
			over := make(chan struct{})
			t.Cleanup(func() { close(over) })
			results = m.results(t, over, 1)
		})
	}
	for k, row := range Rows() {
		if results[k].outcome == failed {
			names = append(names, row.Name)
			seen += row.Name + ": " + results[k].seen + "\n"
		}
	}
	return names, seen
}

// results are what becomes of every row, so many of them at a time.
func (m mutant) results(t *testing.T, over <-chan struct{}, atOnce int) []result {
	h := m.harness(over)
	has := probe(t, h)
	rows := Rows()
	results := make([]result, len(rows))
	var lines errgroup.Group
	lines.SetLimit(atOnce)
	for k, row := range rows {
		lines.Go(func() error {
			results[k] = run(t, h, has, row)
			return nil
		})
	}
	_ = lines.Wait()
	return results
}

// TestMutants is the test of the suite: each wrong provider fails the row for its mistake, and no other.
func TestMutants(t *testing.T) {
	all := mutants()
	killed := make([]bool, len(all))
	var lines errgroup.Group
	lines.SetLimit(6) // those over real processes wait more than they work
	for k, m := range all {
		lines.Go(func() error {
			t.Run(m.name, func(t *testing.T) {
				broken, seen := m.broken(t)
				require.Equal(t, []string{m.row}, broken, "%s", seen)
				killed[k] = true
			})
			return nil
		})
	}
	_ = lines.Wait()
	n := 0
	for _, k := range killed {
		if k {
			n++
		}
	}
	fmt.Printf("mutation score: %d/%d (%d %%)\n", n, len(all), 100*n/len(all))
}

func TestEveryRowHasAMutant(t *testing.T) {
	caught := map[string]int{}
	names := map[string]bool{}
	for _, m := range mutants() {
		caught[m.row]++
		require.False(t, names[m.name], "two mutants are named %q", m.name)
		names[m.name] = true
	}
	for _, row := range Rows() {
		require.NotZero(t, caught[row.Name], "no mutant for %s", row.Name)
		delete(caught, row.Name)
	}
	require.Empty(t, caught, "mutants for rows that do not exist")
}
