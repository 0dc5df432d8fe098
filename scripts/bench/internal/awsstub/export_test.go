package awsstub

import "encoding/json"

// Size is the size of an item as the wire writes it.
func Size(text string) (int, error) {
	var i item
	if err := json.Unmarshal([]byte(text), &i); err != nil {
		return 0, err
	}
	return i.size()
}

// Units is what writing so many bytes costs.
var Units = units
