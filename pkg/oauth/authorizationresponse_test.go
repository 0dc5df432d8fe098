package oauth_test

import (
	"errors"
	"fmt"
	"net/url"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/tokenvend/tokenvend/pkg/extra"
	"github.com/tokenvend/tokenvend/pkg/oauth"
	"github.com/tokenvend/tokenvend/pkg/provider"
	"github.com/tokenvend/tokenvend/pkg/redact"
)

const issuer = "https://login.example.com/realm"

// shown is an AuthorizationResponse that can be compared and printed.
type shown struct {
	Code, State, Error, Description, Issuer string
	Refused                                 bool
}

func show(r oauth.AuthorizationResponse) shown {
	return shown{r.Code.Reveal(), r.State.Reveal(), r.Error, r.ErrorDescription, r.Issuer, r.Refused}
}

func TestReadAuthorizationResponse(t *testing.T) {
	iss := "&iss=" + url.QueryEscape(issuer)
	tests := []struct {
		name, query string
		require     bool
		want        shown
	}{
		{"OC-02 code", "code=c1&state=s1", false, shown{Code: "c1", State: "s1"}},
		{"OC-02 as the document shows it", "code=8659m1X-k&scope=cfgateway%20offline_access&state=s1&session_state=x.y", false, shown{Code: "8659m1X-k", State: "s1"}},
		{"OC-02 escapes", "co%64e=a%2Fb%2Bc+d&state=s%31", false, shown{Code: "a/b+c d", State: "s1"}},
		{"OC-59 tokens are not asked for", "code=c1&state=s1&id_token=x&access_token=y", false, shown{Code: "c1", State: "s1"}},
		{"AZ-28 unknown parameters twice", "code=c1&state=s1&scope=a&scope=b&&=&x", false, shown{Code: "c1", State: "s1"}},
		{"BI-32 error without a value", "code=c1&error=&state=s1", false, shown{Code: "c1", State: "s1"}},
		{"OC-02 denied", "error=access_denied&error_description=No+thanks&state=s1", false,
			shown{State: "s1", Error: "access_denied", Description: "No thanks", Refused: true}},
		{"OC-02 denied by OpenID Connect", "error=login_required&state=s1&code=", false, shown{State: "s1", Error: "login_required", Refused: true}},
		{"OC-02 transient", "error=temporarily_unavailable&state=s1", false, shown{State: "s1", Error: "temporarily_unavailable", Refused: true}},
		{"OC-02 unknown error", "error=user_cancelled_login&state=s1", false, shown{State: "s1", Refused: true}},
		{"OC-02 lines in a description", "error=access_denied&error_description=a%0D%0Ab%00%E2%80%AEc&state=s1", false,
			shown{State: "s1", Error: "access_denied", Description: "abc", Refused: true}},
		{"OC-02 long description", "error=access_denied&error_description=" + strings.Repeat("%C3%A9", 300) + "&state=s1", false,
			shown{State: "s1", Error: "access_denied", Description: strings.Repeat("é", 256), Refused: true}},
		{"BI-33 code of 1,025 characters", "code=" + strings.Repeat("c", 1025) + "&state=s1", false, shown{Code: strings.Repeat("c", 1025), State: "s1"}},
		{"BI-33 code of 4,096 characters", "code=" + strings.Repeat("c", 4096) + "&state=s1", false, shown{Code: strings.Repeat("c", 4096), State: "s1"}},
		{"AZ-28 8 KiB in all", "code=c1&state=" + strings.Repeat("s", 8192-14), false, shown{Code: "c1", State: strings.Repeat("s", 8192-14)}},
		{"AZ-28 8 KiB with a parameter that is not read", "code=c1&state=s1&session_state=" + strings.Repeat("s", 8192-31), false, shown{Code: "c1", State: "s1"}},
		{"AZ-28 unread, a bad escape", "code=c1&state=s1&x=%zz", false, shown{Code: "c1", State: "s1"}},
		{"AZ-28 unread, a cut escape", "code=c1&state=s1&x=%e", false, shown{Code: "c1", State: "s1"}},
		{"AZ-28 unread, a bad escape in a name", "code=c1&state=s1&%=1&%zz=2", false, shown{Code: "c1", State: "s1"}},
		{"AZ-28 unread, raw control characters", "x=a\nb&code=c1&state=s1&y=a b\x00", false, shown{Code: "c1", State: "s1"}},
		{"AZ-28 unread, raw bytes", "code=c1&state=s1&x=\xff&\xfe=y", false, shown{Code: "c1", State: "s1"}},
		{"OC-08 issuer", "code=c1&state=s1" + iss, true, shown{Code: "c1", State: "s1", Issuer: issuer}},
		{"OC-08 issuer of a refusal", "error=access_denied&state=s1" + iss, true, shown{State: "s1", Error: "access_denied", Issuer: issuer, Refused: true}},
		{"OC-08 issuer absent, not required", "code=c1&state=s1", false, shown{Code: "c1", State: "s1"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := oauth.ReadAuthorizationResponse(tt.query, oauth.ResponseFormat{Issuer: issuer, RequireIssuer: tt.require})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, show(got)); diff != "" {
				t.Errorf("redirect (-want +got):\n%s", diff)
			}
		})
	}
}

func TestReadAuthorizationResponseRefuses(t *testing.T) {
	tests := []struct{ name, query, want string }{
		{"BI-30 no state", "code=c4n4ry", oauth.ResponseState},
		{"BI-30 empty state", "code=c4n4ry&state=", oauth.ResponseState},
		{"BI-30 state with a space", "code=c4n4ry&state=a+b", oauth.ResponseState},
		{"BI-30 state with a line feed", "code=c4n4ry&state=a%0Ab", oauth.ResponseState},
		{"AZ-28 8 KiB and a byte", "code=c1&state=" + strings.Repeat("c4n4", 2048-3) + "&", oauth.ResponseTooLong},
		{"AZ-28 8 KiB and a byte that is not read", "code=c1&state=s1&session_state=" + strings.Repeat("s", 8192-30), oauth.ResponseTooLong},
		{"BI-32 two codes", "code=c4n4ry&code=c4n4ry&state=s1", oauth.ResponseRepeated},
		{"BI-32 two codes, one escaped", "code=c4n4ry&%63ode=d&state=s1", oauth.ResponseRepeated},
		{"BI-32 two codes, one empty", "code=&code=c4n4ry&state=s1", oauth.ResponseRepeated},
		{"AZ-28 two states", "code=c4n4ry&state=s1&state=s1", oauth.ResponseRepeated},
		{"AZ-28 two issuers", "code=c4n4ry&state=s1&iss=a&iss=a", oauth.ResponseRepeated},
		{"AZ-28 two errors", "error=c4n4ry&error=c4n4ry&state=s1", oauth.ResponseRepeated},
		{"AZ-28 two descriptions", "error=a&error_description=c4n4ry&error_description=b&state=s1", oauth.ResponseRepeated},
		{"BI-32 code and error", "code=c4n4ry&error=access_denied&state=s1", oauth.ResponseBoth},
		{"BI-32 neither", "state=c4n4ry", oauth.ResponseNeither},
		{"BI-32 both empty", "code=&error=&state=c4n4ry", oauth.ResponseNeither},
		{"OC-54 other letters", "Code=c4n4ry&state=s1", oauth.ResponseNeither},
		{"BI-33 CRLF", "code=c4n4ry%0D%0AX&state=s1", oauth.ResponseCode},
		{"BI-33 NUL", "code=c4n4ry%00&state=s1", oauth.ResponseCode},
		{"BI-33 non-ASCII", "code=c4n4ry%C3%A9&state=s1", oauth.ResponseCode},
		{"BI-33 4,097 characters", "code=" + strings.Repeat("c", 4097) + "&state=s1", oauth.ResponseCode},
		{"BI-33 8 KiB", "code=" + strings.Repeat("c", 8192) + "&state=s1", oauth.ResponseTooLong},
		{"BI-34 markup", "error=%3Cscript%3Ec4n4ry&state=s1", oauth.ResponseRefusal},
		{"BI-34 long", "error=" + strings.Repeat("e", 65) + "&state=s1", oauth.ResponseRefusal},
		{"BI-34 sentence", "error=access+denied&state=s1", oauth.ResponseRefusal},
		{"AZ-28 bad escape", "code=c4n4ry%zz&state=s1", oauth.ResponseEncoding},
		{"AZ-28 cut escape", "code=c4n4ry&state=s1&error_description=%e", oauth.ResponseEncoding},
		{"AZ-28 bad escape in an issuer", "code=c4n4ry&state=s1&iss=%", oauth.ResponseEncoding},
		{"AZ-28 raw line feed", "code=c4n4ry&state=s1&error_description=a\nb", oauth.ResponseEncoding},
		{"AZ-28 raw space", "code=c4n4ry&state=s 1", oauth.ResponseEncoding},
		{"AZ-28 raw bytes", "code=c4n4ry\xff&state=s1", oauth.ResponseEncoding},
		{"BI-30 empty", "", oauth.ResponseState},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := oauth.ReadAuthorizationResponse(tt.query, oauth.ResponseFormat{})
			wantRedirectError(t, err, tt.want)
			if !reflect.DeepEqual(got, oauth.AuthorizationResponse{}) {
				t.Errorf("with the error came %+v", got)
			}
		})
	}
}

// TestAuthorizationResponseQuery: what API Gateway decoded reads the same again, and
// takes no more room than it had.
func TestAuthorizationResponseQuery(t *testing.T) {
	for _, params := range []url.Values{
		{"code": {"a/b+c d=&%#?"}, "state": {"s1"}, "a&b=c": {"", "x"}},
		{"code": {strings.Repeat("!$'()*,/:@=", 4096/11)}, "state": {"s1"}},
		{"code": {"c1"}, "state": {"s1"}, "error_description": {"é\x00\n"}, "\xff": {"\xfe"}},
		{},
	} {
		query := oauth.AuthorizationResponseQuery(params)
		again, err := url.ParseQuery(query)
		if diff := cmp.Diff(params, again); err != nil || diff != "" {
			t.Errorf("AZ-28 %q, %v (-want +got):\n%s", query, err, diff)
		}
		if len(query) > len(params.Encode()) || strings.ContainsFunc(query, func(r rune) bool { return r <= ' ' || r > '~' }) {
			t.Errorf("AZ-28 %q of %d bytes", query, len(query))
		}
	}
	longest := url.Values{"code": {strings.Repeat("/", 4096)}, "state": {"s1"}}
	if _, err := oauth.ReadAuthorizationResponse(oauth.AuthorizationResponseQuery(longest), oauth.ResponseFormat{}); err != nil {
		t.Errorf("BI-33 a code of 4,096 special characters: %v", err)
	}
}

func wantRedirectError(t *testing.T, err error, reason string) {
	t.Helper()
	var e *oauth.AuthorizationResponseError
	if !errors.As(err, &e) {
		t.Fatalf("error %v, want a *AuthorizationResponseError", err)
	}
	if want := "the authorization response " + reason; e.Reason != reason || e.Error() != want {
		t.Errorf("error %q, want %q", e, want)
	}
	if strings.Contains(e.Error(), "c4n4ry") {
		t.Errorf("INV-5 the error shows a value: %s", e)
	}
}

func TestReadAuthorizationResponseIssuer(t *testing.T) {
	tests := []struct {
		name, iss string
		require   bool
	}{
		{"BI-36 trailing slash", issuer + "/", false},
		{"BI-36 other letters", "https://LOGIN.example.com/realm", false},
		{"OC-08 another", "https://attacker.example", false},
		{"OC-08 another, required", "https://attacker.example", true},
		{"BI-36 missing when required", "", true},
		{"BI-36 control characters", issuer + "\n", false},
	}
	for _, tt := range tests {
		for _, answer := range []string{"code=c4n4ry", "error=access_denied"} {
			t.Run(tt.name+" "+answer[:4], func(t *testing.T) {
				got, err := oauth.ReadAuthorizationResponse(answer+"&state=s1&iss="+url.QueryEscape(tt.iss), oauth.ResponseFormat{Issuer: issuer, RequireIssuer: tt.require})
				wantRedirectError(t, err, oauth.ResponseIssuer)
				if want := (oauth.AuthorizationResponse{State: redact.New("s1")}); !reflect.DeepEqual(got, want) {
					t.Errorf("OC-08 redirect %+v, want the state alone", show(got))
				}
			})
		}
	}
	t.Run("OC-08 no issuer configured", func(t *testing.T) {
		got, err := oauth.ReadAuthorizationResponse("code=c1&state=s1&iss=https%3A%2F%2Felsewhere.example", oauth.ResponseFormat{RequireIssuer: true})
		if err != nil || got.Code.Reveal() != "c1" || got.Issuer != "https://elsewhere.example" {
			t.Errorf("ReadRedirect = %+v, %v", show(got), err)
		}
	})
}

func TestAuthorizationResponseHidesItself(t *testing.T) {
	got, err := oauth.ReadAuthorizationResponse("code=c4n4ry&state=c4n4ry", oauth.ResponseFormat{})
	if dump := fmt.Sprintf("%v %+v %#v", got, got, got); err != nil || strings.Contains(dump, "c4n4ry") {
		t.Errorf("INV-5 %s, %v", dump, err)
	}
}

// FuzzReadAuthorizationResponse (OC-71): an accepted response has one code or one
// error with a state, is safe in a header or a page, and parses the same when
// encoded again. A refused one returns no code.
// TestCallback: a server's own name of the code, and what else its callback says.
func TestCallback(t *testing.T) {
	kib := strings.Repeat("a", 1<<10)
	format := oauth.ResponseFormat{Callback: provider.Callback{Code: "auth_code",
		Extra: map[string]string{"realm": "realmId", "partner": "selling_partner_id"}}}
	tests := []struct {
		name, query, failure string
		want                 extra.Values
	}{
		{"OC-72 both", "auth_code=c1&state=s1&realmId=12&selling_partner_id=A%20B", "", extra.Values{"realm": "12", "partner": "A B"}},
		{"OC-72 none", "auth_code=c1&state=s1&other=x", "", nil},
		{"OC-72 the code", "auth_code=c1&state=s1&realmId=c1", "", nil},
		{"OC-72 the state", "auth_code=c1&state=s1&realmId=s1", "", nil},
		{"OC-72 more than a KiB", "auth_code=c1&state=s1&realmId=" + kib + "a&selling_partner_id=" + kib, "", extra.Values{"partner": kib}},
		{"OC-72 repeated", "auth_code=c1&state=s1&realmId=1&realmId=2", oauth.ResponseRepeated, nil},
		{"OC-72 not UTF-8", "auth_code=c1&state=s1&realmId=%ff", "", nil},
		{"OC-73 the standard name is not read", "code=c1&state=s1", oauth.ResponseNeither, nil},
		{"OC-73 a code of 4 KiB", "auth_code=" + strings.Repeat("c", 4<<10) + "&state=s1", "", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := oauth.ReadAuthorizationResponse(tt.query, format)
			var refused *oauth.AuthorizationResponseError
			if errors.As(err, &refused) != (tt.failure != "") || refused != nil && refused.Reason != tt.failure {
				t.Fatalf("error %v, want %q", err, tt.failure)
			}
			if err == nil && got.Code.IsZero() || !reflect.DeepEqual(got.Extra, tt.want) {
				t.Errorf("code %v, extra %v; want %v", got.Code.Reveal(), got.Extra, tt.want)
			}
		})
	}
}

func FuzzReadAuthorizationResponse(f *testing.F) {
	for _, seed := range []string{
		"code=c1&state=s1", "code=a%2Fb+c&state=s1&iss=https%3A%2F%2Flogin.example.com%2Frealm", "error=access_denied&error_description=No%0D%0A&state=s1",
		"code=c&code=d&state=s", "code=c&error=e&state=s", "state=s", "", "&&=&%", "code=%zz&state=s", "code=c%00&state=s", "c%6fde=c&state=s;x",
		"error=%3Cscript%3E&state=s", "code=&error=x&state=s", "iss=&iss=&code=c&state=s", "code=c&state=\xff", strings.Repeat("a=b&", 600),
	} {
		f.Add(seed, true)
		f.Add(seed, false)
	}
	f.Fuzz(func(t *testing.T, query string, require bool) {
		got, err := oauth.ReadAuthorizationResponse(query, oauth.ResponseFormat{Issuer: issuer, RequireIssuer: require})
		if err != nil {
			var e *oauth.AuthorizationResponseError
			if !errors.As(err, &e) || !got.Code.IsZero() || got.Refused {
				t.Fatalf("AZ-28 refused with %T, and %+v came along", err, show(got))
			}
			return
		}
		checkRedirect(t, got, require)
		written := rewrite(got)
		if len(written) > 8<<10 {
			return // escaped it is too long
		}
		again, err := oauth.ReadAuthorizationResponse(written, oauth.ResponseFormat{Issuer: issuer, RequireIssuer: require})
		got.ErrorDescription = ""
		if err != nil || !reflect.DeepEqual(again, got) {
			t.Errorf("AZ-28 written again it reads %+v, %v; before %+v", show(again), err, show(got))
		}
	})
}

func checkRedirect(t *testing.T, r oauth.AuthorizationResponse, require bool) {
	t.Helper()
	s := show(r)
	if s.State == "" || s.Refused == (s.Code != "") || len(s.Code) > 4096 || s.Error != "" && !s.Refused {
		t.Errorf("BI-32 %+v", s)
	}
	if require && s.Issuer != issuer || s.Issuer != "" && s.Issuer != issuer {
		t.Errorf("OC-08 issuer %q", s.Issuer)
	}
	for _, text := range []string{s.Code, s.State, s.Error, s.Issuer, s.Description} {
		if strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			t.Errorf("BI-33 control characters in %+v", s)
		}
	}
}

// rewrite encodes a response as a query, without its description.
func rewrite(r oauth.AuthorizationResponse) string {
	params := url.Values{"state": {r.State.Reveal()}, "code": {r.Code.Reveal()}, "iss": {r.Issuer}}
	if r.Refused {
		params.Set("error", r.Error)
		if r.Error == "" {
			params.Set("error", "unknown")
		}
	}
	return params.Encode()
}
