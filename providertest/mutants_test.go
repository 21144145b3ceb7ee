package providertest

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"runctl"
	"runctl/internal/toycloud"
)

// mutant is a provider with one mistake, and the row that is to find it: that one and no other.
type mutant struct {
	name string
	row  string
	make func(w *wrong)
}

func mutants() []mutant {
	return slices.Concat(infoMutants, offerMutants, launchMutants, doubtMutants, refusalMutants, getMutants, listMutants,
		terminateMutants, errorMutants, wireMutants, callMutants, stopMutants, execMutants, jobMutants)
}

func (m mutant) harness() Harness {
	return toy(func(p *toycloud.Provider) runctl.Provider {
		w := &wrong{Provider: p}
		m.make(w)
		if w.is != nil {
			return w.is(w)
		}
		return w
	})
}

// TestMutants is the test of the suite: each wrong provider fails the row for its mistake, and no other.
func TestMutants(t *testing.T) {
	all := mutants()
	killed := make([]bool, len(all))
	t.Run("all", func(t *testing.T) {
		for k, m := range all {
			t.Run(m.name, func(t *testing.T) {
				t.Parallel()
				h := m.harness()
				has := probe(t, h)
				rows := Rows()
				results := make([]result, len(rows))
				var running errgroup.Group
				running.SetLimit(8)
				for k, row := range rows {
					running.Go(func() error {
						results[k] = run(t, h, has, row)
						return nil
					})
				}
				_ = running.Wait()
				var broken []string
				var seen string
				for k, row := range rows {
					if results[k].outcome == failed {
						broken = append(broken, row.Name)
						seen += row.Name + ": " + results[k].seen + "\n"
					}
				}
				require.Equal(t, []string{m.row}, broken, "%s", seen)
				killed[k] = true
			})
		}
	})
	n := 0
	for _, k := range killed {
		if k {
			n++
		}
	}
	t.Logf("mutation score: %d/%d (%d %%)", n, len(all), 100*n/len(all))
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
