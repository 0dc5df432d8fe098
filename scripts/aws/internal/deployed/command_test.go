package deployed_test

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// command runs the operator's command as a program, with the emulator as AWS.
type command struct {
	e       *emulator
	program string
}

func newCommand(t *testing.T, e *emulator) command {
	t.Helper()
	c := command{e, filepath.Join(t.TempDir(), "tokenvend")}
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", c.program, filepath.Join(root, "scripts", "tokenvend")).CombinedOutput(); err != nil {
		t.Fatalf("build the command: %v\n%s", err, out)
	}
	return c
}

// mustRun returns what the command printed. It gets the text as standard input.
func (c command) mustRun(t *testing.T, input string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), c.program, args...)
	cmd.Stdin = strings.NewReader(input)
	cmd.Env = append(os.Environ(), "AWS_ENDPOINT_URL="+c.e.server.URL, "AWS_REGION="+region,
		"AWS_ACCESS_KEY_ID="+administrator.AccessKeyID, "AWS_SECRET_ACCESS_KEY="+administrator.SecretAccessKey, "AWS_SESSION_TOKEN=")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("tokenvend %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// TestCommand_AZ52_operatesTheStack is the life of a stack in an operator's hands: a
// connection is declared, the sealing key rotates while tokens are served, and after
// the deletion of the stack what it leaves behind is deleted.
func TestCommand_AZ52_operatesTheStack(t *testing.T) {
	e := needsEmulator(t)
	d, err := e.deploy(t.Context(), "operated", usual("SecretPrefix", "operated/"))
	if err != nil {
		t.Fatal(err)
	}
	run := newCommand(t, e)
	if outputs := run.mustRun(t, "", "stack", "outputs", "--stack=operated"); !strings.Contains(outputs, d.URL()) {
		t.Errorf("the outputs lack the URL:\n%s", outputs)
	}
	declaration := string(provider().Connections()["cliquify"])
	said := run.mustRun(t, declaration, "connections", "add", "cliquify", "--try", "--yes", "--stack=operated")
	token := d.mustVend(t, "cliquify")
	if strings.Contains(said, token) {
		t.Error("AZ-53 the command printed the token")
	}
	run.mustRun(t, "", "keyset", "rotate", "--again", "--yes", "--stack=operated")
	if status := run.mustRun(t, "", "keyset", "status", "--stack=operated"); !strings.Contains(status, "k2") {
		t.Errorf("after the first step of a rotation there is no second key:\n%s", status)
	}
	if again, err := d.vend(t.Context(), "cliquify"); err != nil || again != token {
		t.Errorf("after the rotation the token is not the stored one, or: %v", err)
	}
	if err := e.remove(t.Context(), "operated"); err != nil {
		t.Fatal(err)
	}
	if got, err := d.signed(t.Context(), administrator, http.MethodGet, "/connections/cliquify/token", ""); err == nil && got.status == http.StatusOK {
		t.Error("a deleted stack served a token")
	}
	run.mustRun(t, "", "stack", "delete-table", d.Table(), "--yes")
	for _, secret := range []string{d.SealingKeyset(), d.ConsentKeyset(), "operated/cliquify"} {
		run.mustRun(t, "", "stack", "delete-secret", secret, "--yes")
	}
	if _, err := e.json(t.Context(), "dynamodb", "DynamoDB_20120810.DescribeTable", document{"TableName": d.Table()}); err == nil || !strings.Contains(err.Error(), "ResourceNotFoundException") {
		t.Errorf("the table after its deletion: %v", err)
	}
}
