package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/smithy-go/logging"

	"github.com/tokenvend/tokenvend/scripts/internal/client"
	"github.com/tokenvend/tokenvend/scripts/internal/prompt"
	"github.com/tokenvend/tokenvend/scripts/internal/secretwriter"
	"github.com/tokenvend/tokenvend/scripts/internal/stack"
)

// defaultURL is where the local run listens.
const defaultURL = "http://127.0.0.1:8080/v1"

// session is one run of the command.
type session struct {
	Env
	globals
	prompt   *prompt.Prompt
	progress prompt.Progress
	// loaded is what account returned, or nil.
	loaded *aws.Config
}

func newSession(env Env, g globals) *session {
	return &session{Env: env, globals: g, prompt: prompt.New(env.In, env.Out, g.Yes), progress: prompt.NewProgress(env.Err)}
}

// account returns the operator's AWS configuration, with credentials that exist.
func (s *session) account(ctx context.Context) (aws.Config, error) {
	if s.loaded != nil {
		return *s.loaded, nil
	}
	loaded, err := config.LoadDefaultConfig(ctx, config.WithSharedConfigProfile(s.Profile), config.WithRegion(s.Region),
		config.WithLogger(logging.Nop{})) // every failure is in an error
	if err != nil {
		return aws.Config{}, fmt.Errorf("read the AWS configuration: %w", err)
	}
	if loaded.Region == "" {
		return aws.Config{}, errors.New("no AWS region is configured; use --region, or set AWS_REGION")
	}
	if _, err := loaded.Credentials.Retrieve(ctx); err != nil {
		return aws.Config{}, fmt.Errorf("no AWS credentials: sign in (aws sso login), use --profile, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY: %w", err)
	}
	s.loaded = &loaded
	return loaded, nil
}

func (s *session) variable(name string) string {
	value, _ := s.Lookup(name)
	return value
}

// deployment returns the configuration of the account and the stack that --stack
// names.
func (s *session) deployment(ctx context.Context) (aws.Config, stack.Stack, error) {
	if s.Stack == "" {
		return aws.Config{}, stack.Stack{}, usage("name the stack with --stack")
	}
	account, err := s.account(ctx)
	if err != nil {
		return aws.Config{}, stack.Stack{}, err
	}
	found, err := stack.Find(ctx, s.CloudFormation(account), s.Stack)
	if err != nil {
		return aws.Config{}, stack.Stack{}, err
	}
	return account, found, found.CheckEnvironment(s.Lookup)
}

// api returns the client of the API that --url or --stack names.
func (s *session) api(ctx context.Context) (*client.Client, error) {
	source, url := "--url", s.URL
	switch {
	case s.Stack != "" && s.URL != "":
		return nil, usage("--url and --stack exclude each other")
	case s.Stack != "":
		_, found, err := s.deployment(ctx)
		if err != nil {
			return nil, err
		}
		source, url = "the stack "+s.Stack, found.URL()
	case s.URL == "":
		source, url = stack.URLVariable, cmp.Or(s.variable(stack.URLVariable), defaultURL)
	}
	chosen := s.Profile != "" || s.variable("AWS_ACCESS_KEY_ID") != "" && s.variable("AWS_SECRET_ACCESS_KEY") != ""
	api, err := client.New(ctx, url, client.Account{Load: s.account, Chosen: chosen})
	if errors.Is(err, client.ErrURL) {
		err = usage("%s: %w", source, err)
	}
	return api, err
}

// command returns a command line of this program that uses the same account, region
// and stack.
func (s *session) command(args string) string {
	line := s.Program + " " + args
	for _, flag := range []struct{ name, value string }{{"stack", s.Stack}, {"profile", s.Profile}, {"region", s.Region}} {
		if flag.value != "" && !(flag.name == "stack" && strings.HasPrefix(args, "stack delete-")) {
			line += " --" + flag.name + " " + flag.value
		}
	}
	return line
}

func editor(account aws.Config) secretwriter.Editor {
	return secretwriter.Editor{Client: secretsmanager.NewFromConfig(account)}
}

func newCloudFormation(account aws.Config) stack.Client { return cloudformation.NewFromConfig(account) }
