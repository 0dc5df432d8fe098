package egress_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/tokenvend/tokenvend/pkg/egress"
)

func allow(networks ...string) egress.Policy {
	var p egress.Policy
	for _, n := range networks {
		p.Allow = append(p.Allow, netip.MustParsePrefix(n))
	}
	return p
}

func TestCheckURLPublic(t *testing.T) {
	tests := []struct{ name, url, fault string }{
		{"AZ-40 public name", "https://login.example.com/oAuth/rest/v2/Token", ""},
		{"AZ-40 query", "https://login.example.com/token?tenant=a%20b", ""},
		{"AZ-40 port 443", "https://login.example.com:443/token", ""},
		{"AZ-40 port 1024", "https://login.example.com:1024/token", ""},
		{"AZ-40 port 65535", "https://login.example.com:65535/token", ""},
		{"AZ-40 punycode", "https://xn--bcher-kva.example/token", ""},
		{"AZ-40 upper case", "HTTPS://Login.Example.COM/token", ""},
		{"AZ-40 digits in the name", "https://1and1.example.com/", ""},
		{"AZ-40 longest", "https://login.example.com/" + strings.Repeat("a", 2048-26), ""},
		{"AZ-40 too long", "https://login.example.com/" + strings.Repeat("a", 2049-26), "longer than 2048"},
		{"BI-42 empty", "", "empty"},
		{"BI-42 http", "http://login.example.com/", "uses http"},
		{"BI-42 ftp", "ftp://login.example.com/", "must begin with https"},
		{"BI-42 no scheme", "login.example.com/token", "must begin with https"},
		{"BI-42 scheme-relative", "//login.example.com/token", "must begin with https"},
		{"BI-42 opaque", "https:login.example.com", "has no host"},
		{"BI-42 no host", "https:///token", "has no host"},
		{"BI-42 only a port", "https://:443/token", "has no host"},
		{"BI-42 userinfo", "https://user:pa55@login.example.com/", "user name or password"},
		{"BI-42 empty userinfo", "https://@login.example.com/", "user name or password"},
		{"BI-42 fragment", "https://login.example.com/#a", "fragment"},
		{"BI-42 empty fragment", "https://login.example.com/#", "fragment"},
		{"BI-42 port 22", "https://login.example.com:22/", "privileged port"},
		{"BI-42 port 80", "https://login.example.com:80/", "privileged port"},
		{"BI-42 port 0", "https://login.example.com:0/", "outside 1 to 65535"},
		{"BI-42 port 65536", "https://login.example.com:65536/", "outside 1 to 65535"},
		{"BI-42 port without digits", "https://login.example.com:/", "colon without a port"},
		{"BI-42 port a word", "https://login.example.com:https/", "is not a URL"},
		{"BI-43 metadata", "https://169.254.169.254/", "contains an IP address"},
		{"BI-43 runtime API", "https://127.0.0.1:9001/", "contains an IP address"},
		{"BI-43 public address", "https://8.8.8.8/", "contains an IP address"},
		{"BI-43 IPv6 loopback", "https://[::1]/", "contains an IP address"},
		{"BI-43 IPv6 public", "https://[2606:4700::1111]/", "contains an IP address"},
		{"BI-43 IPv4-mapped", "https://[::ffff:169.254.169.254]/", "contains an IP address"},
		{"BI-43 IPv6 zone", "https://[fe80::1%25eth0]/", "IPv6 zone"},
		{"BI-43 decimal", "https://2130706433/", "unusual form"},
		{"BI-43 hexadecimal", "https://0x7f000001/", "unusual form"},
		{"BI-43 upper-case hexadecimal", "https://0X7F000001/", "unusual form"},
		{"BI-43 mixed", "https://0x7f.1/", "unusual form"},
		{"BI-43 last part hexadecimal", "https://127.0.0.0x1/", "unusual form"},
		{"BI-43 octal", "https://0177.0.0.1/", "unusual form"},
		{"BI-43 short", "https://127.1/", "unusual form"},
		{"BI-43 numeric last label", "https://example.com.1/", "unusual form"},
		{"BI-43 trailing dot", "https://127.0.0.1./", "ends with a dot"},
		{"BI-43 localhost", "https://localhost/", "has the host localhost"},
		{"BI-43 localhost in upper case", "https://LOCALHOST:8443/", "has the host localhost"},
		{"BI-43 below localhost", "https://idp.localhost/", "has the host localhost"},
		{"BI-43 localhost with a dot", "https://localhost./", "ends with a dot"},
		{"BI-43 single label", "https://idp/", "not public"},
		{"BI-43 internal", "https://ip-10-0-0-5.ec2.internal/", "not public"},
		{"BI-43 local", "https://idp.local/", "not public"},
		{"BI-43 localdomain", "https://localhost.localdomain/", "not public"},
		{"BI-43 home.arpa", "https://idp.home.arpa/", "not public"},
		{"BI-43 ends like a private suffix", "https://idp.mylocal/", ""},
		{"AZ-40 international name", "https://bücher.example/", "punycode"},
		{"AZ-40 space", "https://login.example.com/a b", "a space"},
		{"AZ-40 line break", "https://login.example.com/\r\nX: y", "control"},
		{"AZ-40 underscore", "https://my_idp.example.com/", "not a host name"},
		{"AZ-40 percent in the host", "https://login%2eexample.com/", "is not a URL"},
		{"AZ-40 empty label", "https://login..example.com/", "not a host name"},
		{"AZ-40 hyphen first", "https://-login.example.com/", "not a host name"},
		{"AZ-40 long label", "https://" + strings.Repeat("a", 64) + ".example.com/", "not a host name"},
		{"AZ-40 long name", "https://" + strings.Repeat("abc.", 63) + "example/", "not a host name"},
		{"AZ-40 backslash", `https://login.example.com\@evil.example/`, "is not a URL"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { wantFault(t, egress.Policy{}.CheckURL(tt.url), tt.fault) })
	}
}

func TestCheckURLInAllow(t *testing.T) {
	loopback, private := allow("127.0.0.0/8", "::1/128"), allow("10.0.0.0/8")
	tests := []struct {
		name    string
		policy  egress.Policy
		url     string
		fault   string
		private bool
	}{
		{"AZ-40 literal, http, any port", loopback, "http://127.0.0.1:80/token", "", true},
		{"AZ-40 literal, https", loopback, "https://127.0.0.1:22/token", "", true},
		{"AZ-40 IPv6 literal", loopback, "http://[::1]:8090/token", "", true},
		{"AZ-40 IPv4-mapped literal", loopback, "http://[::ffff:127.0.0.1]:8090/", "", true},
		{"AZ-40 literal outside", loopback, "http://10.0.0.5/", "contains an IP address", false},
		{"AZ-40 public literal outside", private, "https://8.8.8.8/", "contains an IP address", false},
		{"AZ-40 decimal stays refused", loopback, "http://2130706433/", "unusual form", false},
		{"AZ-40 localhost", loopback, "http://localhost:8090/", "", true},
		{"AZ-40 localhost without a loopback", private, "http://localhost:8090/", "has the host localhost", false},
		{"AZ-40 one loopback address", allow("127.0.0.1/32"), "http://localhost/", "", true},
		{"AZ-40 private name", private, "https://idp.internal/", "", true},
		{"AZ-40 single label", private, "http://idp:8080/", "", true},
		{"AZ-40 public name over http", private, "http://login.example.com/", "", true},
		{"AZ-40 public name stays public", private, "https://login.example.com/", "", false},
		{"AZ-40 userinfo", private, "https://u:p@idp.internal/", "user name or password", false},
		{"AZ-40 ftp", private, "ftp://idp.internal/", "must begin with https", false},
		{"AZ-40 port 0", private, "http://idp.internal:0/", "outside 1 to 65535", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d, err := tt.policy.Parse(tt.url)
			wantFault(t, err, tt.fault)
			if d.Private != tt.private {
				t.Errorf("Private = %v, want %v", d.Private, tt.private)
			}
		})
	}
}

func TestURLErrorsKeepCredentials(t *testing.T) {
	const canary = "canary-7Qz"
	for _, url := range []string{
		"https://u:" + canary + "@login.example.com/", "http://localhost/?key=" + canary, "https://127.1/?key=" + canary,
		"https://h:" + canary + "/", "https://login.example.com/%zz" + canary, "https://login.example.com/#" + canary,
	} {
		err := egress.Policy{}.CheckURL(url)
		if err == nil || strings.Contains(err.Error(), canary) {
			t.Errorf("INV-5 CheckURL error = %v; want one that does not quote the URL", err)
		}
	}
}

// wantFault checks that err contains fault; without fault there must be no error.
func wantFault(t *testing.T, err error, fault string) {
	t.Helper()
	if fault == "" && err != nil {
		t.Errorf("error %q, want none", err)
	}
	if fault != "" && (err == nil || !strings.Contains(err.Error(), fault)) {
		t.Errorf("error %v, want one that says %q", err, fault)
	}
}

func FuzzCheckURL(f *testing.F) {
	for _, seed := range []string{"https://a.example/", "http://[::1]:1/", "https://0x7f.1/", "https://u:p@h/#", "https://h:0/"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		d, err := egress.Policy{}.Parse(raw)
		if err != nil {
			return
		}
		if d.Private || d.URL.Scheme != "https" || d.URL.User != nil || d.URL.Fragment != "" {
			t.Errorf("accepted %q", raw)
		}
		if _, err := netip.ParseAddr(d.URL.Hostname()); err == nil || !strings.Contains(d.URL.Hostname(), ".") {
			t.Errorf("accepted the host of %q", raw)
		}
	})
}
