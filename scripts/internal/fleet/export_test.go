package fleet

import (
	"net/http"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
)

// Classify is how a request to an engine is classified.
func Classify(r *http.Request, body []byte) Call { return classify(r, body) }

// Table is the table's name, with a client that does not pass the gate.
func (f *Fleet) Table() (*dynamodb.Client, string) { return f.dynamo, f.table }
