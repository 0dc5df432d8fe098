// Package deployed_test deploys the packaged stack on an emulator of AWS, ministack,
// and uses it: real CloudFormation semantics, IAM for callers and functions, the real
// bootstraps, EventBridge, Secrets Manager, DynamoDB and SQS.
//
// SAM's translator transforms the template, as AWS does. What the emulator does not
// know is then translated or left out, by one table (translations), and every row of
// it must still match the template.
//
// What the emulator does not play, and no test here claims: domain names in a request's
// context, the end of the default endpoint behind a domain, throttles, the firewall,
// permissions of Lambda functions for services, the floor of unreserved concurrency,
// TLS policies, alarms, the keys of KMS behind tables and secrets, the gateway response
// for a principal without permission, dead-letter queues, and processes that end their
// request while a function is updated.
package deployed_test

import (
	"flag"
	"fmt"
	"os"
	"testing"
)

// programsVariable names the folder of ministack's programs. make test-aws sets it.
const programsVariable = "TOKENVEND_TEST_MINISTACK"

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(run(m))
}

// cloud is the emulator that all tests share; nil without ministack.
var cloud *emulator

func run(m *testing.M) int {
	programs := os.Getenv(programsVariable)
	if programs == "" {
		return m.Run()
	}
	work, err := os.MkdirTemp("", "tokenvend-deployed-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(work) }()
	if cloud, err = openEmulator(programs, work); err != nil {
		fmt.Fprintln(os.Stderr, "start the emulator:", err)
		return 1
	}
	defer cloud.close()
	return m.Run()
}

// needsEmulator skips a test where there is none.
func needsEmulator(t *testing.T) *emulator {
	t.Helper()
	if cloud == nil {
		t.Skip("no emulator of AWS: make test-aws installs one, and runs this test")
	}
	return cloud
}
