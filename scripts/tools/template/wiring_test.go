package template_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// typeProblems: the stack has these resources. Another one could be a second way to
// call a function, whose caller could forge an identity, or a role's second policy;
// listing it here states that it is neither.
func typeProblems(parsed Template) (found []string) {
	got := map[string]int{}
	for _, r := range parsed.Resources {
		got[r.Type]++
	}
	want := map[string]int{
		"AWS::Serverless::Api": 1, "AWS::Serverless::Function": 4, "AWS::IAM::Role": 5, "AWS::DynamoDB::Table": 1, "AWS::SecretsManager::Secret": 2,
		"AWS::SQS::Queue": 1, "AWS::SQS::QueuePolicy": 1, "AWS::Logs::LogGroup": 5, "AWS::Logs::MetricFilter": 1, "AWS::CloudWatch::Dashboard": 1,
		"AWS::ApiGateway::Account": 1, "AWS::ApiGateway::DomainName": 1, "AWS::ApiGateway::BasePathMapping": 1, "AWS::Route53::RecordSet": 1,
		"AWS::WAFv2::WebACL": 1, "AWS::WAFv2::WebACLAssociation": 1,
	}
	for _, kind := range slices.Sorted(maps.Keys(got)) {
		if kind != "AWS::CloudWatch::Alarm" && got[kind] != want[kind] {
			found = append(found, fmt.Sprintf("AZ-11 the stack has %d of %s, want %d", got[kind], kind, want[kind]))
		}
	}
	return found
}

// conditionProblems: an inverted condition would remove what depends on it.
func conditionProblems(parsed Template) (found []string) {
	given := func(parameter string) string { return `!Not [!Equals [!Ref ` + parameter + `, ]]` }
	want := map[string]string{
		"ReservesRenewer": "!Equals [!Ref ReserveRenewer, yes]", "ReservesConsent": "!Not [!Equals [!Ref ConsentConcurrency, 0]]", "CreatesLogRole": "!Equals [!Ref GatewayLogRole, create]",
		"IsPrivate": given("VpcEndpointId"), "HasDomain": given("DomainName"),
		"HasZone": "!And [!Condition HasDomain, " + given("HostedZoneId") + "]", "HasKey": given("KmsKeyArn"), "HasFormerKey": given("FormerKmsKeyArn"),
		"Monitors": "!Not [!Equals [!Ref Monitoring, none]]", "MonitorsFully": "!Equals [!Ref Monitoring, full]",
		"HasAlarmTopic": given("AlarmTopicArn"), "AllowsPrivateProviders": given("ProviderAllowCidrs"), "HasReferences": given("SecretReferences"), "HasReferencesKeys": given("SecretReferencesKeyArns"), "HasFirewall": "!Not [!Equals [!Ref PublicRequestsPerAddress, 0]]",
	}
	got := map[string]string{}
	for name, n := range parsed.Conditions {
		got[name] = Show(n)
	}
	if !maps.Equal(got, want) {
		found = append(found, fmt.Sprintf("AZ-09 the conditions are %q, want %q", got, want))
	}
	return found
}

// valueProblems: every variable has its value. The public pages have their own keyset.
func valueProblems(functions map[string]Function) (found []string) {
	want := map[string]string{
		"TOKEN_TABLE": "!Ref Tokens", "LOG_LEVEL": "!Ref LogLevel", "METRICS_NAMESPACE": "!Sub " + namespace, "MONITORING": "!Ref Monitoring", "SECRET_PREFIX": "!Ref SecretPrefix", "SEALING_SECRET_ID": "!Ref SealingKeyset",
		"PROVIDER_ALLOW_CIDRS": "!Ref ProviderAllowCidrs", "SECRET_REFERENCES": "!Ref SecretReferences", "PUBLIC_BASE_URL": "!If [HasDomain, !Sub https://${DomainName}, ]",
	}
	for uri, f := range functions {
		for name, value := range f.Environment.Variables {
			meant := want[name]
			if uri == "functions/consent/" && name == "SEALING_SECRET_ID" {
				meant = "!Ref ConsentKeyset"
			}
			if got := Show(value); got != meant {
				found = append(found, fmt.Sprintf("environment %s has %s from %s, want %s", uri, name, got, meant))
			}
		}
		if uri != "functions/renew/" && f.Timeout >= 29 {
			found = append(found, "environment "+uri+" may run longer than API Gateway waits, 29 s")
		}
	}
	return found
}

// wiringProblems: references between resources, in the form that Show writes.
func wiringProblems(parsed Template) (found []string) {
	const bounded = "RetryPolicy: {MaximumEventAgeInSeconds: 60, MaximumRetryAttempts: 1}"
	for _, want := range []struct{ rule, resource, text string }{
		{"AZ-51 a keyset is not under the key", "SealingKeyset", "KmsKeyId: !If [HasKey, !Ref KmsKeyArn, !Ref AWS::NoValue]"},
		{"AZ-51 a keyset is not under the key", "ConsentKeyset", "KmsKeyId: !If [HasKey, !Ref KmsKeyArn, !Ref AWS::NoValue]"},
		{"AZ-09 a private API is not private", "Api", "EndpointConfiguration: {Type: !If [IsPrivate, PRIVATE, REGIONAL], VPCEndpointIds: !If [IsPrivate, [!Ref VpcEndpointId], !Ref AWS::NoValue]}"},
		{"CR-26 the tick is missing or switched off", "Renew",
			"Tick: {Properties: {DeadLetterConfig: {Arn: !GetAtt RenewFailures.Arn}, " + bounded + ", Schedule: rate(1 minute)}, Type: Schedule}"},
		{"CR-26 Lambda's dead letters go elsewhere", "Renew", "DeadLetterQueue: {TargetArn: !GetAtt RenewFailures.Arn, Type: SQS}"},
		{"CR-26 not exactly the two rules may write dead letters", "RenewFailuresPolicy",
			"Statement: [{Action: sqs:SendMessage, Condition: {ArnEquals: {aws:SourceArn: [!GetAtt RenewTick.Arn, !GetAtt RenewSecretChanged.Arn]}}, " +
				"Effect: Allow, Principal: {Service: events.amazonaws.com}, Resource: !GetAtt RenewFailures.Arn}]"},
		{"AZ-50 the gateway's role is for others or allows more than logs", "GatewayLogs",
			"ManagedPolicyArns: [!Sub arn:${AWS::Partition}:iam::aws:policy/service-role/AmazonAPIGatewayPushToCloudWatchLogs]"},
		{"AZ-50 the gateway's role is for others or allows more than logs", "GatewayLogs", "Statement: [{Action: sts:AssumeRole, Effect: Allow, Principal: {Service: apigateway.amazonaws.com}}]"},
		{"AZ-12 access logs are kept without end", "AccessLog", "RetentionInDays: !Ref LogRetentionDays"},
		{"AZ-15 the firewall blocks nothing", "Firewall", "Rules: [{Action: {Block: {}}, "},
		{"AZ-15 the firewall blocks everything", "Firewall", "DefaultAction: {Allow: {}}"},
		{"AZ-15 the firewall sees paths as they were encoded", "Firewall",
			"RegexMatchStatement: {FieldToMatch: {UriPath: {}}, RegexString: ^(/v1)?/(consent|callback)/, TextTransformations: [{Priority: 0, Type: URL_DECODE}, {Priority: 1, Type: NORMALIZE_PATH}]}"},
		{"AZ-12 the API takes old TLS", "Api", "SecurityPolicy: SecurityPolicy_TLS13_1_2_PFS_PQ_2025_09"},
		{"AZ-12 the API takes requests for other hosts", "Api", "EndpointAccessMode: STRICT"},
		{"AZ-12 the domain takes old TLS", "Domain", "SecurityPolicy: SecurityPolicy_TLS13_1_2_PFS_PQ_2025_09"},
		{"AZ-12 the domain takes requests for other hosts", "Domain", "EndpointAccessMode: STRICT"},
		{"AZ-57 throttled requests are not counted", "ThrottledRequests", `FilterPattern: { $.error = "THROTTLED" }`},
		{"AZ-57 faults are not those of vending above a share", "VendFaults", "ComparisonOperator: GreaterThanThreshold, DatapointsToAlarm: 3, Dimensions: [{Name: action, Value: vend}]"},
		{"AZ-57 faults are not those of vending above a share", "VendFaults", "Statistic: Average, Threshold: 0.05"},
		{"AZ-57 a silent renewer raises no alarm", "RenewalStopped", "ComparisonOperator: LessThanThreshold"},
		{"AZ-57 a silent renewer raises no alarm", "RenewalStopped", "Statistic: SampleCount, Threshold: 1, TreatMissingData: breaching"},
		{"AZ-57 every new stack raises an alarm", "RenewalStopped", "WarmUpConfiguration: {WarmUpPeriodDurationInMinutes: 15}"},
	} {
		r := parsed.Resources[want.resource]
		if text := Show(r.Properties); !strings.Contains(text, want.text) {
			found = append(found, fmt.Sprintf("%s: %s lacks %s", want.rule, want.resource, want.text))
		}
	}
	return found
}

// rewirings are mutations for wiringProblems and its neighbours.
func rewirings() []mutation {
	const add = "  # Its permissions.\n"
	return []mutation{
		{"AZ-11 a function's address as a resource", add, "  # x\n  Hole:\n    Type: AWS::Lambda::Url\n    Properties: { AuthType: NONE, TargetFunctionArn: !Ref Vend }\n\n" + add},
		{"AZ-11 anyone may call a function", add, "  # x\n  Hole:\n    Type: AWS::Lambda::Permission\n    Properties: { Action: lambda:InvokeFunction, Principal: \"*\", FunctionName: !Ref Vend }\n\n" + add},
		{"AZ-11 a policy attached from outside", add, "  # x\n  Hole:\n    Type: AWS::IAM::Policy\n    Properties: { PolicyName: x, Roles: [!Ref ConsentRole], PolicyDocument: {} }\n\n" + add},
		{"AZ-09 an inverted condition", "IsPrivate: !Not [!Equals [!Ref VpcEndpointId, \"\"]]", "IsPrivate: !Equals [!Ref VpcEndpointId, \"\"]"},
		{"AZ-09 never private", "Type: !If [IsPrivate, PRIVATE, REGIONAL]", "Type: REGIONAL"},
		{"environment the public pages with the service's keyset", "          SEALING_SECRET_ID: !Ref ConsentKeyset", "          SEALING_SECRET_ID: !Ref SealingKeyset"},
		{"environment metrics beside other stacks'", "METRICS_NAMESPACE: !Sub tokenvend/${AWS::StackName}", "METRICS_NAMESPACE: tokenvend"},
		{"environment every network allowed", "PROVIDER_ALLOW_CIDRS: !Ref ProviderAllowCidrs", "PROVIDER_ALLOW_CIDRS: 0.0.0.0/0"},
		{"environment a function that runs longer than the gateway waits", "Timeout: 28", "Timeout: 60"},
		{"table no sort key", "        - { AttributeName: sk, KeyType: RANGE }\n", ""},
		{"AZ-51 a keyset under AWS's key", "      KmsKeyId: !If [HasKey, !Ref KmsKeyArn, !Ref AWS::NoValue]\n", ""},
		{"CR-26 a tick that is off", "            Schedule: rate(1 minute)\n", "            Schedule: rate(1 minute)\n            Enabled: false\n"},
		{"CR-26 dead letters elsewhere", "TargetArn: !GetAtt RenewFailures.Arn", "TargetArn: !GetAtt Tokens.Arn"},
		{"CR-26 dead letters from anyone", "Principal: { Service: events.amazonaws.com }", "Principal: \"*\""},
		{"AZ-50 the gateway's role for anyone", "Principal: { Service: apigateway.amazonaws.com }", "Principal: { AWS: \"*\" }"},
		{"AZ-50 the gateway's role for everything", "service-role/AmazonAPIGatewayPushToCloudWatchLogs", "AdministratorAccess"},
		{"AZ-12 access logs without retention", "  AccessLog:\n    Type: AWS::Logs::LogGroup\n    DeletionPolicy: RetainExceptOnCreate\n    UpdateReplacePolicy: Retain\n    Properties: { RetentionInDays: !Ref LogRetentionDays }", "  AccessLog:\n    Type: AWS::Logs::LogGroup"},
		{"AZ-12 API Gateway's default TLS", "      SecurityPolicy: SecurityPolicy_TLS13_1_2_PFS_PQ_2025_09\n", ""},
		{"AZ-12 any host", "      EndpointAccessMode: STRICT\n", "      EndpointAccessMode: BASIC\n"},
		{"AZ-12 old TLS of the domain", "SecurityPolicy_TLS13_1_2_PFS_PQ_2025_09 # as", "TLS_1_0 # as"},
		{"AZ-12 any host of the domain", "# as the API's\n      EndpointAccessMode: STRICT\n", "\n"},
		{"AZ-15 a firewall that an escape passes", "[{ Priority: 0, Type: URL_DECODE }, ", "["},
		{"AZ-15 a firewall that a dot segment passes", ", { Priority: 1, Type: NORMALIZE_PATH }]", "]"},
		{"AZ-15 a firewall that only counts", "Action: { Block: {} }", "Action: { Count: {} }"},
		{"AZ-57 a threshold above 100 %", "Threshold: 0.05", "Threshold: 5"},
		{"AZ-57 an alarm before the first tick", "      WarmUpConfiguration: { WarmUpPeriodDurationInMinutes: 15 } # a new stack has no ticks yet\n", ""},
		{"AZ-57 no alarm for a table that refuses tokens", "MetricName: TokensUnstored", "MetricName: RefreshTokensUnsaved"},
		{"AZ-57 silence counts as good", "TreatMissingData: breaching", "TreatMissingData: notBreaching"},
		{"AZ-57 throttling under another name", "$.error = \"THROTTLED\"", "$.error = \"THROTTLE\""},
	}
}
