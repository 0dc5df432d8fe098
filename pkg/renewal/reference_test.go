package renewal_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/tokenvend/tokenvend/pkg/clientsecret"
	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/redact"
	"github.com/tokenvend/tokenvend/pkg/renewal"
	"github.com/tokenvend/tokenvend/pkg/vending"
)

// other is one secret that connections refer to.
type other struct {
	mu      sync.Mutex
	version int
	err     error
}

func (o *other) Load(_ context.Context, id string, _ clientsecret.Stage, _ bool) (clientsecret.Secret, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	v := fmt.Sprintf("w%d", o.version)
	return clientsecret.Secret{Name: id, ARN: "arn:" + id, VersionID: v, Text: redact.New(v)}, o.err
}

func (o *other) Version(ctx context.Context, id string) (clientsecret.Version, error) {
	s, err := o.Load(ctx, id, clientsecret.Current, true)
	return clientsecret.Version{Name: id, ARN: s.ARN, VersionID: s.VersionID}, err
}

func (o *other) set(version int, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.version, o.err = version, err
}

// TestReferences_CR21: the sweep notices that a referenced secret has another version.
func TestReferences_CR21(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, rotating := newFixture(t), &other{version: 1}
		f.core = vending.New(vending.Config{Store: f.store, Secrets: f.secrets, Minter: f.server, Revoker: f.server, Sealer: f.sealer,
			Parser: connection.Parser{References: rotating}})
		f.renewer = renewal.New(renewal.Config{Core: f.core, Index: f.store, Documents: f.store, Versions: f.secrets, References: rotating, Audit: f.audit})
		f.secrets.put("crm", `{"provider":"oauth2","client_id":"a","client_secret":{"secret":"vendors/crm"},"token_url":"https://idp.example.com/token"}`)
		f.vend("crm")
		if run := f.ticks(2); run.Recorded != 0 || run.Reissued != 0 {
			t.Errorf("unchanged: %+v", run)
		}
		rotating.set(2, nil)
		if run := f.ticks(1); run.Recorded != 1 || run.Reissued != 1 {
			t.Errorf("CR-21 rotated: %+v", run)
		}
		if run := f.ticks(2); run.Recorded != 0 || run.Reissued != 0 {
			t.Errorf("CR-21 after that: %+v", run)
		}
		rotating.set(3, clientsecret.ErrUnavailable)
		if run := f.ticks(1); run.Recorded != 0 {
			t.Errorf("FI-34 throttled: %+v", run)
		}
		rotating.set(3, nil)
		if run := f.ticks(1); run.Recorded != 1 {
			t.Errorf("FI-34 after that: %+v", run)
		}
	})
}
