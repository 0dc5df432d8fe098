package stack

import (
	"context"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
)

// SharingPrefix returns the names of the other stacks of the account and region
// whose connections' secrets may be under the prefix of s. Their secrets are
// indistinguishable from those of s.
func SharingPrefix(ctx context.Context, client Client, s Stack) (names []string, err error) {
	pages := cloudformation.NewDescribeStacksPaginator(client, &cloudformation.DescribeStacksInput{})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, explain(s.Name, err)
		}
		for _, other := range page.Stacks {
			name := aws.ToString(other.StackName)
			if name != s.Name && overlap(prefixOf(other), s.SecretPrefix()) {
				names = append(names, name)
			}
		}
	}
	return names, nil
}

// prefixOf returns a stack's prefix. A stack of an earlier version, or one that is
// not created completely, has the parameter but not the output.
func prefixOf(s types.Stack) string {
	if prefix := outputs(s)[outputPrefix]; prefix != "" {
		return prefix
	}
	for _, p := range s.Parameters {
		if aws.ToString(p.ParameterKey) == outputPrefix {
			return aws.ToString(p.ParameterValue)
		}
	}
	return ""
}

func overlap(a, b string) bool {
	return a != "" && b != "" && (strings.HasPrefix(a, b) || strings.HasPrefix(b, a))
}
