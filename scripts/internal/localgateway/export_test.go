package localgateway

import "net/http"

// What the fuzz tests hold to encoding/json.
var (
	AppendText = appendText
	ReadUsual  = readUsual
)

// ProxyAnswer is an answer as encoding/json reads it.
type ProxyAnswer = proxyAnswer

// EventOf is the event of a request that a caller signed.
func (a *API) EventOf(r *http.Request, body []byte) []byte {
	path, _ := a.locate(r)
	return a.event(exchange{r: r, body: body, query: r.URL.Query(), keyID: "local", caller: a.Callers["local"], path: path, ids: a.newIDs()})
}
