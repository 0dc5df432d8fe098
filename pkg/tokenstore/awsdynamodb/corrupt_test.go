package awsdynamodb_test

import (
	"maps"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/tokenvend/tokenvend/pkg/tokenstore"
)

type attributes = map[string]types.AttributeValue

func str(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }
func num(n string) types.AttributeValue { return &types.AttributeValueMemberN{Value: n} }
func bin(s string) types.AttributeValue { return &types.AttributeValueMemberB{Value: []byte(s)} }
func null() types.AttributeValue        { return &types.AttributeValueMemberNULL{Value: true} }
func list(all ...types.AttributeValue) types.AttributeValue {
	return &types.AttributeValueMemberL{Value: all}
}

// valid returns a valid stored item with every attribute except those of a lease.
func valid() attributes {
	return attributes{
		"schema": num("1"), "version": num("7"), "generation": str("g1"),
		"token_id": str("9f86d081884c7d65"), "sealed": bin("sealed"),
		"minted_at": num("1767323045678"), "expires_at": num("1767326645678"),
		"mint_id": str("m1"), "declaration": str("d1"), "departures": &types.AttributeValueMemberSS{Value: []string{"scope"}}, "fail_detail": str("f1"),
		"extra_names": &types.AttributeValueMemberSS{Value: []string{"instance_url"}}, "secret_version": str("s1"), "used": &types.AttributeValueMemberBOOL{Value: true},
		"lease_seq":  num("3"),
		"fail_count": num("2"), "fail_code": str("provider_unavailable"), "fail_status": num("503"),
		"fail_provider": str("server_error"), "fail_cause": str("c1"),
		"failed_at": num("1767323045000"), "next_attempt_at": num("1767323047000"),
		"rejected_id": str("9f86d081884c7d65"), "forced": list(num("1767323040000"), num("1767323041000")),
		"forced_by": list(str("1767323039000/p0"), str("1767323041000/p1")),
		"must_load": str("s2"), "renew_slot": str("45m/07/3"),
		"variants": &types.AttributeValueMemberSS{Value: []string{"v2", "v1"}},
		"ttl":      num("253402300799"), "ttl_pin": num("253402300799"),
	}
}

// with returns a valid item with changes; a nil value removes an attribute.
func with(changes attributes) attributes {
	item := valid()
	maps.Copy(item, changes)
	maps.DeleteFunc(item, func(_ string, v types.AttributeValue) bool { return v == nil })
	return item
}

// under adds the primary key of key to an item.
func under(key tokenstore.Key, item attributes) attributes {
	item = maps.Clone(item)
	if item == nil {
		item = attributes{}
	}
	item["pk"] = str("connection/" + key.Connection)
	item["sk"] = str("token")
	if key.Subject != "" {
		item["sk"] = str("subject/" + key.Subject)
	}
	return item
}

// corruptions lists corrupt items.
var corruptions = []struct {
	name string
	item attributes
	// bad lists the attributes that the error names.
	bad string
	// keepsToken reports that a repair keeps the token, because only the lease is
	// corrupt.
	keepsToken bool
}{
	{"BI-72 FI-48 a newer schema", with(attributes{"schema": num("2")}), "schema", false},
	{"BI-72 no schema", with(attributes{"schema": nil}), "schema", false},
	{"BI-72 schema is a string", with(attributes{"schema": str("1")}), "schema", false},
	{"BI-72 only a string as version", attributes{"version": str("7")}, "version, schema", false},
	{"BI-72 no version with a token", with(attributes{"version": nil}), "version", false},
	{"BI-72 version is a string", with(attributes{"version": str("7")}), "version", false},
	{"BI-72 version is null", with(attributes{"version": null()}), "version", false},
	{"BI-75 version is negative", with(attributes{"version": num("-1")}), "version", false},
	{"BI-75 version overflows", with(attributes{"version": num("9223372036854775808")}), "version", false},
	{"BI-75 version is about to overflow", with(attributes{"version": num("9223372036854775807")}), "version", false},
	{"BI-75 version is huge", with(attributes{"version": num("1" + strings.Repeat("0", 60))}), "version", false},
	{"BI-75 version is not an integer", with(attributes{"version": num("7.5")}), "version", false},
	{"BI-72 expires_at is a string", with(attributes{"expires_at": str("1767326645678")}), "expires_at", false},
	{"BI-72 expires_at is missing", with(attributes{"expires_at": nil}), "expires_at", false},
	{"BI-72 expires_at is negative", with(attributes{"expires_at": num("-1")}), "expires_at", false},
	{"BI-72 expires_at is in the year 10000", with(attributes{"expires_at": num("253402300800000")}), "expires_at", false},
	{"BI-72 minted_at is missing", with(attributes{"minted_at": nil}), "minted_at", false},
	{"BI-72 token_id is missing", with(attributes{"token_id": nil}), "token_id", false},
	{"BI-72 token_id is a number", with(attributes{"token_id": num("9")}), "token_id", false},
	{"BI-72 sealed is missing", with(attributes{"sealed": nil}), "sealed", false},
	{"BI-72 sealed is a string", with(attributes{"sealed": str("sealed")}), "sealed", false},
	{"BI-72 generation is a list", with(attributes{"generation": list(str("g1"))}), "generation", false},
	{"BI-72 declaration is a number", with(attributes{"declaration": num("1")}), "declaration", false},
	{"BI-72 secret_version is null", with(attributes{"secret_version": null()}), "secret_version", false},
	{"BI-72 used is a string", with(attributes{"used": str("true")}), "used", false},
	{"BI-72 renew_slot is a number", with(attributes{"renew_slot": nil, "rejected_id": num("1")}), "rejected_id", false},
	{"BI-72 fail_count is missing", with(attributes{"fail_count": nil}), "fail_count", false},
	{"BI-72 fail_count is negative", with(attributes{"fail_count": num("-2")}), "fail_count", false},
	{"BI-72 next_attempt_at is missing", with(attributes{"next_attempt_at": nil}), "next_attempt_at", false},
	{"BI-72 next_attempt_at is huge", with(attributes{"next_attempt_at": num("1" + strings.Repeat("0", 30))}), "next_attempt_at", false},
	{"BI-72 fail_status is not a status", with(attributes{"fail_status": num("1000")}), "fail_status", false},
	{"BI-72 failed_at is a string", with(attributes{"failed_at": str("now")}), "failed_at", false},
	{"BI-72 forced is a number", with(attributes{"forced": num("1")}), "forced", false},
	{"BI-72 forced contains a string", with(attributes{"forced": list(num("1767323040000"), str("x"))}), "forced", false},
	{"BI-72 variants is a string", with(attributes{"variants": str("v1")}), "variants", false},
	{"BI-74 lease_until is a string", with(attributes{"lease_owner": str("x"), "lease_until": str("soon")}), "lease_until", true},
	{"BI-74 lease_until is huge", with(attributes{"lease_owner": str("x"), "lease_until": num("1" + strings.Repeat("0", 30))}), "lease_until", true},
	{"BI-74 lease_owner is missing", with(attributes{"lease_until": num("1767323055678")}), "lease_owner", true},
	{"BI-74 lease_owner is a number", with(attributes{"lease_owner": num("1"), "lease_until": num("1767323055678")}), "lease_owner", true},
	{"BI-74 lease_until is missing", with(attributes{"lease_owner": str("x")}), "lease_until", true},
	{"BI-75 lease_seq is a string", with(attributes{"lease_seq": str("3")}), "lease_seq", true},
	{"BI-75 lease_seq is negative", with(attributes{"lease_seq": num("-3")}), "lease_seq", true},
	{"BI-75 lease_seq is huge", with(attributes{"lease_seq": num("1" + strings.Repeat("0", 60))}), "lease_seq", true},
}
