// Package stack reads what commands need to know of a deployed stack from its
// outputs, so that an operator names the stack and nothing else.
//
// A stack's own outputs are the only source: a prefix or table from the shell could
// be another stack's. So an environment variable that contradicts an output is an
// error.
package stack

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	"github.com/aws/smithy-go"

	"github.com/tokenvend/tokenvend/pkg/config"
)

// Client is the part of the SDK's CloudFormation client that this package calls.
type Client interface {
	DescribeStacks(context.Context, *cloudformation.DescribeStacksInput, ...func(*cloudformation.Options)) (*cloudformation.DescribeStacksOutput, error)
}

// The outputs that commands use. The template of the stack defines them.
const (
	outputURL             = "Url"
	outputCurl            = "Curl"
	outputCallerStatement = "CallerStatement"
	outputTable           = "TableName"
	outputPrefix          = "SecretPrefix"
	outputNetworks        = "ProviderAllowCidrs"
	outputSealingKeyset   = "SealingKeyset"
	outputConsentKeyset   = "ConsentKeyset"
	outputGatewayLogRole  = "GatewayLogRole"
	outputLogGroups       = "LogGroups"
)

// Stack is one deployment.
type Stack struct {
	Name string
	// Outputs are all outputs by their keys.
	Outputs map[string]string
	// Networks are the private networks that providers may be in.
	Networks []netip.Prefix
}

// URL is the API's URL with its stage.
func (s Stack) URL() string { return s.Outputs[outputURL] }

// Curl is a command that gets the token of the connection NAME.
func (s Stack) Curl() string { return s.Outputs[outputCurl] }

// CallerStatement is the IAM statement that a caller of the connection NAME needs.
func (s Stack) CallerStatement() string { return s.Outputs[outputCallerStatement] }

// Table is the name of the token table.
func (s Stack) Table() string { return s.Outputs[outputTable] }

// SecretPrefix is the prefix of the connections' secrets.
func (s Stack) SecretPrefix() string { return s.Outputs[outputPrefix] }

// SealingKeyset is the secret with the keyset that seals the table.
func (s Stack) SealingKeyset() string { return s.Outputs[outputSealingKeyset] }

// ConsentKeyset is the secret with the keyset of the public pages.
func (s Stack) ConsentKeyset() string { return s.Outputs[outputConsentKeyset] }

// GatewayLogRole is the role that API Gateway writes logs with, empty when the stack
// did not create it.
func (s Stack) GatewayLogRole() string { return s.Outputs[outputGatewayLogRole] }

// LogGroups are the log groups of audit lines and access log, none of a stack that was
// deployed before they were kept.
func (s Stack) LogGroups() []string {
	return strings.FieldsFunc(s.Outputs[outputLogGroups], func(r rune) bool { return r == ',' })
}

// Find reads a stack's outputs. It fails for a stack that is not tokenvend's.
func Find(ctx context.Context, client Client, name string) (Stack, error) {
	found, err := client.DescribeStacks(ctx, &cloudformation.DescribeStacksInput{StackName: &name})
	if err != nil {
		return Stack{}, explain(name, err)
	}
	if len(found.Stacks) != 1 {
		return Stack{}, fmt.Errorf("there is no stack %s in this region", name)
	}
	s := Stack{Name: name, Outputs: outputs(found.Stacks[0])}
	for _, key := range []string{outputURL, outputCurl, outputCallerStatement, outputTable, outputPrefix, outputSealingKeyset, outputConsentKeyset} {
		if s.Outputs[key] == "" {
			return Stack{}, fmt.Errorf("the stack %s has no output %s; it is not tokenvend's, or needs a deployment of this version", name, key)
		}
	}
	s.Networks, err = networks(s.Outputs[outputNetworks])
	if err != nil {
		return Stack{}, fmt.Errorf("the stack %s has an invalid output %s: %w", name, outputNetworks, err)
	}
	return s, nil
}

func outputs(s types.Stack) map[string]string {
	all := make(map[string]string, len(s.Outputs))
	for _, o := range s.Outputs {
		all[aws.ToString(o.OutputKey)] = aws.ToString(o.OutputValue)
	}
	return all
}

// networks parses a list of networks as the functions do.
func networks(list string) ([]netip.Prefix, error) {
	parsed, err := config.Load(func(string) (string, bool) { return list, list != "" }, config.ProviderAllowCIDRs)
	return parsed.ProviderAllowCIDRs, err
}

// explain tells the operator what an error code means. CloudFormation's own message
// is omitted, because it names ARNs and principals.
func explain(name string, err error) error {
	var refused smithy.APIError
	if !errors.As(err, &refused) {
		return errors.New("CloudFormation did not answer; check the region and the network")
	}
	switch code := refused.ErrorCode(); code {
	case "ValidationError":
		return fmt.Errorf("there is no stack %s in this region", name)
	case "AccessDenied", "AccessDeniedException":
		return errors.New("these credentials are not allowed to call cloudformation:DescribeStacks")
	default:
		return fmt.Errorf("cloudformation:DescribeStacks failed with %s", code)
	}
}
