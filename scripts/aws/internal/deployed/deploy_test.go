package deployed_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"

	"github.com/tokenvend/tokenvend/scripts/internal/stack"
)

// functions are the folders of the functions; a resource's name has an upper-case letter.
var functions = []string{"vend", "connections", "consent", "renew"}

// architecture is this machine's, as Lambda writes it.
func architecture() string {
	if runtime.GOARCH == "arm64" {
		return "arm64"
	}
	return "x86_64"
}

func (e *emulator) cloudformation() *cloudformation.Client {
	return cloudformation.New(cloudformation.Options{
		Region: region, BaseEndpoint: &e.server.URL,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return administrator, nil }),
	})
}

// deployment is a stack on the emulator.
type deployment struct {
	stack.Stack
	e *emulator
	// resources are the physical names by the logical ones.
	resources map[string]string
}

// deploy creates a stack, or updates the one of that name, and waits for the end.
func (e *emulator) deploy(ctx context.Context, name string, parameters map[string]string) (*deployment, error) {
	template, err := e.template(ctx, parameters)
	if err != nil {
		return nil, err
	}
	if err := e.apply(ctx, name, template, parameters); err != nil {
		return nil, err
	}
	return e.find(ctx, name)
}

// template is the packaged one, for the emulator.
func (e *emulator) template(ctx context.Context, parameters map[string]string) (document, error) {
	transformed, err := e.transform(ctx, filepath.Join(packaged(), "template.yaml"), parameters)
	if err != nil {
		return nil, err
	}
	return translate(transformed)
}

// apply has CloudFormation create or update a stack.
func (e *emulator) apply(ctx context.Context, name string, template document, parameters map[string]string) error {
	key := name + ".json"
	if err := e.upload(ctx, key, encode(template)); err != nil {
		return err
	}
	client := e.cloudformation()
	at := aws.String(e.server.URL + "/" + bucket + "/" + key)
	given := make([]types.Parameter, 0, len(parameters))
	for _, k := range slices.Sorted(maps.Keys(parameters)) {
		given = append(given, types.Parameter{ParameterKey: &k, ParameterValue: aws.String(parameters[k])})
	}
	capabilities := []types.Capability{types.CapabilityCapabilityIam}
	_, err := e.status(ctx, name)
	if err != nil {
		_, err = client.CreateStack(ctx, &cloudformation.CreateStackInput{StackName: &name, TemplateURL: at, Parameters: given, Capabilities: capabilities})
	} else {
		_, err = client.UpdateStack(ctx, &cloudformation.UpdateStackInput{StackName: &name, TemplateURL: at, Parameters: given, Capabilities: capabilities})
	}
	if err != nil {
		return err
	}
	return e.await(ctx, name)
}

// status is a stack's; there is an error for a stack that does not exist.
func (e *emulator) status(ctx context.Context, name string) (types.StackStatus, error) {
	found, err := e.cloudformation().DescribeStacks(ctx, &cloudformation.DescribeStacksInput{StackName: &name})
	if err != nil {
		return "", err
	}
	return found.Stacks[0].StackStatus, nil
}

// await returns at the end of a stack's creation, update or deletion, with an error
// that has CloudFormation's reasons when it failed.
func (e *emulator) await(ctx context.Context, name string) error {
	retry := time.NewTicker(100 * time.Millisecond)
	defer retry.Stop()
	for {
		status, err := e.status(ctx, name)
		switch {
		case err != nil:
			return err
		case status == types.StackStatusCreateComplete, status == types.StackStatusUpdateComplete, status == types.StackStatusDeleteComplete:
			return nil
		case !strings.HasSuffix(string(status), "_IN_PROGRESS"):
			return errors.Join(fmt.Errorf("the stack %s is %s", name, status), e.reasons(ctx, name))
		}
		select {
		case <-retry.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// remove deletes a stack.
func (e *emulator) remove(ctx context.Context, name string) error {
	found, err := e.cloudformation().DescribeStacks(ctx, &cloudformation.DescribeStacksInput{StackName: &name})
	if err != nil {
		return err
	}
	if _, err := e.cloudformation().DeleteStack(ctx, &cloudformation.DeleteStackInput{StackName: &name}); err != nil {
		return err
	}
	// A deleted stack is found by its id alone.
	return e.await(ctx, aws.ToString(found.Stacks[0].StackId))
}

// reasons are those of the resources that failed.
func (e *emulator) reasons(ctx context.Context, name string) error {
	events, err := e.cloudformation().DescribeStackEvents(ctx, &cloudformation.DescribeStackEventsInput{StackName: &name})
	if err != nil {
		return err
	}
	for _, event := range events.StackEvents {
		if strings.HasSuffix(string(event.ResourceStatus), "_FAILED") {
			err = errors.Join(err, fmt.Errorf("%s: %s", aws.ToString(event.LogicalResourceId), aws.ToString(event.ResourceStatusReason)))
		}
	}
	return err
}

// find reads a deployed stack.
func (e *emulator) find(ctx context.Context, name string) (*deployment, error) {
	client := e.cloudformation()
	found, err := stack.Find(ctx, client, name)
	if err != nil {
		return nil, err
	}
	all, err := client.DescribeStackResources(ctx, &cloudformation.DescribeStackResourcesInput{StackName: &name})
	if err != nil {
		return nil, err
	}
	d := &deployment{Stack: found, e: e, resources: map[string]string{}}
	for _, r := range all.StackResources {
		d.resources[aws.ToString(r.LogicalResourceId)] = aws.ToString(r.PhysicalResourceId)
	}
	return d, nil
}
