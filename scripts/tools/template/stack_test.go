package template_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/tokenvend/tokenvend/pkg/tokenstore/awsdynamodb"
)

// problems returns what is wrong with a template; each begins with the rule that it
// breaks: a requirement, or a word.
func problems(t *testing.T, text []byte) (found []string) {
	t.Helper()
	parsed, err := Parse(text)
	if err != nil {
		return []string{err.Error()}
	}
	functions, err := parsed.Functions()
	if err != nil {
		return []string{err.Error()}
	}
	api, err := parsed.API()
	if err != nil {
		return []string{err.Error()}
	}
	return slices.Concat(
		accessProblems(t, parsed, functions), environmentProblems(t, functions), logProblems(parsed, functions),
		renewProblems(functions["functions/renew/"]), keptProblems(parsed), tableProblems(parsed.Resources["Tokens"]),
		routeProblems(functions), apiProblems(api), policyProblems(api), answerProblems(t, api),
		alarmProblems(t, parsed), dashboardProblems(t, parsed), monitoringProblems(parsed), readerProblems(parsed),
		typeProblems(parsed), conditionProblems(parsed), valueProblems(functions), wiringProblems(parsed), outputProblems(parsed),
	)
}

// logProblems: each function has its own log, with a retention.
func logProblems(parsed Template, functions map[string]Function) (found []string) {
	owners := map[string]string{}
	for uri, f := range functions {
		var config struct {
			LogGroup string `yaml:"LogGroup"`
		}
		var group struct {
			RetentionInDays string `yaml:"RetentionInDays"`
		}
		_ = f.LoggingConfig.Decode(&config)
		if reserved := Show(f.ReservedConcurrentExecutions); strings.Contains(uri, "consent") && reserved != "!If [ReservesConsent, !Ref ConsentConcurrency, !Ref AWS::NoValue]" {
			found = append(found, "concurrency the public pages do not reserve what ConsentConcurrency says")
		}
		r := parsed.Resources[config.LogGroup]
		_ = r.Properties.Decode(&group)
		if r.Type != "AWS::Logs::LogGroup" || group.RetentionInDays == "" || owners[config.LogGroup] != "" {
			found = append(found, fmt.Sprintf("environment %s has no log group of its own with a retention", uri))
		}
		owners[config.LogGroup] = uri
	}
	return found
}

// renewProblems are about how the renewer is started.
func renewProblems(f Function) (found []string) {
	if Show(f.ReservedConcurrentExecutions) != "!If [ReservesRenewer, 1, !Ref AWS::NoValue]" || f.Timeout >= 60 || f.Timeout < 30 {
		found = append(found, "CR-26 more than one renewer runs at a time, or one runs longer than a tick")
	}
	started := map[string]Event{}
	for _, e := range f.Events {
		started[e.Type] = e
		if !repeatedOnce(e.Properties.RetryPolicy, 60) || e.Properties.DeadLetterConfig.IsZero() {
			found = append(found, "CR-26 an event is repeated for longer than a minute, or has no dead-letter queue")
		}
	}
	if !repeatedOnce(f.EventInvokeConfig, 120) || f.DeadLetterQueue.IsZero() {
		found = append(found, "CR-26 Lambda does not repeat an event once, a minute later, or has no dead-letter queue")
	}
	if started["Schedule"].Properties.Schedule != "rate(1 minute)" {
		found = append(found, "schedule the renewer has no tick every minute")
	}
	const pattern = "{detail-type: [Secret Label Updated], detail: {labelUpdated: [AWSCURRENT], name: [{prefix: !Ref SecretPrefix}]}, source: [aws.secretsmanager]}"
	if got := Show(started["EventBridgeRule"].Properties.Pattern); got != pattern {
		found = append(found, "CR-21 the renewer gets the events "+got+", want "+pattern)
	}
	return found
}

func repeatedOnce(r Retry, maxAge int) bool {
	return r.MaximumRetryAttempts != nil && *r.MaximumRetryAttempts == 1 && r.MaximumEventAgeInSeconds == maxAge
}

// kept are the deletion policies of what a deleted stack leaves behind. Only the table
// also stays when its creation fails: it is protected, so a rollback could not delete it.
var kept = map[string]string{
	"AWS::DynamoDB::Table": "Retain", "AWS::SecretsManager::Secret": "RetainExceptOnCreate", "AWS::Logs::LogGroup": "RetainExceptOnCreate",
	"AWS::ApiGateway::Account": "RetainExceptOnCreate",
}

// keptProblems: a deleted stack leaves behind the table, both keysets, the audit lines
// and API Gateway's log role; a failed first deployment leaves the table alone.
func keptProblems(parsed Template) (found []string) {
	secrets := 0
	for name, r := range parsed.Resources {
		policy := kept[r.Type]
		if name == "GatewayLogs" {
			policy = "RetainExceptOnCreate"
		}
		if replaced := policy != "" && r.UpdateReplacePolicy != "Retain"; r.DeletionPolicy != policy || replaced {
			found = append(found, fmt.Sprintf("CR-16 AZ-56 %s has the policies %s and %s, want %s", name, r.DeletionPolicy, r.UpdateReplacePolicy, policy))
		}
		if r.Type != "AWS::SecretsManager::Secret" {
			continue
		}
		secrets++
		var secret struct {
			Name     string `yaml:"Name"`
			Generate struct {
				Template string `yaml:"SecretStringTemplate"`
				Key      string `yaml:"GenerateStringKey"`
				Length   int    `yaml:"PasswordLength"`
			} `yaml:"GenerateSecretString"`
		}
		err := r.Properties.Decode(&secret)
		if g := secret.Generate; err != nil || secret.Name != "" || g.Template != `{"primary":"k1"}` || g.Key != "k1" || g.Length < 43 {
			found = append(found, "AZ-52 "+name+" is not a keyset with a primary key of 256 bits, outside the connections")
		}
	}
	if secrets != 2 {
		found = append(found, "AZ-52 there are not two keysets: the service's, and the public pages'")
	}
	return found
}

// tableProblems compare the table with the store's definition of it, and check
// the properties that the definition leaves to the template.
func tableProblems(r Resource) (found []string) {
	text := Show(r.Properties)
	defined := awsdynamodb.TableDefinition("tokens")
	expires := *awsdynamodb.TimeToLive("tokens").TimeToLiveSpecification
	for _, want := range []struct{ rule, text string }{
		{"table the table's attributes are not those of its definition", showAttributes(defined.AttributeDefinitions)},
		{"table the table's keys are not those of its definition", ", " + showKeys(defined.KeySchema)},
		{"table the table's indexes are not those of its definition", showIndexes(defined.GlobalSecondaryIndexes)},
		{"table it is not on demand", "BillingMode: " + string(defined.BillingMode)},
		{"CR-16 items do not expire by ttl", fmt.Sprintf("TimeToLiveSpecification: {AttributeName: %s, Enabled: %t}", *expires.AttributeName, *expires.Enabled)},
		{"CR-16 the table can be deleted", "DeletionProtectionEnabled: true"},
		{"CR-16 the table has no point-in-time recovery", "PointInTimeRecoverySpecification: {PointInTimeRecoveryEnabled: true}"},
		{"AZ-51 the table is not under the key", "KMSMasterKeyId: !If [HasKey, !Ref KmsKeyArn, !Ref AWS::NoValue], SSEEnabled: true"},
	} {
		if !strings.Contains(text, want.text) {
			found = append(found, want.rule)
		}
	}
	return found
}

func showAttributes(all []types.AttributeDefinition) string {
	var shown []string
	for _, a := range all {
		shown = append(shown, fmt.Sprintf("{AttributeName: %s, AttributeType: %s}", *a.AttributeName, a.AttributeType))
	}
	return "AttributeDefinitions: [" + strings.Join(shown, ", ") + "]"
}

func showKeys(all []types.KeySchemaElement) string {
	var shown []string
	for _, k := range all {
		shown = append(shown, fmt.Sprintf("{AttributeName: %s, KeyType: %s}", *k.AttributeName, k.KeyType))
	}
	return "KeySchema: [" + strings.Join(shown, ", ") + "]"
}

func showIndexes(all []types.GlobalSecondaryIndex) string {
	var shown []string
	for _, x := range all {
		shown = append(shown, fmt.Sprintf("{IndexName: %s, %s, Projection: {ProjectionType: %s}}", *x.IndexName, showKeys(x.KeySchema), x.Projection.ProjectionType))
	}
	return "GlobalSecondaryIndexes: [" + strings.Join(shown, ", ") + "]"
}

// readerProblems are about what people who deploy or read the stack need.
func readerProblems(parsed Template) (found []string) {
	for _, name := range parsed.Unexplained {
		found = append(found, "reader: "+name+" has no comment")
	}
	for name, p := range parsed.Parameters {
		checked := len(p.AllowedValues) > 0 || p.MinValue != nil || p.AllowedPattern != "" && p.Constraint != ""
		if p.Default.IsZero() || p.Description == "" || !checked && name != "SecretPrefix" {
			found = append(found, "reader: parameter "+name+" lacks a default, a description, or a check with a description")
		}
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
	for _, c := range slices.Concat(mutations(), rewirings(), outputMutations()) {
		t.Run(c.name, func(t *testing.T) {
			changed := strings.Replace(string(text), c.from, c.to, 1)
			if changed == string(text) {
				t.Fatalf("the template does not hold %q", c.from)
			}
			rule, _, _ := strings.Cut(c.name, " ")
			found := problems(t, []byte(changed))
			if !slices.ContainsFunc(found, func(problem string) bool { return strings.HasPrefix(problem, rule) }) {
				t.Errorf("no check notices it; found %q", found)
			}
		})
	}
}
