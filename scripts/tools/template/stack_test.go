package template_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/tokenvend/tokenvend/scripts/tools/template"
)

const (
	onTable       = " on !GetAtt Tokens.Arn"
	onConnections = " on !Sub arn:${AWS::Partition}:secretsmanager:${AWS::Region}:${AWS::AccountId}:secret:${SecretPrefix}*"
	onKeyset      = " on !Ref SealingKeyset"
)

// permissions are all that each function may do.
var permissions = map[string][]string{
	"functions/vend/": {
		"dynamodb:GetItem" + onTable, "dynamodb:UpdateItem" + onTable,
		"secretsmanager:GetSecretValue" + onKeyset, "secretsmanager:GetSecretValue" + onConnections,
	},
	"functions/renew/": {
		"dynamodb:GetItem" + onTable, "dynamodb:Query on !Sub ${Tokens.Arn}/index/renew", "dynamodb:UpdateItem" + onTable,
		"secretsmanager:GetSecretValue" + onKeyset, "secretsmanager:GetSecretValue" + onConnections,
		"secretsmanager:ListSecrets on *",
	},
	"functions/connections/": {
		"dynamodb:GetItem" + onTable,
		"secretsmanager:BatchGetSecretValue on *", "secretsmanager:GetSecretValue" + onConnections, "secretsmanager:ListSecrets on *",
	},
}

// problems are what is wrong with a template.
func problems(t *testing.T, text []byte) (found []string) {
	t.Helper()
	parsed, err := template.Parse(text)
	if err != nil {
		return []string{err.Error()}
	}
	functions, err := parsed.Functions()
	if err != nil {
		return []string{err.Error()}
	}
	for uri, f := range functions {
		if got := f.Permissions(); !slices.Equal(got, permissions[uri]) {
			found = append(found, fmt.Sprintf("AZ-50 %s may %q, want %q", uri, got, permissions[uri]))
		}
		got, want := slices.Sorted(maps.Keys(f.Environment.Variables)), variables(t, uri)
		if !slices.Equal(got, want) {
			found = append(found, fmt.Sprintf("§2.3 %s has the variables %q, and reads %q", uri, got, want))
		}
		if log := logGroup(f); parsed.Resources[log].Type != "AWS::Logs::LogGroup" {
			found = append(found, fmt.Sprintf("%s has no log group of its own, with an end to what is kept", uri))
		}
	}
	found = append(found, renewProblems(functions["functions/renew/"])...)
	return append(found, tableProblems(parsed.Resources["Tokens"])...)
}

// logGroup is the resource that a function logs to.
func logGroup(f template.Function) string {
	var config struct {
		LogGroup string `yaml:"LogGroup"`
	}
	if err := f.LoggingConfig.Decode(&config); err != nil {
		return ""
	}
	return config.LogGroup
}

// variables are what a function's main.go asks config for, by their names in
// the environment, sorted.
func variables(t *testing.T, uri string) []string {
	t.Helper()
	names := declaredVariables(t)
	main, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, uri, "main.go"), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var asked []string
	ast.Inspect(main, func(n ast.Node) bool {
		if name, ok := names[selected(n, "config")]; ok {
			asked = append(asked, name)
		}
		return true
	})
	slices.Sort(asked)
	return slices.Compact(asked)
}

// selected is the name that n selects from a package; empty when n is another
// thing.
func selected(n ast.Node, from string) string {
	selector, ok := n.(*ast.SelectorExpr)
	if !ok {
		return ""
	}
	if x, ok := selector.X.(*ast.Ident); !ok || x.Name != from {
		return ""
	}
	return selector.Sel.Name
}

// declaredVariables are config's variables, by their names in Go.
func declaredVariables(t *testing.T) map[string]string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, "pkg", "config", "config.go"), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]string{}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Values) != 1 {
			return true
		}
		if kind, ok := spec.Type.(*ast.Ident); ok && kind.Name == "Variable" {
			names[spec.Names[0].Name], _ = strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
		}
		return true
	})
	return names
}

// renewProblems are about how the renewer is started (CR-25, CR-26).
func renewProblems(f template.Function) (found []string) {
	if f.ReservedConcurrentExecutions != 1 || f.Timeout >= 60 || f.Timeout < 30 {
		found = append(found, "CR-26 one renewer at a time, which ends before the next tick")
	}
	started := map[string]template.Event{}
	for _, e := range f.Events {
		started[e.Type] = e
		if !bounded(e.Properties.RetryPolicy) || e.Properties.DeadLetterConfig.IsZero() {
			found = append(found, "CR-26 an event is repeated for longer than a minute, or is lost unseen")
		}
	}
	if !bounded(f.EventInvokeConfig) || f.DeadLetterQueue.IsZero() {
		found = append(found, "CR-26 Lambda repeats an event for longer than a minute, or loses it unseen")
	}
	if started["Schedule"].Properties.Schedule != "rate(1 minute)" {
		found = append(found, "§3 the renewer has no tick every minute")
	}
	var pattern struct {
		Source     []string `yaml:"source"`
		DetailType []string `yaml:"detail-type"`
		Detail     struct {
			LabelUpdated []string `yaml:"labelUpdated"`
		} `yaml:"detail"`
	}
	changed := started["EventBridgeRule"].Properties.Pattern
	if err := changed.Decode(&pattern); err != nil || !slices.Equal(pattern.Source, []string{"aws.secretsmanager"}) ||
		!slices.Equal(pattern.DetailType, []string{"Secret Label Updated"}) || !slices.Equal(pattern.Detail.LabelUpdated, []string{"AWSCURRENT"}) {
		found = append(found, "CR-21 the renewer is not told of changed secrets")
	}
	return found
}

func bounded(r template.Retry) bool {
	return r.MaximumRetryAttempts != nil && *r.MaximumRetryAttempts <= 1 && r.MaximumEventAgeInSeconds == 60
}

// tableProblems are about the table: its key, its one index, and what keeps it.
func tableProblems(r template.Resource) (found []string) {
	var table struct {
		GlobalSecondaryIndexes []struct {
			IndexName  string              `yaml:"IndexName"`
			Keys       []map[string]string `yaml:"KeySchema"`
			Projection struct {
				ProjectionType string `yaml:"ProjectionType"`
			} `yaml:"Projection"`
		} `yaml:"GlobalSecondaryIndexes"`
		PointInTimeRecoverySpecification map[string]bool `yaml:"PointInTimeRecoverySpecification"`
	}
	if err := r.Properties.Decode(&table); err != nil {
		return []string{err.Error()}
	}
	indexes := table.GlobalSecondaryIndexes
	if len(indexes) != 1 || indexes[0].IndexName != "renew" || indexes[0].Projection.ProjectionType != "KEYS_ONLY" ||
		len(indexes[0].Keys) != 1 || indexes[0].Keys[0]["AttributeName"] != "renew_slot" {
		found = append(found, "§3 the table's one index is renew, of keys only, on renew_slot")
	}
	if !table.PointInTimeRecoverySpecification["PointInTimeRecoveryEnabled"] {
		found = append(found, "the table cannot be brought back to an earlier time")
	}
	return found
}

func TestStack(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "template.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, problem := range problems(t, text) {
		t.Error(problem)
	}
	for _, c := range []struct{ name, from, to, want string }{
		{"AZ-50 an action more", "[dynamodb:GetItem, dynamodb:UpdateItem]", "[dynamodb:GetItem, dynamodb:UpdateItem, dynamodb:Scan]", "AZ-50"},
		{"AZ-50 an action less", "[dynamodb:GetItem, dynamodb:UpdateItem]", "dynamodb:GetItem", "AZ-50"},
		{"AZ-50 a wider resource", "Resource: !Sub ${Tokens.Arn}/index/renew", `Resource: "*"`, "AZ-50"},
		{"AZ-50 all secrets", "secret:${SecretPrefix}*", "secret:*", "AZ-50"},
		{"§2.3 a variable less", "          LOG_LEVEL: !Ref LogLevel\n", "", "§2.3"},
		{"§2.3 a variable more", "        SECRET_PREFIX: !Ref SecretPrefix\n", "        SECRET_PREFIX: !Ref SecretPrefix\n        OTHER: x\n", "§2.3"},
		{"§2.3 nobody's variable", "TOKEN_TABLE:", "TOKENS_TABLE:", "§2.3"},
		{"CR-26 repeated for long", "RetryPolicy: { MaximumRetryAttempts: 1, ", "RetryPolicy: { MaximumRetryAttempts: 185, ", "CR-26"},
		{"CR-26 old events", "MaximumEventAgeInSeconds: 60 }", "MaximumEventAgeInSeconds: 86400 }", "CR-26"},
		{"CR-26 default attempts", "EventInvokeConfig: { MaximumRetryAttempts: 0, ", "EventInvokeConfig: { ", "CR-26"},
		{"CR-26 lost unseen", "            DeadLetterConfig: { Arn: !GetAtt RenewFailures.Arn }\n", "", "CR-26"},
		{"CR-26 several at a time", "ReservedConcurrentExecutions: 1", "ReservedConcurrentExecutions: 10", "CR-26"},
		{"CR-26 longer than a minute", "Timeout: 55", "Timeout: 300", "CR-26"},
		{"§3 another rhythm", "rate(1 minute)", "rate(5 minutes)", "§3"},
		{"CR-21 other events", "Secret Label Updated", "AWS API Call via CloudTrail", "CR-21"},
		{"§3 an index of everything", "KEYS_ONLY", "ALL", "§3"},
		{"§3 an index on something else", "{ AttributeName: renew_slot, KeyType: HASH }", "{ AttributeName: expires_at, KeyType: HASH }", "§3"},
		{"no recovery", "PointInTimeRecoveryEnabled: true", "PointInTimeRecoveryEnabled: false", "earlier time"},
		{"no log group", "      LoggingConfig: { LogGroup: !Ref RenewLog }\n", "", "log group"},
	} {
		t.Run(c.name, func(t *testing.T) {
			changed := strings.Replace(string(text), c.from, c.to, 1)
			if changed == string(text) {
				t.Fatalf("the template does not hold %q", c.from)
			}
			found := strings.Join(problems(t, []byte(changed)), "\n")
			if !strings.Contains(found, c.want) {
				t.Errorf("it goes unnoticed; found %q", found)
			}
		})
	}
}
