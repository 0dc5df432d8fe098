package strictjson_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenvend/tokenvend/pkg/strictjson"
)

func TestLookup(t *testing.T) {
	root, err := strictjson.Parse([]byte(`{"token":{"access_token":"t"},"list":["x",{"y":1}],"a/b":1,"m~n":2,"~1":3,"":4,"null":null,"00":5}`))
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		pointer string
		want    any
		wantOK  bool
	}{
		{"", root, true},
		{"/token/access_token", "t", true},
		{"/list/0", "x", true},
		{"/list/1/y", json.Number("1"), true},
		{"/a~1b", json.Number("1"), true},
		{"/m~0n", json.Number("2"), true},
		{"/~01", json.Number("3"), true},
		{"/", json.Number("4"), true},
		{"/00", json.Number("5"), true},
		{"/null", nil, true},
		{"/list/00", nil, false},
		{"/list/+1", nil, false},
		{"/list/-1", nil, false},
		{"/list/-", nil, false},
		{"/list/2", nil, false},
		{"/list/99999999999999999999", nil, false},
		{"/token/missing", nil, false},
		{"/Token", nil, false},
		{"/null/x", nil, false},
		{"/token/access_token/x", nil, false},
		{"/token/", nil, false},
		{"token", nil, false},
		{"/m~n", nil, false},
	}
	for _, tt := range tests {
		t.Run("OC-64 "+tt.pointer, func(t *testing.T) {
			got, ok := strictjson.Lookup(root, tt.pointer)
			if ok != tt.wantOK || !cmp.Equal(got, tt.want) {
				t.Errorf("Lookup = %v, %v; want %v, %v", got, ok, tt.want, tt.wantOK)
			}
		})
	}
}

func TestCheckPointer(t *testing.T) {
	tests := []struct {
		pointer string
		ok      bool
	}{
		{"", true}, {"/", true}, {"/a", true}, {"/a/b", true}, {"/a~0b~1c", true}, {"/~0~0", true},
		{"a", false}, {"token.access_token", false}, {"#/a", false}, {"/a~", false}, {"/a~2", false}, {"/~0~", false},
	}
	for _, tt := range tests {
		t.Run("BI-51 "+tt.pointer, func(t *testing.T) {
			if err := strictjson.CheckPointer(tt.pointer); (err == nil) != tt.ok {
				t.Errorf("CheckPointer = %v, want ok %v", err, tt.ok)
			}
		})
	}
}
