package expression

import (
	_ "embed"
	"strings"
)

// words are DynamoDB's reserved words, from its developer guide ("Reserved
// words in DynamoDB").
//
//go:embed reserved.txt
var words string

var reservedWords = func() map[string]bool {
	set := map[string]bool{}
	for _, word := range strings.Fields(words) {
		set[word] = true
	}
	return set
}()

// reserved says whether a name may not stand in an expression as it is.
func reserved(name string) bool { return reservedWords[strings.ToUpper(name)] }
