package deployed_test

import (
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/tokenvend/tokenvend/pkg/wheel"
)

// unneeded are permissions that nothing on the emulator needs, each with the reason.
// One of a single function begins with its name.
var unneeded = map[string]string{
	"Vend dynamodb:GetItem": "without it an outage of a provider is not seen, and each caller asks",
	"logs:CreateLogStream":  "the emulator writes the functions' logs itself",
	"logs:PutLogEvents":     "the emulator writes the functions' logs itself",
	"sqs:SendMessage":       "the emulator does not read a function's dead-letter queue from a template",
}

// roles are the functions' roles with what their functions do, in new processes.
var roles = []struct {
	function string
	use      func(*deployment, context.Context) error
}{
	{"Vend", (*deployment).useVend},
	{"Connections", (*deployment).useConnections},
	{"Consent", (*deployment).useConsent},
	{"Renew", (*deployment).useRenew},
}

// TestRoles_AZ50_everyPermissionIsNeeded takes each pair of action and resource away
// from a role of the running stack. The function must then fail at something.
func TestRoles_AZ50_everyPermissionIsNeeded(t *testing.T) {
	e := needsEmulator(t)
	parameters := withDomain()
	parameters["DomainName"], parameters["SecretPrefix"] = "roles.example.com", "roles/"
	d, err := e.deploy(t.Context(), "roles", parameters)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = e.remove(context.WithoutCancel(t.Context()), "roles") }() // the emulator ends anyway
	// The test invokes the renewer itself. Nothing else may repair what it breaks.
	for _, rule := range []string{"RenewTick", "RenewSecretChanged"} {
		if _, err := e.json(t.Context(), "events", "AWSEvents.DisableRule", document{"Name": d.resources[rule]}); err != nil {
			t.Fatal(err)
		}
	}
	d.add(t, delegated)
	exempt := map[string]bool{}
	for _, role := range roles {
		t.Run(role.function, func(t *testing.T) { d.testRole(t, role.function, role.use, exempt) })
	}
	for action := range unneeded {
		if !exempt[action] {
			t.Errorf("no role has %s: delete it from the table", action)
		}
	}
}

func (d *deployment) testRole(t *testing.T, function string, use func(*deployment, context.Context) error, exempt map[string]bool) {
	name := d.resources[function+"Role"]
	policy := "all-that-" + strings.ToLower(function) + "-does"
	document, err := d.e.rolePolicy(t.Context(), name, policy)
	if err != nil {
		t.Fatal(err)
	}
	if err := use(d, t.Context()); err != nil {
		t.Fatalf("with all permissions: %v", err)
	}
	all := permissions(document)
	for i, p := range all {
		if known := p.known(function); known != "" {
			exempt[known] = true
			continue
		}
		rest := slices.Delete(slices.Clone(all), i, i+1)
		if err := d.e.putRolePolicy(t.Context(), name, policy, rest); err != nil {
			t.Fatal(err)
		}
		if err := use(d, t.Context()); err == nil {
			t.Errorf("nothing needs %s on %s", p.action, p.resource)
		} else {
			t.Logf("without %s on %s: %v", p.action, p.resource, err)
		}
	}
	if err := d.e.putRolePolicy(t.Context(), name, policy, all); err != nil {
		t.Fatal(err)
	}
	if err := use(d, t.Context()); err != nil {
		t.Errorf("with all permissions again: %v", err)
	}
}

// permission is one action on one resource.
type permission struct{ action, resource string }

// known is the name of p in unneeded; empty when it is not there.
func (p permission) known(function string) string {
	for _, name := range []string{p.action, function + " " + p.action} {
		if unneeded[name] != "" {
			return name
		}
	}
	return ""
}

// permissions are the pairs of a policy, whose statements all allow.
func permissions(policy document) (all []permission) {
	list := func(v any) []any {
		if many, ok := v.([]any); ok {
			return many
		}
		return []any{v}
	}
	for _, s := range policy["Statement"].([]any) {
		if s.(document)["Effect"] == "Deny" {
			continue
		}
		for _, action := range list(s.(document)["Action"]) {
			for _, resource := range list(s.(document)["Resource"]) {
				all = append(all, permission{action.(string), resource.(string)})
			}
		}
	}
	return all
}

func (e *emulator) rolePolicy(ctx context.Context, role, policy string) (found document, err error) {
	text, err := e.iam(ctx, "GetRolePolicy", url.Values{"RoleName": {role}, "PolicyName": {policy}})
	if err != nil {
		return nil, err
	}
	var answer struct {
		Document string `xml:"GetRolePolicyResult>PolicyDocument"`
	}
	if err := xml.Unmarshal(text, &answer); err != nil {
		return nil, err
	}
	decoded, err := url.QueryUnescape(answer.Document)
	if err != nil {
		return nil, err
	}
	err = json.Unmarshal([]byte(decoded), &found)
	return found, err
}

func (e *emulator) putRolePolicy(ctx context.Context, role, policy string, all []permission) error {
	var statements []any
	for _, p := range all {
		statements = append(statements, document{"Effect": "Allow", "Action": p.action, "Resource": p.resource})
	}
	text := encode(document{"Version": "2012-10-17", "Statement": statements})
	_, err := e.iam(ctx, "PutRolePolicy", url.Values{"RoleName": {role}, "PolicyName": {policy}, "PolicyDocument": {string(text)}})
	return err
}

// restart ends the processes of a function, which have secrets and tokens in memory.
func (d *deployment) restart(ctx context.Context, function string) error {
	path := "/2015-03-31/functions/" + d.resources[function] + "/configuration"
	// Any setting that a process sees ends them. 55 is the renewer's time limit.
	_, err := d.e.do(ctx, "lambda", http.MethodPut, path, "application/json", encode(document{"Timeout": 55}))
	return err
}

// fresh numbers connections and subjects, of which nothing is stored yet.
var fresh atomic.Int64

// newConnection declares a connection of its own with the sandbox's client of cliquify.
func (d *deployment) newConnection(ctx context.Context) (string, error) {
	name := fmt.Sprint("fresh-", fresh.Add(1))
	return name, d.e.putSecret(ctx, d.SecretPrefix()+name, string(provider().Connections()["cliquify"]))
}

// vend returns the token of a connection from a new process.
func (d *deployment) vend(ctx context.Context, connection string) (string, error) {
	if err := d.restart(ctx, "Vend"); err != nil {
		return "", err
	}
	got, err := d.signed(ctx, administrator, http.MethodGet, "/connections/"+connection+"/token", "")
	if err == nil && got.status != http.StatusOK {
		err = fmt.Errorf("the token: %s", got)
	}
	return got.token(), err
}

// useVend gets a token that outlives the process.
func (d *deployment) useVend(ctx context.Context) error {
	connection, err := d.newConnection(ctx)
	if err != nil {
		return err
	}
	first, err := d.vend(ctx, connection)
	if err != nil {
		return err
	}
	second, err := d.vend(ctx, connection)
	if err == nil && first != second {
		err = fmt.Errorf("the token was not stored")
	}
	return err
}

// useConnections lists connections, shows the subjects of one, and takes a consent.
func (d *deployment) useConnections(ctx context.Context) error {
	if err := d.restart(ctx, "Connections"); err != nil {
		return err
	}
	subject := fmt.Sprint("subject-", fresh.Add(1))
	if err := d.consent(ctx, administrator, subject); err != nil {
		return err
	}
	for path, want := range map[string]string{
		"/connections":              `"connection":"` + delegated + `","provider":"creative-force"`,
		"/connections/" + delegated: `"subject":"` + subject + `","state":"ready"`,
	} {
		got, err := d.signed(ctx, administrator, http.MethodGet, path, "")
		if err != nil || got.status != http.StatusOK || !strings.Contains(string(got.body), want) {
			return errors.Join(fmt.Errorf("%s: %s", path, got), err)
		}
	}
	return nil
}

// useConsent takes a consent through new processes of the public pages.
func (d *deployment) useConsent(ctx context.Context) error {
	if err := d.restart(ctx, "Consent"); err != nil {
		return err
	}
	return d.consent(ctx, administrator, fmt.Sprint("subject-", fresh.Add(1)))
}

// useRenew has a tick notice a changed secret, and an event of a delegated
// connection.
func (d *deployment) useRenew(ctx context.Context) error {
	connection, err := d.newConnection(ctx)
	if err != nil {
		return err
	}
	if _, err := d.vend(ctx, connection); err != nil {
		return err
	}
	if err := d.restart(ctx, "Renew"); err != nil {
		return err
	}
	changed := strings.Replace(string(provider().Connections()["cliquify"]), "{", `{"default_expires_in": 600,`, 1)
	id := d.SecretPrefix() + connection
	if _, err := d.e.secrets().PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{SecretId: &id, SecretString: &changed}); err != nil {
		return err
	}
	if err := d.forgetCursors(ctx); err != nil {
		return err
	}
	if done, err := d.renew(ctx, document{"source": "aws.events", "detail-type": "Scheduled Event", "detail": document{}}); err != nil || done["reissued"] == 0 || done["failed"] > 0 {
		return errors.Join(fmt.Errorf("tick: %v", done), err)
	}
	_, err = d.renew(ctx, document{"source": "aws.secretsmanager", "detail-type": "Secret Label Updated",
		"detail": document{"name": d.SecretPrefix() + delegated, "labelUpdated": "AWSCURRENT", "versionId": "c0ffee00-1111-4000-8000-000000000001"}})
	return err
}

// forgetCursors has the next tick read the index, though a tick of this minute has
// read it.
func (d *deployment) forgetCursors(ctx context.Context) error {
	for shard := range wheel.Shards {
		key := document{"pk": document{"S": "renewer"}, "sk": document{"S": fmt.Sprint("cursor/", shard)}}
		if _, err := d.e.json(ctx, "dynamodb", "DynamoDB_20120810.DeleteItem", document{"TableName": d.Table(), "Key": key}); err != nil {
			return err
		}
	}
	return nil
}

// renew invokes the renewer and returns its summary.
func (d *deployment) renew(ctx context.Context, event document) (done map[string]int, err error) {
	usual := document{"version": "0", "id": "c0ffee00-0000-4000-8000-000000000050", "account": account, "time": "2026-01-01T12:00:00Z", "region": region, "resources": []any{}}
	maps.Copy(usual, event)
	text, err := d.e.do(ctx, "lambda", http.MethodPost, "/2015-03-31/functions/"+d.resources["Renew"]+"/invocations", "application/json", encode(usual))
	if err == nil && json.Unmarshal(text, &done) != nil {
		err = fmt.Errorf("the renewer answered %s", text)
	}
	return done, err
}
