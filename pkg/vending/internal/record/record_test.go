package record

import (
	"fmt"
	"testing"
	"time"

	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/provider"
	"github.com/tokenvend/tokenvend/pkg/redact"
	"github.com/tokenvend/tokenvend/pkg/tokenstore"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/rules"
	"github.com/tokenvend/tokenvend/pkg/vending/internal/token"
)

var now = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

func recordOf(name string, version int64) Record {
	return Record{Item: tokenstore.Item{Key: tokenstore.Key{Connection: name}, Version: version}, readAt: now,
		Token: token.Token{ID: "1", MintedAt: now, ExpiresAt: now.Add(time.Hour)}}
}

func TestCacheKeepsTheNewerVersion(t *testing.T) {
	unstored := recordOf("crm", 2)
	unstored.unstored = true
	for _, c := range []struct {
		name  string
		known Record
		read  int64
		want  int64
	}{
		{"CR-29 a lagging replica", recordOf("crm", 3), 2, 3},
		{"a newer version", recordOf("crm", 3), 4, 4},
		{"FI-26 a token that is not stored yet", unstored, 1, 2},
		{"FI-49 a drop since it was minted", unstored, 3, 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			var cache cache
			cache.put(c.known)
			cache.putIfNewer(recordOf("crm", c.read))
			if got, _ := cache.get(c.known.Item.Key); got.Item.Version != c.want {
				t.Errorf("version %d, want %d", got.Item.Version, c.want)
			}
		})
	}
}

func TestCacheIsBounded(t *testing.T) {
	var cache cache
	for i := range rules.ProcessMemory + 100 {
		cache.put(recordOf(fmt.Sprint("c", i), 1))
	}
	if len(cache.records) != rules.ProcessMemory {
		t.Errorf("%d records, want %d", len(cache.records), rules.ProcessMemory)
	}
}

func TestRecordIsFresh(t *testing.T) {
	for age, want := range map[time.Duration]bool{0: true, cacheAge - 1: true, cacheAge: false, -time.Second: false} {
		if got := recordOf("crm", 1).fresh(now.Add(age)); got != want {
			t.Errorf("at an age of %v: fresh %v, want %v", age, got, want)
		}
	}
}

func TestRefreshedGrant(t *testing.T) {
	end, stated := now.Add(90*24*time.Hour), now.Add(7*24*time.Hour)
	former := Grant{RefreshToken: redact.New("refresh_1"), Scope: "read"}
	former.ExpiresAt = end
	documented := connection.Connection{RefreshToken: provider.RefreshToken{ExpiresIn: 24 * time.Hour}}
	for _, c := range []struct {
		name      string
		issued    token.Issued
		wantToken string
		wantEnd   time.Time
	}{
		{"no refresh token", token.Issued{}, "refresh_1", end},
		{"the same one", token.Issued{RefreshToken: redact.New("refresh_1")}, "refresh_1", end},
		{"no refresh token, another end", token.Issued{RefreshExpiresAt: stated}, "refresh_1", stated},
		{"CR-27 a new one with a stated end", token.Issued{RefreshToken: redact.New("refresh_2"), RefreshExpiresAt: stated}, "refresh_2", stated},
		{"CR-27 a new one with the documented lifetime", token.Issued{RefreshToken: redact.New("refresh_2")}, "refresh_2", now.Add(24 * time.Hour)},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.issued.MintedAt = now
			got := former.Refreshed(documented, c.issued)
			if got.RefreshToken.Reveal() != c.wantToken || !got.ExpiresAt.Equal(c.wantEnd) || !got.RefreshedAt.Equal(now) || got.Scope != "read" {
				t.Errorf("%s until %v, want %s until %v", got.RefreshToken.Reveal(), got.ExpiresAt, c.wantToken, c.wantEnd)
			}
		})
	}
}
