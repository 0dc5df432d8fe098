package config_test

import (
	"log/slog"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/tokenvend/tokenvend/pkg/config"
)

// environment is an environment that records which variables are read.
type environment struct {
	values map[string]string
	asked  []string
}

func (e *environment) lookup(name string) (string, bool) {
	e.asked = append(e.asked, name)
	value, set := e.values[name]
	return value, set
}

func all() []config.Variable {
	return []config.Variable{
		config.TokenTable, config.SecretPrefix, config.SealingSecretID,
		config.PublicBaseURL, config.LogLevel, config.ProviderAllowCIDRs, config.SecretReferences, config.MetricsNamespace, config.Monitoring,
	}
}

func load(values map[string]string, needs ...config.Variable) (config.Config, error) {
	return config.Load((&environment{values: values}).lookup, needs...)
}

func TestDefaults(t *testing.T) {
	got, err := load(map[string]string{"TOKEN_TABLE": "tokens", "SEALING_SECRET_ID": "keyset"}, all()...)
	if err != nil {
		t.Fatal(err)
	}
	want := config.Config{
		TokenTable: "tokens", SecretPrefix: "tokenvend/", SealingSecretID: "keyset", LogLevel: slog.LevelInfo, MetricsNamespace: "tokenvend", Monitoring: "full",
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Prefix{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestEverythingSet(t *testing.T) {
	got, err := load(map[string]string{
		"TOKEN_TABLE":          "Tokens_1.prod-eu",
		"SECRET_PREFIX":        "/prod/oauth-",
		"SEALING_SECRET_ID":    "arn:aws-us-gov:secretsmanager:us-gov-west-1:111122223333:secret:sealing/keyset-AbCdEf",
		"PUBLIC_BASE_URL":      "https://auth.example.com/v1",
		"LOG_LEVEL":            "WARN",
		"PROVIDER_ALLOW_CIDRS": " 10.20.0.0/16,127.0.0.1/32\n fd00:1::/32, ",
		"SECRET_REFERENCES":    "arn:aws:secretsmanager:eu-west-1:111122223333:secret:vendors/*, arn:aws:secretsmanager:eu-west-1:111122223333:secret:crm-??????",
		"METRICS_NAMESPACE":    "tokenvend/tokens-eu",
		"MONITORING":           "basic",
	}, all()...)
	if err != nil {
		t.Fatal(err)
	}
	want := config.Config{
		TokenTable:      "Tokens_1.prod-eu",
		SecretPrefix:    "/prod/oauth-",
		SealingSecretID: "arn:aws-us-gov:secretsmanager:us-gov-west-1:111122223333:secret:sealing/keyset-AbCdEf",
		PublicBaseURL:   "https://auth.example.com/v1",
		LogLevel:        slog.LevelWarn,
		ProviderAllowCIDRs: []netip.Prefix{
			netip.MustParsePrefix("10.20.0.0/16"), netip.MustParsePrefix("127.0.0.1/32"), netip.MustParsePrefix("fd00:1::/32"),
		},
		SecretReferences: []string{
			"arn:aws:secretsmanager:eu-west-1:111122223333:secret:vendors/*", "arn:aws:secretsmanager:eu-west-1:111122223333:secret:crm-??????",
		},
		MetricsNamespace: "tokenvend/tokens-eu",
		Monitoring:       "basic",
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Prefix{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestValues(t *testing.T) {
	tests := []struct {
		name     string
		variable config.Variable
		value    string
		says     string // empty: accepted
	}{
		{"table not set", config.TokenTable, "", "is not set"},
		{"table too short", config.TokenTable, "ab", "3 to 255"},
		{"table too long", config.TokenTable, strings.Repeat("a", 256), "3 to 255"},
		{"table of the longest name", config.TokenTable, strings.Repeat("a", 255), ""},
		{"table as ARN", config.TokenTable, "arn:aws:dynamodb:eu-west-1:111122223333:table/t", "not its ARN"},
		{"table with a space", config.TokenTable, "tokens ", "character 7"},

		{"prefix empty", config.SecretPrefix, "", "every secret of the account"},
		{"prefix without a separator at its end", config.SecretPrefix, "tokenvend", "append /"},
		{"prefix with a star", config.SecretPrefix, "token*/", "character 6"},
		{"prefix not ASCII", config.SecretPrefix, "töken/", "character 2"},
		{"prefix too long", config.SecretPrefix, strings.Repeat("a", 448) + "/", "448"},
		{"prefix of the longest name", config.SecretPrefix, strings.Repeat("a", 447) + "/", ""},

		{"keyset not set", config.SealingSecretID, "", "is not set"},
		{"keyset by name", config.SealingSecretID, "sealing/keyset", ""},
		{"keyset with a colon", config.SealingSecretID, "sealing:keyset", "character 8"},
		{"keyset as another service's ARN", config.SealingSecretID, "arn:aws:ssm:eu-west-1:111122223333:parameter/x", "is not the ARN of a secret"},
		{"keyset as an ARN without a name", config.SealingSecretID, "arn:aws:secretsmanager:eu-west-1:111122223333:secret:", "is not the ARN of a secret"},
		{"keyset as an ARN with a version", config.SealingSecretID, "arn:aws:secretsmanager:eu-west-1:111122223333:secret:k-AbCdEf:x", "character"},
		{"keyset too long", config.SealingSecretID, strings.Repeat("a", 2049), "2048"},

		{"base set to nothing", config.PublicBaseURL, "", ""},
		{"base on the host's root", config.PublicBaseURL, "https://auth.example.com", ""},
		{"base with a port", config.PublicBaseURL, "https://auth.example.com:8443", ""},
		{"base http on loopback", config.PublicBaseURL, "http://127.0.0.1:8080/v1", ""},
		{"base http on loopback, IPv6", config.PublicBaseURL, "http://[::1]:8080/v1", ""},
		{"base http on localhost", config.PublicBaseURL, "http://localhost:8080/v1", ""},
		{"base http elsewhere", config.PublicBaseURL, "http://auth.example.com", "use https"},
		{"base http on a name that begins like loopback", config.PublicBaseURL, "http://localhost.example.com", "use https"},
		{"base with a slash at its end", config.PublicBaseURL, "https://auth.example.com/", "ends with a slash"},
		{"base with a query", config.PublicBaseURL, "https://auth.example.com/v1?a=b", "query"},
		{"base with an empty query", config.PublicBaseURL, "https://auth.example.com/v1?", "query"},
		{"base with a fragment", config.PublicBaseURL, "https://auth.example.com/v1#a", "fragment"},
		{"base with an empty fragment", config.PublicBaseURL, "https://auth.example.com/v1#", "normal form"},
		{"base with a user", config.PublicBaseURL, "https://canary@auth.example.com", "user"},
		{"base without a scheme", config.PublicBaseURL, "auth.example.com", "https://"},
		{"base without a host", config.PublicBaseURL, "https:///v1", "https://"},
		{"base with another scheme", config.PublicBaseURL, "ftp://auth.example.com", "https://"},
		{"base with dots in its path", config.PublicBaseURL, "https://auth.example.com/a/../b", "escapes; remove them"},
		{"base with a doubled slash", config.PublicBaseURL, "https://auth.example.com//v1", "escapes; remove them"},
		{"base with an escape", config.PublicBaseURL, "https://auth.example.com/%76", "escapes; remove them"},
		{"base with upper case in its host", config.PublicBaseURL, "https://Auth.example.com", "lower-case"},
		{"base with a host not ASCII", config.PublicBaseURL, "https://äuth.example.com", "xn--"},
		{"base with an empty port", config.PublicBaseURL, "https://auth.example.com:", "port"},
		{"base with port 0", config.PublicBaseURL, "https://auth.example.com:0", "port"},
		{"base with a port too large", config.PublicBaseURL, "https://auth.example.com:65536", "port"},
		{"base that is no URL", config.PublicBaseURL, "https://canary\x7f", "is not a URL"},

		{"level set to nothing", config.LogLevel, "", ""},
		{"level unknown", config.LogLevel, "verbose", "debug, info, warn or error"},
		{"level with an offset", config.LogLevel, "info+1", "debug, info, warn or error"},

		{"networks set to nothing", config.ProviderAllowCIDRs, "", ""},
		{"AZ-41 network with host bits", config.ProviderAllowCIDRs, "10.1.2.3/8", "write 10.0.0.0/8"},
		{"AZ-41 second network with host bits", config.ProviderAllowCIDRs, "10.0.0.0/8 fd00::1/32", "network 2 has bits set beyond its prefix length; write fd00::/32"},
		{"AZ-41 every IPv4 address", config.ProviderAllowCIDRs, "0.0.0.0/0", "disable the protection"},
		{"AZ-41 every IPv6 address", config.ProviderAllowCIDRs, "::/0", "disable the protection"},
		{"AZ-41 bare IPv4 address", config.ProviderAllowCIDRs, "127.0.0.1", "127.0.0.1/32"},
		{"AZ-41 bare IPv6 address", config.ProviderAllowCIDRs, "fe80::1%eth0", "fe80::1/128"},
		{"AZ-41 IPv4 written as IPv6", config.ProviderAllowCIDRs, "::ffff:10.0.0.0/104", "write it as IPv4"},
		{"AZ-41 a name", config.ProviderAllowCIDRs, "canary.internal", "is not a network"},
		{"AZ-41 length beyond the address", config.ProviderAllowCIDRs, "10.0.0.0/33", "is not a network"},

		{"AZ-57 monitoring set to nothing", config.Monitoring, "", ""},
		{"AZ-57 no monitoring", config.Monitoring, "none", ""},
		{"AZ-57 monitoring in upper case", config.Monitoring, "Basic", "full, basic or none"},
		{"AZ-57 monitoring unknown", config.Monitoring, "canary", "full, basic or none"},

		{"AZ-57 namespace set to nothing", config.MetricsNamespace, "", ""},
		{"AZ-57 namespace of the longest name", config.MetricsNamespace, strings.Repeat("a", 255), ""},
		{"AZ-57 namespace too long", config.MetricsNamespace, strings.Repeat("a", 256), "255"},
		{"BI-53 references of one account", config.SecretReferences, "arn:aws:secretsmanager:eu-west-1:111122223333:secret:*/hubspot-??????", ""},
		{"BI-53 no references", config.SecretReferences, " ", ""},
		{"BI-53 references by name", config.SecretReferences, "canary/*", "ARN 1 is a name"},
		{"BI-53 references of another service", config.SecretReferences, "arn:aws:ssm:eu-west-1:111122223333:parameter/canary", "is not the ARN of a secret"},
		{"BI-53 references of every account", config.SecretReferences, "arn:aws:secretsmanager:eu-west-1:*:secret:canary-*", "wildcard before the name"},
		{"BI-53 references to every secret", config.SecretReferences, "arn:aws:secretsmanager:eu-west-1:111122223333:secret:*", "every secret"},
		{"BI-53 references with a quote", config.SecretReferences, `arn:aws:secretsmanager:eu-west-1:111122223333:secret:canary"`, "character 7"},
		{"AZ-57 namespace of AWS", config.MetricsNamespace, "AWS/Lambda", "CloudWatch reserves"},
		{"AZ-57 namespace that begins like AWS's", config.MetricsNamespace, "AWSX/tokens", ""},
		{"AZ-57 namespace with a quote", config.MetricsNamespace, `canary","x":"`, "character 7"},
		{"AZ-57 namespace with a line end", config.MetricsNamespace, "tokenvend\n", "character 10"},
		{"AZ-57 namespace with a colon", config.MetricsNamespace, ":tokenvend", "character 1"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := load(map[string]string{string(test.variable): test.value}, test.variable)
			if test.says == "" {
				if err != nil {
					t.Errorf("refused: %v", err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), test.says) || !strings.HasPrefix(err.Error(), string(test.variable)+": ") {
				t.Fatalf("got %v, want it to name %s and say %q", err, test.variable, test.says)
			}
			if strings.Contains(err.Error(), "canary") {
				t.Errorf("the error repeats the value: %v", err)
			}
		})
	}
}

func TestKeysetLiesOutsideThePrefix(t *testing.T) {
	tests := []struct {
		name, prefix, keyset string
		refused              bool
	}{
		{"AZ-52 outside", "tokenvend/", "tokenvend-keyset", false},
		{"AZ-52 inside", "tokenvend/", "tokenvend/keyset", true},
		{"AZ-52 inside by ARN", "tokenvend/", "arn:aws:secretsmanager:eu-west-1:111122223333:secret:tokenvend/keyset-AbCdEf", true},
		{"AZ-52 outside by ARN", "tokenvend/", "arn:aws:secretsmanager:eu-west-1:111122223333:secret:keyset-AbCdEf", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := load(map[string]string{"SECRET_PREFIX": test.prefix, "SEALING_SECRET_ID": test.keyset},
				config.SecretPrefix, config.SealingSecretID)
			if test.refused != (err != nil && strings.Contains(err.Error(), "SEALING_SECRET_ID")) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestAllProblemsAtOnce(t *testing.T) {
	got, err := load(map[string]string{
		"TOKEN_TABLE": "a", "SECRET_PREFIX": "", "PUBLIC_BASE_URL": "x", "LOG_LEVEL": "x", "PROVIDER_ALLOW_CIDRS": "x 0.0.0.0/0",
		"SECRET_REFERENCES": "a b",
		"METRICS_NAMESPACE": "a b", "MONITORING": "x",
	}, all()...)
	if err == nil {
		t.Fatal("accepted")
	}
	lines := strings.Split(err.Error(), "\n")
	if len(lines) != len(all()) {
		t.Errorf("%d lines: %v", len(lines), err)
	}
	for i, variable := range all() {
		if !strings.HasPrefix(lines[i], string(variable)+": ") {
			t.Errorf("line %d is not about %s: %s", i+1, variable, lines[i])
		}
	}
	if !strings.Contains(err.Error(), "network 1 ") || !strings.Contains(err.Error(), "network 2 ") {
		t.Errorf("not every network is judged: %v", err)
	}
	if diff := cmp.Diff(config.Config{}, got, cmpopts.EquateComparable(netip.Prefix{})); diff != "" {
		t.Errorf("something came with the error:\n%s", diff)
	}
}

func TestOnlyWhatIsNeededIsRead(t *testing.T) {
	e := &environment{values: map[string]string{"TOKEN_TABLE": "tokens", "SECRET_PREFIX": "*", "SEALING_SECRET_ID": "keyset"}}
	got, err := config.Load(e.lookup, config.SealingSecretID, config.TokenTable)
	if err != nil || got.SecretPrefix != "" || got.TokenTable != "tokens" {
		t.Errorf("got %+v, %v", got, err)
	}
	if diff := cmp.Diff([]string{"TOKEN_TABLE", "SEALING_SECRET_ID"}, e.asked); diff != "" {
		t.Errorf("asked for (-want +got):\n%s", diff)
	}
}
