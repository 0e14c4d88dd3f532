package conf

import "strings"

// Nearest is the candidate that was probably meant by word, for a "did you mean"; empty when none is close.
func Nearest(word string, candidates []string) string {
	best, bestDistance := "", 2+len(word)/2
	for _, c := range candidates {
		a, b := fold(word), fold(c)
		d := distance(a, b)
		if a != "" && b != "" && a[0] != b[0] {
			d++ // the first letter is seldom wrong
		}
		if d < bestDistance {
			best, bestDistance = c, d
		}
	}
	return best
}

// fold makes maxLine, max-line and max_line alike: the same word in another spelling is the likeliest mistake.
func fold(s string) string {
	return strings.ToLower(strings.NewReplacer("_", "", "-", "").Replace(s))
}

// distance is the number of inserted, deleted, changed or swapped bytes between a and b (optimal string alignment).
func distance(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}

func didYouMean(word string, candidates []string) string {
	if near := Nearest(word, candidates); near != "" {
		return `did you mean "` + near + `"?`
	}
	if len(candidates) > 0 && len(candidates) <= 12 {
		return "known: " + strings.Join(candidates, ", ")
	}
	return ""
}
