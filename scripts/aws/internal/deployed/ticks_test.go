package deployed_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
)

// eventually polls until the condition holds, at most for the time.
func eventually(ctx context.Context, atMost time.Duration, holds func(context.Context) (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, atMost)
	defer cancel()
	retry := time.NewTicker(100 * time.Millisecond)
	defer retry.Stop()
	for {
		ok, err := holds(ctx)
		if ok {
			return nil
		}
		select {
		case <-retry.C:
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("not within %v", atMost), err)
		}
	}
}

// TestEvents_CR21_changedSecret changes a connection's secret. The event must reach the
// renewer, which replaces the token before a caller asks for it.
func TestEvents_CR21_changedSecret(t *testing.T) {
	d := shared(t)
	const connection = "agile-now"
	former := d.mustVend(t, connection)
	id, asked := d.SecretPrefix()+connection, provider().TokenRequests(connection)
	changed := strings.Replace(string(provider().Connections()[connection]), "{", `{"default_expires_in": 600,`, 1)
	if _, err := d.e.secrets().PutSecretValue(t.Context(), &secretsmanager.PutSecretValueInput{SecretId: &id, SecretString: &changed}); err != nil {
		t.Fatal(err)
	}
	if err := eventually(t.Context(), 20*time.Second, func(context.Context) (bool, error) {
		return provider().TokenRequests(connection) > asked, nil
	}); err != nil {
		t.Fatalf("the renewer asks for a token: %v", err)
	}
	if err := eventually(t.Context(), 10*time.Second, func(ctx context.Context) (bool, error) {
		token, err := d.vend(ctx, connection)
		return err == nil && token != former, err
	}); err != nil {
		t.Errorf("callers get the new token: %v", err)
	}
	if now := provider().TokenRequests(connection); now != asked+1 {
		t.Errorf("%d requests for tokens after the change, want 1 of the renewer", now-asked)
	}
}

// TestEvents_CR21_ticks waits for the schedule. A tick writes its minute to the table.
func TestEvents_CR21_ticks(t *testing.T) {
	d := shared(t)
	key := document{"pk": document{"S": "renewer"}, "sk": document{"S": "cursor/0"}}
	if err := eventually(t.Context(), 70*time.Second, func(ctx context.Context) (bool, error) {
		text, err := d.e.json(ctx, "dynamodb", "DynamoDB_20120810.GetItem", document{"TableName": d.Table(), "Key": key, "ConsistentRead": true})
		var found struct{ Item document }
		return err == nil && json.Unmarshal(text, &found) == nil && len(found.Item) > 0, err
	}); err != nil {
		t.Errorf("a tick: %v", err)
	}
}

// TestLogs_AZ54_AZ56_deployedStack reads what the functions have logged.
func TestLogs_AZ54_AZ56_deployedStack(t *testing.T) {
	d := shared(t)
	secrets := []string{d.mustVend(t, "creative-force"), d.mustVend(t, "cliquify")}
	for _, text := range provider().Connections() {
		var declared struct {
			Secret string `json:"client_secret"`
		}
		if err := json.Unmarshal(text, &declared); err != nil || declared.Secret == "" {
			t.Fatalf("a declaration without secret: %v", err)
		}
		secrets = append(secrets, declared.Secret)
	}
	if got, err := d.unsigned(t.Context(), http.MethodGet, "/consent/"+strings.Repeat("A", 43), ""); err != nil || got.status != http.StatusBadRequest {
		t.Fatalf("a consent that does not exist: %s, %v", got, err)
	}
	if got, err := d.signed(t.Context(), administrator, http.MethodGet, "/connections", ""); err != nil || got.status != http.StatusOK {
		t.Fatalf("the connections: %s, %v", got, err)
	}
	for group, message := range map[string]string{"VendLog": "audit", "ConnectionsLog": "audit", "ConsentLog": "audit", "RenewLog": "run"} {
		var text []byte
		// The renewer runs once a minute.
		if err := eventually(t.Context(), 70*time.Second, func(ctx context.Context) (_ bool, err error) {
			text, err = d.e.json(ctx, "logs", "Logs_20140328.FilterLogEvents", document{"logGroupName": d.resources[group]})
			return strings.Contains(string(text), `\"msg\":\"`+message+`\"`), err
		}); err != nil {
			t.Errorf("a line %q in %s: %v", message, group, err)
		}
		for i, secret := range secrets {
			if strings.Contains(string(text), secret) {
				t.Errorf("%s has the secret %d in plain text", group, i)
			}
		}
	}
}
