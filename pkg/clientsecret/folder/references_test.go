package folder_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tokenvend/tokenvend/pkg/clientsecret"
	"github.com/tokenvend/tokenvend/pkg/clientsecret/folder"
)

func TestReferences_BI53(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		file := filepath.Join(dir, "references", name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o700), os.WriteFile(file, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	write("vendors/crm.json", "first")
	if err := os.WriteFile(filepath.Join(dir, "erp.json"), []byte("a connection"), 0o600); err != nil {
		t.Fatal(err)
	}
	references := folder.NewReferences(folder.Config{Path: dir})
	load := func(id string, stage clientsecret.Stage) (clientsecret.Secret, error) {
		return references.Load(t.Context(), id, stage, true)
	}
	for _, id := range []string{"vendors/crm.json", "arn:aws:secretsmanager:eu-west-1:111122223333:secret:vendors/crm.json-AbCdEf"} {
		if s, err := load(id, clientsecret.Current); err != nil || s.Text.Reveal() != "first" || s.Name != id || s.Origin != "file references/vendors/crm.json" {
			t.Errorf("%s: %+v, %v", id, s, err)
		}
	}
	for name, id := range map[string]string{"a missing file": "vendors/erp", "a connection's file": "../erp.json", "a file outside": "../../x"} {
		t.Run("BI-53 "+name, func(t *testing.T) {
			if _, err := load(id, clientsecret.Current); !errors.Is(err, clientsecret.ErrNotFound) || !strings.Contains(err.Error(), "references/") {
				t.Errorf("%v", err)
			}
		})
	}
	t.Run("CR-20 an edit is a new version", func(t *testing.T) {
		before, _ := references.Version(t.Context(), "vendors/crm.json")
		write("vendors/crm.json", "second")
		after, err := references.Version(t.Context(), "vendors/crm.json")
		if err != nil || after.VersionID == before.VersionID || after.ARN != before.ARN {
			t.Errorf("%+v, then %+v, %v", before, after, err)
		}
		if s, err := load("vendors/crm.json", clientsecret.Previous); err != nil || s.Text.Reveal() != "first" {
			t.Errorf("the previous version: %v, %v", s.VersionID, err)
		}
	})
	t.Run("CR-38 none of a missing file", func(t *testing.T) {
		if v, err := references.Version(t.Context(), "vendors/erp"); err != nil || v.VersionID != "" {
			t.Errorf("%+v, %v", v, err)
		}
	})
}
