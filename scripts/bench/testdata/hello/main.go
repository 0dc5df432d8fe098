// Command hello is the least that a function can be: what every other function
// is compared with. It does not even look at its event.
package main

import "github.com/aws/aws-lambda-go/lambda"

func main() {
	lambda.Start(func() (string, error) { return "hello, world", nil })
}
