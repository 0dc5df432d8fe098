package connection_test

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenvend/tokenvend/pkg/connection"
)

func TestCallersPrincipal(t *testing.T) {
	const (
		appRole    = "arn:aws:iam::111122223333:role/app"
		appSession = "arn:aws:sts::111122223333:assumed-role/app/i-0123"
	)
	tests := []struct {
		name, rule, caller string
		want               bool
	}{
		{"AZ-06 a role is every session of it", appRole, appSession, true},
		{"AZ-06 the session's name never decides", appRole, "arn:aws:sts::111122223333:assumed-role/other/app", false},
		{"AZ-06 a session named like the role's path", appRole, "arn:aws:sts::111122223333:assumed-role/x/role/app", false},
		{"AZ-06 the path is absent from sessions", "arn:aws:iam::111122223333:role/team/a/app", appSession, true},
		{"AZ-06 the path is not the name", "arn:aws:iam::111122223333:role/app/other", appSession, false},
		{"AZ-06 session without a name", appRole, "arn:aws:sts::111122223333:assumed-role/app/", false},
		{"AZ-06 no session part", appRole, "arn:aws:sts::111122223333:assumed-role/app", false},
		{"AZ-06 more than a session's name", appRole, "arn:aws:sts::111122223333:assumed-role/app/s/t", false},
		{"AZ-06 role name continues", appRole, "arn:aws:sts::111122223333:assumed-role/app2/s", false},
		{"AZ-06 case counts", appRole, "arn:aws:sts::111122223333:assumed-role/App/s", false},
		{"AZ-06 another account", appRole, "arn:aws:sts::111122223334:assumed-role/app/s", false},
		{"AZ-06 another partition", appRole, "arn:aws-cn:sts::111122223333:assumed-role/app/s", false},
		{"AZ-06 same partition elsewhere", "arn:aws-cn:iam::111122223333:role/app", "arn:aws-cn:sts::111122223333:assumed-role/app/s", true},
		{"AZ-06 a user is not the role of its name", appRole, "arn:aws:iam::111122223333:user/app", false},
		{"role by beginning", "arn:aws:iam::111122223333:role/app*", "arn:aws:sts::111122223333:assumed-role/app-7/s", true},
		{"role by beginning, another", "arn:aws:iam::111122223333:role/app*", "arn:aws:sts::111122223333:assumed-role/ap/s", false},
		{"role by beginning is no user", "arn:aws:iam::111122223333:role/app*", "arn:aws:iam::111122223333:user/app1", false},
		{"AZ-06 a session of no role", "arn:aws:iam::111122223333:role/*", "arn:aws:sts::111122223333:assumed-role//s", false},
		{"every role of the account", "arn:aws:iam::111122223333:role/*", appSession, true},
		{"user", "arn:aws:iam::111122223333:user/anna", "arn:aws:iam::111122223333:user/anna", true},
		{"user's path counts", "arn:aws:iam::111122223333:user/anna", "arn:aws:iam::111122223333:user/ops/anna", false},
		{"user's path by beginning", "arn:aws:iam::111122223333:user/ops/*", "arn:aws:iam::111122223333:user/ops/anna", true},
		{"user's path by beginning, beside it", "arn:aws:iam::111122223333:user/ops/*", "arn:aws:iam::111122223333:user/opsanna", false},
		{"root user", "arn:aws:iam::111122223333:root", "arn:aws:iam::111122223333:root", true},
		{"root is not the account", "arn:aws:iam::111122223333:root", "arn:aws:iam::111122223333:user/anna", false},
		{"whole account, user", "arn:aws:iam::111122223333:*", "arn:aws:iam::111122223333:user/anna", true},
		{"whole account, role", "arn:aws:iam::111122223333:*", appSession, true},
		{"whole account, root", "arn:aws:iam::111122223333:*", "arn:aws:iam::111122223333:root", true},
		{"whole account of IAM has no federated user", "arn:aws:iam::111122223333:*", "arn:aws:sts::111122223333:federated-user/f", false},
		{"whole account is one account", "arn:aws:iam::111122223333:*", "arn:aws:iam::111122223334:user/anna", false},
		{"federated user", "arn:aws:sts::111122223333:federated-user/f", "arn:aws:sts::111122223333:federated-user/f", true},
		{"another federated user", "arn:aws:sts::111122223333:federated-user/f", "arn:aws:sts::111122223333:federated-user/g", false},
		{"BI-17 no caller", appRole, "", false},
		{"BI-17 null", appRole, "null", false},
		{"a wildcard as caller", "arn:aws:iam::111122223333:*", "arn:aws:iam::111122223333:*", false},
		{"a caller of another service", "arn:aws:iam::111122223333:*", "arn:aws:ec2::111122223333:user/anna", false},
		{"a rule that does not parse allows no caller", "*", appSession, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := connection.Callers{{Principal: tt.rule}}.Allows(tt.caller, "", "default")
			if tt.want && err != nil || !tt.want && !errors.Is(err, connection.RefusedPrincipal) {
				t.Errorf("Allows = %v, want allowed %v", err, tt.want)
			}
		})
	}
}

func TestCallersRules(t *testing.T) {
	const anna, bert = "arn:aws:iam::111122223333:user/anna", "arn:aws:iam::111122223333:user/bert"
	rules := connection.Callers{
		{Principal: anna, Scopes: []string{"read", "list"}},
		{Principal: anna, Scopes: []string{"write"}, Subjects: []string{"bot"}},
		{Principal: bert, Subjects: []string{"default"}},
	}
	tests := []struct {
		name                   string
		callers                connection.Callers
		caller, scope, subject string
		want                   error
	}{
		{"no rules: IAM alone decides", nil, "", "anything", "anyone", nil},
		{"any rule suffices", rules, anna, "write", "bot", nil},
		{"every token in the list", rules, anna, "list read", "default", nil},
		{"one token outside", rules, anna, "list admin", "default", connection.RefusedScope},
		{"rules do not add up", rules, anna, "read write", "bot", connection.RefusedScope},
		{"scope of the other rule's subject", rules, anna, "write", "default", connection.RefusedScope},
		{"unknown scope where scopes are listed", rules, anna, "", "default", connection.RefusedScope},
		{"absent scopes mean all", rules, bert, "admin", "default", nil},
		{"absent scopes mean the unknown too", rules, bert, "", "default", nil},
		{"another subject", rules, bert, "read", "bot", connection.RefusedSubject},
		{"no subject where subjects are listed", rules, bert, "read", "", connection.RefusedSubject},
		{"a stranger", rules, "arn:aws:iam::111122223333:user/carl", "read", "default", connection.RefusedPrincipal},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.callers.Allows(tt.caller, tt.scope, tt.subject)
			if !errors.Is(err, tt.want) {
				t.Errorf("Allows = %v, want %v", err, tt.want)
			}
		})
	}
}

func TestCallersTravelAsJSON(t *testing.T) {
	want := connection.Callers{
		{Principal: "arn:aws:iam::111122223333:role/app", Scopes: []string{"read"}, Subjects: []string{"bot"}},
		{Principal: "arn:aws:iam::111122223333:role/*"},
	}
	text, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var got connection.Callers
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("round trip (-want +got):\n%s", diff)
	}
}
