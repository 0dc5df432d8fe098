package stack

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
)

// SAM runs SAM CLI with the given arguments.
type SAM func(ctx context.Context, args ...string) error

// SAMCommand is the SAM CLI of this machine. Its error has the last line that SAM
// printed.
func SAMCommand(ctx context.Context, args ...string) error {
	var printed bytes.Buffer
	command := exec.CommandContext(ctx, "sam", args...)
	command.Stdout, command.Stderr = &printed, &printed
	err := command.Run()
	if errors.Is(err, exec.ErrNotFound) {
		return errors.New("SAM CLI (sam) is not installed; install it with: pipx install aws-sam-cli")
	}
	if err != nil {
		lines := strings.Split(strings.TrimSpace(printed.String()), "\n")
		return fmt.Errorf("sam %s: %w: %s", args[0], err, lines[len(lines)-1])
	}
	return nil
}

// Delete deletes a stack and the artifacts that SAM uploaded for it. SAM resolves
// credentials by itself, so it gets the profile that the command was given.
func (sam SAM) Delete(ctx context.Context, name, region, profile string) error {
	args := []string{"delete", "--stack-name", name, "--region", region, "--no-prompts"}
	if profile != "" {
		args = append(args, "--profile", profile)
	}
	return sam(ctx, args...)
}
