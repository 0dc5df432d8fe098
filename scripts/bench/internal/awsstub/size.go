package awsstub

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
)

// kilobyte is what one write unit covers.
const kilobyte = 1024

func units(size int) int { return max((size+kilobyte-1)/kilobyte, 1) }

// size is the item's size as DynamoDB counts it for capacity, in bytes: names
// and values. Source: "DynamoDB item sizes and formats" in the developer guide.
func (i item) size() (int, error) {
	total := 0
	for name, v := range i {
		n, err := v.size()
		if err != nil {
			return 0, fmt.Errorf("attribute %s: %w", name, err)
		}
		total += len(name) + n
	}
	return total, nil
}

func (v value) size() (int, error) {
	for kind := range v {
		switch kind {
		case "BOOL", "NULL":
			return 1, nil
		case "S":
			text, err := v.text(kind)
			return len(text), err
		case "N":
			text, err := v.text(kind)
			return numberSize(text), err
		case "B":
			text, err := v.text(kind)
			return base64.StdEncoding.DecodedLen(len(text)) - strings.Count(text, "="), err
		case "L":
			return v.listSize()
		}
	}
	return 0, fmt.Errorf("the size of such a value is not known")
}

// listSize is 3 bytes for the list and 1 for each element, beside the elements.
func (v value) listSize() (int, error) {
	var list []value
	if err := json.Unmarshal(v["L"], &list); err != nil {
		return 0, err
	}
	total := 3
	for _, element := range list {
		n, err := element.size()
		if err != nil {
			return 0, err
		}
		total += n + 1
	}
	return total, nil
}

// numberSize is a byte for every two significant digits, begun pairs counted,
// and one more; a sign costs another. Zeros at either end are not significant.
func numberSize(text string) int {
	digits, negative := strings.CutPrefix(text, "-")
	digits = strings.Trim(digits, "0")
	size := (len(digits)+1)/2 + 1
	if negative {
		size++
	}
	return size
}
