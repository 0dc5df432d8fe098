package template_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/tokenvend/tokenvend/scripts/tools/template/reach"
)

const module = "github.com/tokenvend/tokenvend/"

var loadCode = sync.OnceValues(func() (*reach.Code, error) { return reach.Load(root, "./functions/...", "./pkg/...") })

func code(t *testing.T) *reach.Code {
	t.Helper()
	c, err := loadCode()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// commands caches what was found about each function.
var commands sync.Map

// reached returns what the code of a function can reach.
func reached(t *testing.T, uri string) reach.Reached {
	t.Helper()
	if known, ok := commands.Load(uri); ok {
		return known.(reach.Reached)
	}
	r, err := code(t).From(module + strings.TrimSuffix(uri, "/"))
	if err != nil {
		t.Fatalf("template.yaml names %s: %v", uri, err)
	}
	commands.Store(uri, r)
	return r
}

const (
	onTable       = " on !GetAtt Tokens.Arn"
	onIndex       = " on !Sub ${Tokens.Arn}/index/renew"
	onSessions    = onTable + " if {ForAllValues:StringLike: {dynamodb:LeadingKeys: [session/*]}, Null: {dynamodb:LeadingKeys: false}}"
	onConnections = " on !Sub arn:${AWS::Partition}:secretsmanager:${AWS::Region}:${AWS::AccountId}:secret:${SecretPrefix}*"
	onKeyset      = " on !Ref SealingKeyset"
	// decrypt is allowed with a customer's keys only, and only for the two services: with
	// the former one as long as something may still be under it.
	decrypt  = "kms:Decrypt on !Ref KmsKeyArn" + viaServices + " when HasKey"
	formerly = "kms:Decrypt on !Ref FormerKmsKeyArn" + viaServices + " when HasFormerKey"
	// referenced secrets are read where the parameter allows any, the keyset of the
	// public pages never.
	onReferences  = " on !Split [,, !Ref SecretReferences] when HasReferences"
	decryptOthers = "kms:Decrypt on !Split [,, !Ref SecretReferencesKeyArns] if {StringEquals: {kms:ViaService: !Sub secretsmanager.${AWS::Region}.amazonaws.com}} when HasReferencesKeys"
	noOtherKeyset = "Deny secretsmanager:GetSecretValue on !Ref ConsentKeyset"
	viaServices   = " if {StringEquals: {kms:ViaService: " +
		"[!Sub dynamodb.${AWS::Region}.amazonaws.com, !Sub secretsmanager.${AWS::Region}.amazonaws.com]}}"
)

// permissions are all permissions of each function. Those that Lambda uses on a
// function's behalf, for its log, are in platform.
func permissions() map[string][]string {
	return map[string][]string{
		"functions/vend/": {
			"dynamodb:BatchGetItem" + onTable, "dynamodb:GetItem" + onTable, "dynamodb:UpdateItem" + onTable,
			"secretsmanager:GetSecretValue" + onKeyset, "secretsmanager:GetSecretValue" + onConnections,
			"secretsmanager:GetSecretValue" + onReferences, decryptOthers, noOtherKeyset,
		},
		"functions/renew/": {
			"dynamodb:BatchGetItem" + onTable, "dynamodb:GetItem" + onTable, "dynamodb:Query" + onIndex, "dynamodb:UpdateItem" + onTable,
			"secretsmanager:GetSecretValue" + onKeyset, "secretsmanager:GetSecretValue" + onConnections,
			"secretsmanager:GetSecretValue" + onReferences, decryptOthers, noOtherKeyset,
			"secretsmanager:DescribeSecret" + onReferences, "secretsmanager:ListSecrets on *", "sqs:SendMessage on !GetAtt RenewFailures.Arn",
		},
		"functions/connections/": {
			"dynamodb:BatchGetItem" + onTable, "dynamodb:GetItem" + onTable, "dynamodb:Query" + onTable, "dynamodb:UpdateItem" + onTable,
			"secretsmanager:BatchGetSecretValue on *", "secretsmanager:ListSecrets on *",
			"secretsmanager:GetSecretValue" + onKeyset, "secretsmanager:GetSecretValue" + onConnections,
			"secretsmanager:GetSecretValue" + onReferences, decryptOthers, noOtherKeyset,
		},
		"functions/consent/": {
			"dynamodb:GetItem" + onSessions, "dynamodb:UpdateItem" + onSessions,
			"secretsmanager:GetSecretValue on !Ref ConsentKeyset",
		},
	}
}

// platform returns what every role has as well: writing its function's own log.
func platform(f Function) []string {
	log := strings.TrimSuffix(strings.TrimPrefix(Show(f.LoggingConfig), "{LogGroup: !Ref "), "}")
	return []string{"logs:CreateLogStream on !GetAtt " + log + ".Arn", "logs:PutLogEvents on !GetAtt " + log + ".Arn", decrypt, formerly}
}

// accessProblems: a function's permissions are those listed above, and what its code
// can call.
func accessProblems(t *testing.T, parsed Template, functions map[string]Function) (found []string) {
	t.Helper()
	roles := map[string]string{}
	for _, uri := range slices.Sorted(maps.Keys(functions)) {
		f := functions[uri]
		got, trusted, err := parsed.Permissions(f)
		if err != nil {
			found = append(found, "AZ-50 "+err.Error())
			continue
		}
		want := slices.Sorted(slices.Values(append(permissions()[uri], platform(f)...)))
		if !slices.Equal(got, want) {
			found = append(found, fmt.Sprintf("AZ-50 %s may %q, want %q", uri, got, want))
		}
		if calls := reached(t, uri).Calls(); !slices.Equal(actions(got), calls) {
			found = append(found, fmt.Sprintf("AZ-50 %s may %q, and its code calls %q", uri, actions(got), calls))
		}
		if !slices.Equal(trusted, []string{"{Service: lambda.amazonaws.com}"}) {
			found = append(found, fmt.Sprintf("AZ-50 the role of %s is for %q", uri, trusted))
		}
		role := Show(f.Role)
		if other := roles[role]; other != "" {
			found = append(found, fmt.Sprintf("AZ-50 %s has the role of %s", uri, other))
		}
		roles[role] = uri
	}
	return found
}

// actions returns the actions that code calls, sorted: DynamoDB's and Secrets
// Manager's.
func actions(permissions []string) (all []string) {
	for _, p := range permissions {
		action, _, _ := strings.Cut(p, " ")
		if strings.HasPrefix(action, "dynamodb:") || strings.HasPrefix(action, "secretsmanager:") {
			all = append(all, action)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// environmentProblems: a function has exactly the variables that its code reads.
func environmentProblems(t *testing.T, functions map[string]Function) (found []string) {
	t.Helper()
	for uri, f := range functions {
		got, want := slices.Sorted(maps.Keys(f.Environment.Variables)), reached(t, uri).Constants(module+"pkg/config.Variable")
		if !slices.Equal(got, want) {
			found = append(found, fmt.Sprintf("environment %s has the variables %q, and reads %q", uri, got, want))
		}
	}
	return found
}
