// Package stack finds out from SAM CLI what a deployed stack consists of, so
// that commands take one name instead of five.
package stack

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// SAM runs SAM CLI with the arguments, and returns what it prints.
type SAM func(ctx context.Context, args ...string) ([]byte, error)

// Command is the SAM CLI of this machine. Its error tells what SAM said last.
func Command(ctx context.Context, args ...string) ([]byte, error) {
	var out, said bytes.Buffer
	command := exec.CommandContext(ctx, "sam", args...)
	command.Stdout, command.Stderr = &out, &said
	if region := os.Getenv("AWS_REGION"); region != "" {
		command.Env = append(os.Environ(), "AWS_DEFAULT_REGION="+region) // the one name that SAM knows
	}
	err := command.Run()
	if errors.Is(err, exec.ErrNotFound) {
		return nil, errors.New("there is no sam; get it with: pipx install aws-sam-cli")
	}
	if err != nil {
		lines := strings.Split(strings.TrimSpace(said.String()), "\n")
		return nil, fmt.Errorf("sam %s: %w: %s", strings.Join(args[:min(2, len(args))], " "), err, lines[len(lines)-1])
	}
	return out.Bytes(), nil
}

// Outputs are the stack's outputs by their keys.
func (s SAM) Outputs(ctx context.Context, name string) (map[string]string, error) {
	var listed []struct{ OutputKey, OutputValue string }
	if err := s.list(ctx, "stack-outputs", name, &listed); err != nil {
		return nil, err
	}
	outputs := map[string]string{}
	for _, one := range listed {
		outputs[one.OutputKey] = one.OutputValue
	}
	return outputs, wanted(outputs, name, "Url", "CallerStatement", "Curl")
}

// undeployed is what SAM shows as the physical name of a resource that the
// template in the current folder has, and the stack has not.
const undeployed = "-"

// Resources are the physical names of the stack's resources by their logical
// ones.
func (s SAM) Resources(ctx context.Context, name string) (map[string]string, error) {
	var listed []struct{ LogicalResourceId, PhysicalResourceId string }
	if err := s.list(ctx, "resources", name, &listed); err != nil {
		return nil, err
	}
	resources := map[string]string{}
	for _, one := range listed {
		if one.PhysicalResourceId != undeployed {
			resources[one.LogicalResourceId] = one.PhysicalResourceId
		}
	}
	return resources, wanted(resources, name, "Tokens", "SealingKeyset", "ConsentKeyset")
}

func (s SAM) list(ctx context.Context, what, name string, into any) error {
	text, err := s(ctx, "list", what, "--stack-name", name, "--output", "json")
	if err != nil {
		return err
	}
	if json.Unmarshal(text, into) != nil {
		return fmt.Errorf("sam list %s did not print JSON; its version may be too old", what)
	}
	return nil
}

// wanted refuses a stack that is none of tokenvend's.
func wanted(have map[string]string, name string, keys ...string) error {
	for _, key := range keys {
		if have[key] == "" {
			return fmt.Errorf("the stack %s has no %s; is it tokenvend's, and in this region?", name, key)
		}
	}
	return nil
}
