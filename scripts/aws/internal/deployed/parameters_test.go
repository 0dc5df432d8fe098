package deployed_test

import (
	"cmp"
	"encoding/json"
	"encoding/xml"
	"errors"
	"maps"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
)

// sets are deployments of the template, each as a stack of its own.
var sets = []struct {
	name string
	// parameters are those that differ from the defaults.
	parameters map[string]string
	// with are resources that the stack must have, without those that it must not have.
	with, without []string
	// status is the answer to a signed request for a token.
	status int
}{
	{name: "defaults", with: []string{"Dashboard", "Throttling", "GatewayAccount", "GatewayLogs"}, without: []string{"Domain", "Firewall"}},
	{name: "basic", parameters: map[string]string{"Monitoring": "basic", "AlarmTopicArn": "arn:aws:sns:us-east-1:000000000000:alarms"},
		with: []string{"VendFaults", "TokensUnstored"}, without: []string{"Dashboard", "Throttling", "ThrottledRequests"}},
	{name: "unmonitored", parameters: map[string]string{"Monitoring": "none"}, without: []string{"VendFaults", "RenewalStopped", "Dashboard"}},
	{name: "modest", parameters: map[string]string{"ReserveRenewer": "no", "GatewayLogRole": "existing", "LogRetentionDays": "1", "LogLevel": "debug",
		"RequestsPerSecond": "10", "SecretPrefix": "another/prefix/"}, without: []string{"GatewayAccount", "GatewayLogs"}},
	{name: "firewall", parameters: map[string]string{"PublicRequestsPerAddress": "100", "ConsentConcurrency": "20"}, with: []string{"Firewall"}},
	{name: "private", parameters: map[string]string{"VpcEndpointId": "vpce-0123456789abcdef0"}, status: http.StatusForbidden},
	{name: "domain", parameters: map[string]string{"DomainName": "token.example.com", "CertificateArn": "arn:aws:acm:us-east-1:000000000000:certificate/1"},
		with: []string{"Domain", "DomainMapping"}, without: []string{"DomainRecord"}},
	{name: "zone", parameters: map[string]string{"DomainName": "vend.example.com", "CertificateArn": "arn:aws:acm:us-east-1:000000000000:certificate/1", "HostedZoneId": "ZONE"},
		with: []string{"Domain", "DomainRecord"}},
	{name: "references", parameters: map[string]string{"SecretReferencesKeyArns": "KEY",
		"SecretReferences": "arn:aws:secretsmanager:us-east-1:000000000000:secret:shared/crm-*,arn:aws:secretsmanager:us-east-1:000000000000:secret:erp-??????"}},
	{name: "key", parameters: map[string]string{"KmsKeyArn": "KEY"}},
	{name: "keys", parameters: map[string]string{"KmsKeyArn": "KEY", "FormerKmsKeyArn": "KEY"}},
}

// TestDeploy_everyParameterSet deploys each set, and vends a token from it.
func TestDeploy_everyParameterSet(t *testing.T) {
	e := needsEmulator(t)
	for _, set := range sets {
		t.Run(set.name, func(t *testing.T) {
			parameters := usual()
			maps.Copy(parameters, set.parameters)
			for name, value := range parameters {
				switch value {
				case "KEY":
					parameters[name] = e.newKey(t)
				case "ZONE":
					parameters[name] = e.newZone(t)
				}
			}
			d, err := e.deploy(t.Context(), set.name, parameters)
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range set.with {
				if d.resources[name] == "" {
					t.Errorf("the stack has no %s", name)
				}
			}
			for _, name := range set.without {
				if d.resources[name] != "" {
					t.Errorf("the stack has a %s", name)
				}
			}
			d.add(t, "cliquify")
			caller := e.newCaller(t, "caller-of-"+set.name, d.only("cliquify"))
			got, err := d.signed(t.Context(), caller, http.MethodGet, "/connections/cliquify/token", "")
			if want := cmp.Or(set.status, http.StatusOK); err != nil || got.status != want || (got.token() != "") != (want == http.StatusOK) {
				t.Errorf("the token: %s, %v; want status %d", got, err, want)
			}
			if err := e.remove(t.Context(), set.name); err != nil {
				t.Errorf("delete the stack: %v", err)
			}
		})
	}
}

// add creates a connection of the sandbox, unless another stack with the prefix has it.
func (d *deployment) add(t *testing.T, connection string) {
	t.Helper()
	err := d.e.putSecret(t.Context(), d.SecretPrefix()+connection, string(provider().Connections()[connection]))
	var exists *types.ResourceExistsException
	if err != nil && !errors.As(err, &exists) {
		t.Fatal(err)
	}
}

// newKey creates a key of KMS and returns its ARN.
func (e *emulator) newKey(t *testing.T) string {
	t.Helper()
	text, err := e.json(t.Context(), "kms", "TrentService.CreateKey", document{})
	if err != nil {
		t.Fatal(err)
	}
	var key struct{ KeyMetadata struct{ Arn string } }
	if err := json.Unmarshal(text, &key); err != nil || key.KeyMetadata.Arn == "" {
		t.Fatalf("no key: %v", err)
	}
	return key.KeyMetadata.Arn
}

// newZone creates a hosted zone of Route 53 and returns its id.
func (e *emulator) newZone(t *testing.T) string {
	t.Helper()
	const request = `<CreateHostedZoneRequest xmlns="https://route53.amazonaws.com/doc/2013-04-01/"><Name>example.com</Name><CallerReference>1</CallerReference></CreateHostedZoneRequest>`
	text, err := e.do(t.Context(), "route53", http.MethodPost, "/2013-04-01/hostedzone", "application/xml", []byte(request))
	if err != nil {
		t.Fatal(err)
	}
	var zone struct {
		ID string `xml:"HostedZone>Id"`
	}
	if err := xml.Unmarshal(text, &zone); err != nil || zone.ID == "" {
		t.Fatalf("no zone: %v", err)
	}
	return strings.TrimPrefix(zone.ID, "/hostedzone/")
}

// TestDeploy_everyParameterIsInASet finds parameters that no set deploys.
func TestDeploy_everyParameterIsInASet(t *testing.T) {
	e := needsEmulator(t)
	transformed, err := e.transform(t.Context(), filepath.Join(packaged(), "template.yaml"), usual())
	if err != nil {
		t.Fatal(err)
	}
	var template struct{ Parameters map[string]any }
	if err := json.Unmarshal(transformed, &template); err != nil {
		t.Fatal(err)
	}
	used := usual()
	for _, set := range sets {
		maps.Copy(used, set.parameters)
	}
	for _, name := range slices.Sorted(maps.Keys(template.Parameters)) {
		if _, found := used[name]; !found {
			t.Errorf("no set has the parameter %s", name)
		}
	}
}

// TestDeploy_refusedParameters are values that the template refuses before anything is
// created, with a reason that says what is right.
func TestDeploy_refusedParameters(t *testing.T) {
	e := needsEmulator(t)
	template, err := e.template(t.Context(), usual())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name       string
		parameters []string
		want       string
	}{
		{"a domain without certificate", []string{"DomainName", "tokens.example.com"}, "DomainName needs CertificateArn"},
		{"a private API with a domain", []string{"DomainName", "tokens.example.com", "CertificateArn", "arn:aws:acm:us-east-1:000000000000:certificate/1",
			"VpcEndpointId", "vpce-0123456789abcdef0"}, "has no public DomainName"},
		{"a prefix without slash", []string{"SecretPrefix", "tokenvend"}, "a slash at the end"},
		{"an address that is no network", []string{"ProviderAllowCidrs", "10.0.0.1"}, "networks such as 10.20.0.0/16"},
		{"an alias of a key", []string{"KmsKeyArn", "arn:aws:kms:us-east-1:000000000000:alias/mine"}, "not of an alias"},
		{"too low a limit of the firewall", []string{"PublicRequestsPerAddress", "9"}, "0 for no firewall, or 10 and more"},
		{"an unknown monitoring", []string{"Monitoring", "some"}, "Monitoring"},
		{"no requests", []string{"RequestsPerSecond", "0"}, "RequestsPerSecond"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := e.apply(t.Context(), "refused", template, usual(c.parameters...))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want an error with %q", err, c.want)
			}
			if status, err := e.status(t.Context(), "refused"); err == nil {
				t.Errorf("there is a stack, %s", status)
			}
		})
	}
}
