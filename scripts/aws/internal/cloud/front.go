package cloud

import (
	"fmt"
	"io"
	"net/http"

	"github.com/tokenvend/tokenvend/pkg/redact"
	"github.com/tokenvend/tokenvend/scripts/internal/localgateway"
	"github.com/tokenvend/tokenvend/scripts/internal/sigv4"
)

// The caller that every front knows: access key, and its secret.
const (
	CallerKey    = "local"
	CallerSecret = "local"
)

const account = "000000000000"

// Stage is the API's stage.
const Stage = "v1"

// Front is API Gateway before functions: it knows one caller, an IAM user. What
// gave no answer is told to output.
func Front(functions map[string]localgateway.Function, output io.Writer) (http.Handler, error) {
	return localgateway.New(localgateway.Config{
		Verifier: sigv4.New(sigv4.Config{
			Keys: []sigv4.Key{{ID: CallerKey, Secret: redact.New(CallerSecret)}}, Region: Region, Service: "execute-api",
		}),
		Callers: map[string]localgateway.Caller{
			CallerKey: {AccountID: account, UniqueID: "AIDALOCAL000000000001", ARN: "arn:aws:iam::" + account + ":user/" + CallerKey},
		},
		Stage: Stage, Functions: functions,
		Failed: func(requestID, function string, err error) {
			fmt.Fprintf(output, "request %s: function %s gave no answer: %v\n", requestID, function, err)
		},
	})
}
