package clientsecret_test

import (
	"errors"
	"testing"

	"github.com/tokenvend/tokenvend/pkg/clientsecret"
)

func TestAllowed_BI53(t *testing.T) {
	const owner = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:"
	allowed := clientsecret.Allowed{
		Patterns: []string{owner + "vendors/*", owner + "exact-AbCdEf", owner + "one-??????", owner + "*"},
		Keysets:  []string{owner + "SealingKeyset-x1-QwErTy", "named-keyset"},
	}
	narrow := clientsecret.Allowed{Patterns: allowed.Patterns[:3], Keysets: allowed.Keysets}
	for _, c := range []struct {
		name    string
		of      clientsecret.Allowed
		id      string
		id1     bool // CheckID
		arn     string
		allowed bool // CheckARN
	}{
		{"BI-53 by name", narrow, "vendors/crm", true, owner + "vendors/crm-AbCdEf", true},
		{"BI-53 by ARN", narrow, owner + "vendors/crm-AbCdEf", true, owner + "vendors/crm-AbCdEf", true},
		{"BI-53 by ARN without the suffix", narrow, owner + "one", true, owner + "one-AbCdEf", true},
		{"BI-53 the suffix has six characters", narrow, "one", true, owner + "one-AbCdEf", true},
		{"BI-53 an exact ARN, by name", narrow, "exact", true, owner + "exact-AbCdEf", true},
		{"BI-53 the same name, created again", narrow, "exact", true, owner + "exact-FeDcBa", false},
		{"BI-53 a longer name", narrow, "one-more", false, owner + "one-more-AbCdEf", false},
		{"BI-53 outside", narrow, "payroll", false, owner + "payroll-AbCdEf", false},
		{"BI-53 another account", narrow, "arn:aws:secretsmanager:eu-west-1:444455556666:secret:vendors/crm-AbCdEf", false,
			"arn:aws:secretsmanager:eu-west-1:444455556666:secret:vendors/crm-AbCdEf", false},
		{"BI-53 none is allowed", clientsecret.Allowed{}, "vendors/crm", false, owner + "vendors/crm-AbCdEf", false},
		{"AZ-50 a keyset by name", allowed, "SealingKeyset-x1", false, owner + "SealingKeyset-x1-QwErTy", false},
		{"AZ-50 a keyset by ARN", allowed, owner + "SealingKeyset-x1-QwErTy", false, owner + "SealingKeyset-x1-QwErTy", false},
		{"AZ-50 a keyset by ARN without the suffix", allowed, owner + "SealingKeyset-x1", false, owner + "SealingKeyset-x1-QwErTy", false},
		{"AZ-50 a keyset that is configured by name", allowed, "named-keyset", false, owner + "named-keyset-AbCdEf", false},
		{"AZ-50 not what only resembles one", allowed, "named-keyset-copy-x", true, owner + "named-keyset-copy-x-AbCdEf", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			for what, got := range map[string]struct {
				err     error
				allowed bool
			}{"id": {c.of.CheckID(c.id), c.id1}, "ARN": {c.of.CheckARN(c.arn), c.allowed}} {
				if (got.err == nil) != got.allowed || got.err != nil && !errors.Is(got.err, clientsecret.ErrNotAllowed) {
					t.Errorf("%s: %v, allowed should be %v", what, got.err, got.allowed)
				}
			}
		})
	}
}
