package template_test

import (
	"cmp"
	"fmt"
)

// outputProblems: the command tokenvend takes a deployment's settings from these
// outputs. A wrong value makes it write to another stack's secrets or table.
func outputProblems(parsed Template) (found []string) {
	for name, want := range map[string]struct{ condition, value string }{
		"TableName":          {"", "!Ref Tokens"},
		"SecretPrefix":       {"", "!Ref SecretPrefix"},
		"SecretReferences":   {"HasReferences", "!Ref SecretReferences"},
		"ProviderAllowCidrs": {"AllowsPrivateProviders", "!Ref ProviderAllowCidrs"},
		"SealingKeyset":      {"", "!Ref SealingKeyset"},
		"ConsentKeyset":      {"", "!Ref ConsentKeyset"},
		"GatewayLogRole":     {"CreatesLogRole", "!Ref GatewayLogs"},
		"LogGroups":          {"", "!Join [,, [!Ref VendLog, !Ref ConnectionsLog, !Ref ConsentLog, !Ref RenewLog, !Ref AccessLog]]"},
	} {
		got := parsed.Outputs[name]
		if value := Show(got.Value); value != want.value || got.Condition != want.condition || got.Description == "" {
			found = append(found, fmt.Sprintf("outputs: %s is %s if %s, want %s if %s", name,
				value, cmp.Or(got.Condition, "anything"), want.value, cmp.Or(want.condition, "anything")))
		}
	}
	for _, name := range []string{"Url", "Curl", "CallerStatement"} {
		output := parsed.Outputs[name]
		if output.Value.IsZero() || output.Condition != "" {
			found = append(found, "outputs: "+name+" is missing or conditional")
		}
	}
	return found
}

// outputMutations are ways to break the outputs.
func outputMutations() []mutation {
	return []mutation{
		{"outputs: the prefix of every stack", "    Value: !Ref SecretPrefix", "    Value: tokenvend/"},
		{"outputs: no networks", "    Value: !Ref ProviderAllowCidrs", "    Value: none"},
		{"outputs: networks of some stacks", "    Condition: AllowsPrivateProviders\n", ""},
		{"outputs: the other keyset", "    Value: !Ref ConsentKeyset", "    Value: !Ref SealingKeyset"},
		{"outputs: no table", "  TableName:\n", "  Table:\n"},
		{"outputs: not every log", "!Ref RenewLog, !Ref AccessLog]]", "!Ref RenewLog]]"},
		{"outputs: no URL", "  Url:\n", "  Address:\n"},
	}
}
