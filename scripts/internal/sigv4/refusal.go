package sigv4

import "net/http"

// Refusal is why a request was refused, in API Gateway's wording. Of the request, its
// text repeats only the date.
type Refusal struct {
	// Status is the HTTP status.
	Status int
	// Type is the value of the x-amzn-ErrorType header.
	Type string
	// Message is the "message" member of the JSON body.
	Message string
}

// Error returns the message.
func (r *Refusal) Error() string { return r.Message }

var (
	errMissingToken = &Refusal{http.StatusForbidden, "MissingAuthenticationTokenException", "Missing Authentication Token"}
	errUnknownKey   = &Refusal{http.StatusForbidden, "UnrecognizedClientException", "The security token included in the request is invalid."}
	errMismatch     = mismatch("The request signature we calculated does not match the signature you provided. " +
		"Check your AWS Secret Access Key and signing method. Consult the service documentation for details.")
	errTooLong    = &Refusal{http.StatusRequestEntityTooLarge, "RequestTooLargeException", "Request Too Long"}
	errBadRequest = &Refusal{http.StatusBadRequest, "BadRequestException", "Bad Request"}
)

func mismatch(message string) *Refusal {
	return &Refusal{http.StatusForbidden, "InvalidSignatureException", message}
}

func incomplete(message string) *Refusal {
	return &Refusal{http.StatusForbidden, "IncompleteSignatureException", message}
}
