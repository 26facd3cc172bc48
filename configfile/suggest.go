package configfile

import (
	"slices"
	"strings"
)

// otherwise are names that people write, and what they are called here.
var otherwise = map[string]string{"policy": "rules", "allof": "all", "anyof": "any", "scopes": "all", "issuer": "url"}

// suggestion says what to write instead of a name that is not known.
func suggestion(name string, names []string) string {
	for _, other := range names {
		if plain(name) == plain(other) {
			return `write "` + other + `"`
		}
	}
	if other := otherwise[plain(name)]; slices.Contains(names, other) {
		return `write "` + other + `"`
	}
	nearest, least := "", 3
	for _, other := range names {
		if d := distance(name, other); d < least && d < len(other)/2 {
			nearest, least = other, d
		}
	}
	if nearest != "" {
		return `write "` + nearest + `"`
	}
	return "there are " + strings.Join(names, ", ")
}

// maxMisspelt is how long a name may be that is compared with others.
const maxMisspelt = 64

// distance is how many letters must be added, taken away or changed to make one text of another.
func distance(a, b string) int {
	if len(a) > maxMisspelt {
		return len(a)
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
