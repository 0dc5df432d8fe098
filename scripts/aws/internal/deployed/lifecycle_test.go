package deployed_test

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
)

// TestStacks_AZ43_doNotSeeEachOther deploys a second stack in the same account and region.
func TestStacks_AZ43_doNotSeeEachOther(t *testing.T) {
	one := shared(t)
	ctx := t.Context()
	two, err := one.e.deploy(ctx, "second", usual("SecretPrefix", "second/"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = one.e.remove(context.WithoutCancel(ctx), "second") }() // the emulator ends anyway
	for _, output := range []string{"Url", "TableName", "SecretPrefix", "SealingKeyset", "ConsentKeyset", "LogGroups", "DeadLetterQueue"} {
		if one.Outputs[output] == two.Outputs[output] {
			t.Errorf("both stacks have the output %s %q", output, one.Outputs[output])
		}
	}
	const shared = "cliquify"
	two.add(t, shared)
	if one.mustVend(t, shared) == two.mustVend(t, shared) {
		t.Error("both stacks have the same token of a connection with the same name")
	}
	callerOfOne := one.e.newCaller(t, "caller-of-one", one.only(shared))
	if got, err := two.signed(ctx, callerOfOne, http.MethodGet, "/connections/"+shared+"/token", ""); err != nil || !got.byIAM() {
		t.Errorf("a caller of the other stack: %s, %v", got, err)
	}
	hidden, err := two.newConnection(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := one.signed(ctx, administrator, http.MethodGet, "/connections/"+hidden+"/token", ""); err != nil || got.status != http.StatusNotFound {
		t.Errorf("a connection of the other stack: %s, %v; want status 404", got, err)
	}
	if got, err := one.signed(ctx, administrator, http.MethodGet, "/connections", ""); err != nil || strings.Contains(string(got.body), hidden) {
		t.Errorf("the list has a connection of the other stack: %s, %v", got, err)
	}
	t.Run("CR21 a changed secret", func(t *testing.T) { testChangeElsewhere(t, one, two, shared) })
}

// testChangeElsewhere changes a connection of the second stack. Its token is replaced,
// that of the first stack stays.
func testChangeElsewhere(t *testing.T, one, two *deployment, connection string) {
	kept, former := one.mustVend(t, connection), two.mustVend(t, connection)
	id := two.SecretPrefix() + connection
	changed := strings.Replace(string(provider().Connections()[connection]), "{", `{"default_expires_in": 600,`, 1)
	if _, err := two.e.secrets().PutSecretValue(t.Context(), &secretsmanager.PutSecretValueInput{SecretId: &id, SecretString: &changed}); err != nil {
		t.Fatal(err)
	}
	if err := eventually(t.Context(), 20*time.Second, func(ctx context.Context) (bool, error) {
		token, err := two.vend(ctx, connection)
		return err == nil && token != former, err
	}); err != nil {
		t.Fatalf("the token of the changed connection is replaced: %v", err)
	}
	if token, err := one.vend(t.Context(), connection); err != nil || token != kept {
		t.Errorf("the other stack's token was replaced too, or: %v", err)
	}
}

// TestDeploy_failedCreation fails at the last resource of a first deployment. What
// is retained only after a success is gone, so that the next try has no names in its way.
func TestDeploy_failedCreation(t *testing.T) {
	e := needsEmulator(t)
	ctx := t.Context()
	parameters := usual("DomainName", "failed.example.com", "CertificateArn", "arn:aws:acm:us-east-1:000000000000:certificate/1", "HostedZoneId", "ZABSENT")
	if _, err := e.deploy(ctx, "failed", parameters); err == nil {
		t.Fatal("a stack was created with a record in a hosted zone that does not exist")
	}
	if status, err := e.status(ctx, "failed"); err != nil || status != types.StackStatusRollbackComplete {
		t.Fatalf("the stack is %s, %v", status, err)
	}
	text, err := e.iam(ctx, "ListRoles", map[string][]string{})
	if err != nil || strings.Contains(string(text), "failed-") {
		t.Errorf("the failed stack left a role: %v\n%s", err, text)
	}
	for service, target := range map[string]string{"secretsmanager": "secretsmanager.ListSecrets", "logs": "Logs_20140328.DescribeLogGroups"} {
		text, err := e.json(ctx, service, target, document{})
		if err != nil || strings.Contains(string(text), "failed-") || strings.Contains(string(text), "/failed/") {
			t.Errorf("the failed stack left something of %s: %v\n%s", service, err, text)
		}
	}
	if err := e.remove(ctx, "failed"); err != nil {
		t.Fatalf("delete the failed stack: %v", err)
	}
	delete(parameters, "HostedZoneId")
	d, err := e.deploy(ctx, "failed", parameters)
	if err != nil {
		t.Fatalf("deploy again: %v", err)
	}
	d.add(t, "cliquify")
	d.mustVend(t, "cliquify")
	if err := e.remove(ctx, "failed"); err != nil {
		t.Error(err)
	}
}

// TestDeploy_updateWhileServing updates the stack while callers ask for tokens,
// and once more with an update that fails and is rolled back.
func TestDeploy_updateWhileServing(t *testing.T) {
	e := needsEmulator(t)
	ctx := t.Context()
	d, err := e.deploy(ctx, "updated", usual("SecretPrefix", "updated/"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = e.remove(context.WithoutCancel(ctx), "updated") }() // the emulator ends anyway
	d.add(t, "cliquify")
	first := d.mustVend(t, "cliquify")
	stop := serveMeanwhile(t, d, first)
	if _, err := e.deploy(ctx, "updated", usual("SecretPrefix", "updated/", "LogLevel", "debug", "Monitoring", "basic", "RequestsPerSecond", "100")); err != nil {
		t.Errorf("update: %v", err)
	}
	failing := usual("SecretPrefix", "updated/", "DomainName", "updated.example.com", "CertificateArn", "arn:aws:acm:us-east-1:000000000000:certificate/1", "HostedZoneId", "ZABSENT")
	if _, err := e.deploy(ctx, "updated", failing); err == nil {
		t.Error("an update with a record in a hosted zone that does not exist succeeded")
	}
	if status, err := e.status(ctx, "updated"); err != nil || status != types.StackStatusUpdateRollbackComplete {
		t.Errorf("after the failed update the stack is %s, %v", status, err)
	}
	stop()
	if token, err := d.vend(ctx, "cliquify"); err != nil || token != first {
		t.Errorf("the token did not survive the updates, or: %v", err)
	}
}

// killed is the emulator's answer when it ends a process that serves a request, which
// it does at a change of a function and AWS does not.
const killed = "Runtime exited before returning a response"

// serveMeanwhile has two callers ask for a token until the returned function is
// called, and wants the same token every time.
func serveMeanwhile(t *testing.T, d *deployment, want string) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var callers sync.WaitGroup
	var served, ended [2]int
	for i := range served {
		callers.Go(func() {
			for ctx.Err() == nil {
				got, err := d.signed(t.Context(), administrator, http.MethodGet, "/connections/cliquify/token", "")
				switch {
				case err == nil && got.token() == want:
					served[i]++
				case err == nil && strings.Contains(string(got.body), killed):
					ended[i]++
				default:
					t.Errorf("while the stack is updated: %s %.200s, %v", got, got.body, err)
					return
				}
			}
		})
	}
	return func() {
		cancel()
		callers.Wait()
		for i := range served {
			// Both updates and the way back change the functions at most once.
			if served[i] < 10 || ended[i] > 3 {
				t.Errorf("caller %d: %d requests were served, and the emulator ended %d", i, served[i], ended[i])
			}
		}
	}
}
