package errand

import (
	"cmp"
	"fmt"
	"io"
	"strings"

	"github.com/tokenvend/tokenvend/pkg/connection"
)

// Usage is what is known of the deployment that a connection is for.
type Usage struct {
	// URL is the API's; empty when it is not known.
	URL string
	// Statement and Curl are the stack's outputs, with NAME for the connection's
	// name; empty when they are not known.
	Statement, Curl string
	// Local says that the connection is for the local run.
	Local bool
}

// placeholder is what stands for the connection's name in the outputs.
const placeholder = "NAME"

// Tell says what is next, and what a caller needs. arn is the secret's, which
// tells partition, region and account.
func (u Usage) Tell(out io.Writer, c connection.Connection, arn string) {
	if u.Local {
		fmt.Fprintf(out, "Start the local run with that folder in TOKENVEND_CONNECTIONS.\n")
		return
	}
	url := cmp.Or(u.URL, "URL")
	if c.GrantType == connection.AuthorizationCode {
		fmt.Fprintf(out, "\nNext, have a user consent:\n\n  go run ./scripts/connect -url %s %s\n", url, c.Name)
	}
	fmt.Fprintf(out, "\nA caller's policy needs the statement\n\n  %s\n", named(cmp.Or(u.Statement, statement(arn)), c.Name))
	fmt.Fprintf(out, "\nand gets a token with\n\n  %s\n", named(cmp.Or(u.Curl, curl(arn)), c.Name))
	fmt.Fprintf(out, "\nTry it yourself:\n\n  go run ./scripts/connection test -url %s %s\n", url, c.Name)
}

func named(text string, name connection.Name) string {
	return strings.ReplaceAll(text, "/"+placeholder+"/", "/"+string(name)+"/")
}

// statement is like the stack's output, with API for the id of an API that
// nobody has named.
func statement(arn string) string {
	partition, region, account := whereabouts(arn)
	resource := func(method string) string {
		return fmt.Sprintf("%q", "arn:"+partition+":execute-api:"+region+":"+account+":API/v1/"+method+"/connections/"+placeholder+"/token")
	}
	return `{"Effect":"Allow","Action":"execute-api:Invoke","Resource":[` + resource("GET") + "," + resource("POST") + "]}"
}

func curl(arn string) string {
	_, region, _ := whereabouts(arn)
	return "curl --aws-sigv4 aws:amz:" + region + `:execute-api --user "$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY"` +
		` -H "x-amz-security-token: $AWS_SESSION_TOKEN" URL/connections/` + placeholder + "/token"
}

// whereabouts reads an ARN: arn:PARTITION:SERVICE:REGION:ACCOUNT:….
func whereabouts(arn string) (partition, region, account string) {
	parts := strings.SplitN(arn, ":", 6)
	if len(parts) < 6 {
		return "aws", "REGION", "ACCOUNT"
	}
	return parts[1], parts[3], parts[4]
}
