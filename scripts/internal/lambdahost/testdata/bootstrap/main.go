// Command bootstrap is a function that misbehaves as its event, or its
// environment variable INIT, tells it to.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
)

func main() {
	switch os.Getenv("INIT") {
	case "report":
		report()
		os.Exit(1)
	case "exit":
		os.Exit(3)
	case "hang":
		hang()
	}
	fmt.Println("started")
	count := 0
	lambda.Start(func(ctx context.Context, event map[string]string) (any, error) {
		count++
		return act(ctx, event["do"], count)
	})
}

func act(ctx context.Context, do string, count int) (any, error) {
	switch do {
	case "fail":
		return nil, errors.New("as told")
	case "panic":
		panic("as told")
	case "exit":
		fmt.Fprintln(os.Stderr, "exiting")
		os.Exit(4)
	case "hang":
		hang()
	case "large":
		return strings.Repeat("x", 6<<20), nil
	}
	deadline, _ := ctx.Deadline()
	called, _ := lambdacontext.FromContext(ctx)
	return map[string]any{
		"count": count, "pid": os.Getpid(), "deadline": deadline.UTC().Format(time.RFC3339Nano),
		"request": called.AwsRequestID, "arn": called.InvokedFunctionArn, "env": os.Environ(),
	}, nil
}

func report() {
	body, _ := json.Marshal(map[string]string{"errorType": "Config", "errorMessage": "TOKEN_TABLE is missing"})
	url := "http://" + os.Getenv("AWS_LAMBDA_RUNTIME_API") + "/2018-06-01/runtime/init/error"
	response, err := http.Post(url, "application/json", strings.NewReader(string(body)))
	if err != nil {
		panic(err)
	}
	response.Body.Close()
}

// hang waits for a connection that never comes.
func hang() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Println("hanging")
	_, _ = listener.Accept()
}
