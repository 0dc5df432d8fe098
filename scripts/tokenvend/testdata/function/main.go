// Command function is a Lambda function that asks the agent: once while it initializes,
// and at each invocation. It answers the statuses of both and the latter's body.
package main

import (
	"io"
	"net/http"
	"os"

	"github.com/aws/aws-lambda-go/lambda"
)

// answer is one response of the agent.
type answer struct {
	Status int
	Text   string
}

func main() {
	first := ask()
	lambda.Start(func() (map[string]answer, error) {
		return map[string]answer{"init": first, "now": ask()}, nil
	})
}

func ask() answer {
	request, err := http.NewRequest(http.MethodGet, "http://"+os.Getenv("TOKENVEND_AGENT_ADDR")+"/connections/cliquify/token", nil)
	if err != nil {
		panic(err)
	}
	request.Header.Set("X-Tokenvend-Token", os.Getenv("TOKENVEND_AGENT_TOKEN"))
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return answer{Text: err.Error()}
	}
	defer response.Body.Close()
	text, _ := io.ReadAll(response.Body) // what is missing fails the test
	return answer{response.StatusCode, string(text)}
}
