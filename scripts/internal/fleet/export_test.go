package fleet

import "net/http"

// Classify is how a request to an engine is classified.
func Classify(r *http.Request, body []byte) Call { return classify(r, body) }
