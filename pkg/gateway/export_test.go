package gateway

// ScannedEvent is what the scanner makes of an event, for the test that holds
// it against encoding/json.
type ScannedEvent struct {
	Resource, Path, Method, ContentType string
	PathParameters                      map[string]string
	Query                               map[string][]string
	Body                                string
	IsBase64Encoded                     bool
	RequestID, Stage, Domain, FullPath  string
	Origin, FetchSite                   string
	Cookies                             []string
	UserARN, Caller, AccountID, Source  string
}

// ScanEvent reads an event; false means that it is not one.
func ScanEvent(payload []byte) (ScannedEvent, bool) {
	e, err := decodeEvent(payload)
	if err != nil {
		return ScannedEvent{}, false
	}
	return ScannedEvent{e.resource, e.path, e.method, e.headers.contentType, e.pathParameters, e.query, e.body, e.isBase64Encoded,
		e.requestID, e.stage, e.domain, e.fullPath, e.headers.origin, e.headers.fetchSite, e.headers.cookies, e.identity.userARN, e.identity.caller, e.identity.accountID, e.identity.sourceIP}, true
}

// MaxDepth is the nesting that the scanner accepts.
const MaxDepth = maxDepth
