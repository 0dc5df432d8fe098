package localgateway

import "net/http"

// The fuzz tests compare these with encoding/json.
var (
	AppendText = appendText
	ReadUsual  = readUsual
)

// ProxyAnswer is a response as encoding/json decodes it.
type ProxyAnswer = proxyAnswer

// EventOf returns the event of a signed request.
func (a *API) EventOf(r *http.Request, body []byte) []byte {
	path, _ := a.locate(r)
	return a.event(exchange{r: r, body: body, query: r.URL.Query(), keyID: "local", caller: a.Callers["local"], path: path, ids: a.newIDs()})
}
