package runctl

import "strings"

// didYouMean returns ". Did you mean X?" for the name nearest to word, or "" when none is near.
func didYouMean(word string, names []string) string {
	best, dist := "", 3
	for _, n := range names {
		if len(word) > 40 {
			break
		}
		if d := editDistance(strings.ToLower(word), strings.ToLower(n)); d < dist && d < len(n) {
			best, dist = n, d
		}
	}
	if best == "" {
		return ""
	}
	return ". Did you mean " + best + "?"
}

// editDistance counts the insertions, deletions and replacements between two short words.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diag := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			diag, row[j] = row[j], min(row[j]+1, row[j-1]+1, diag+cost)
		}
	}
	return row[len(b)]
}
