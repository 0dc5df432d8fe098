// Package doctor finds out why a caller gets no token: it makes one request as a caller
// does, and judges each thing that the request needs. Every failure comes with its fix.
package doctor

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/scripts/internal/client"
)

// The results of a check.
const (
	OK     = "ok"
	Failed = "failed"
)

// Check is the result for one thing that a caller needs.
type Check struct {
	// Name is what was checked, and Result is [OK] or [Failed].
	Name   string `json:"check"`
	Result string `json:"result"`
	// Detail is what was found.
	Detail string `json:"detail"`
	// Fix says what to do about a failure.
	Fix string `json:"fix,omitempty"`
}

func passed(name, format string, args ...any) Check {
	return Check{Name: name, Result: OK, Detail: fmt.Sprintf(format, args...)}
}

func failed(name, detail, fix string) Check {
	return Check{Name: name, Result: Failed, Detail: detail, Fix: fix}
}

// Doctor makes the checks. Every field is required unless it says otherwise.
type Doctor struct {
	Client *client.Client
	// Connection, with its Subject, is what to get a token of; both may be empty.
	Connection connection.Name
	Subject    connection.Subject
	// Statement is the IAM statement that a caller needs; empty means one that is made
	// from the URL.
	Statement string
	// Resolve looks a host name up.
	Resolve func(ctx context.Context, host string) ([]string, error)
	Now     func() time.Time
}

// Run makes the checks in the order in which a request needs them, up to the first that
// makes the others impossible.
func (d Doctor) Run(ctx context.Context) []Check {
	base, err := url.Parse(d.Client.URL)
	if err != nil {
		return []Check{failed("url", "the URL is invalid", "check --url")}
	}
	checks := []Check{d.name(ctx, base.Hostname()), d.credentials(ctx)}
	if checks[0].Result == Failed || checks[1].Result == Failed {
		return checks
	}
	answer, err := d.Client.Do(ctx, http.MethodGet, d.path(), nil)
	if err != nil {
		return append(checks, failed("network", err.Error(),
			"check the network, HTTPS_PROXY, and for a private API that this machine is in its VPC and its endpoint's security group admits it"))
	}
	return append(append(checks, d.clock(answer.Header)), d.judge(base, answer)...)
}

// path is that of the request: a token's, or the shortest list.
func (d Doctor) path() string {
	switch {
	case d.Connection == "":
		return "/connections?limit=1"
	case d.Subject == "":
		return "/connections/" + string(d.Connection) + "/token"
	}
	return "/connections/" + string(d.Connection) + "/subjects/" + string(d.Subject) + "/token"
}

func (d Doctor) name(ctx context.Context, host string) Check {
	if _, err := netip.ParseAddr(host); err == nil {
		return passed("dns", "%s is an address", host)
	}
	found, err := d.Resolve(ctx, host)
	if err != nil || len(found) == 0 {
		return failed("dns", host+" does not resolve",
			"check the URL; the name of a private API resolves only where its VPC endpoint's DNS does, and a deleted stack's name no longer does")
	}
	return passed("dns", "%s is %s", host, strings.Join(found, ", "))
}

func (d Doctor) credentials(ctx context.Context) Check {
	credentials, err := d.Client.Credentials.Retrieve(ctx)
	if err != nil {
		return failed("credentials", err.Error(), "sign in (aws sso login), use --profile, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
	}
	detail := "access key " + credentials.AccessKeyID
	if credentials.Source != "" {
		detail += " of " + credentials.Source
	}
	if credentials.CanExpire {
		detail += ", until " + credentials.Expires.UTC().Format(time.RFC3339)
	}
	return passed("credentials", "%s; region %s", detail, d.Client.Region)
}

// maxSkew is less than the five minutes that AWS allows.
const maxSkew = 4 * time.Minute

func (d Doctor) clock(h http.Header) Check {
	theirs, err := http.ParseTime(h.Get("Date"))
	if err != nil {
		return passed("clock", "not compared: the response has no Date header")
	}
	off := d.Now().Sub(theirs).Round(time.Second)
	if off.Abs() > maxSkew {
		return failed("clock", fmt.Sprintf("this machine's clock is %s off the service's; AWS refuses signatures that are 5 minutes off", off),
			"set the clock: timedatectl set-ntp true; in a virtual machine or container, that of the host")
	}
	return passed("clock", "%s off the service's", off)
}

// Lookup is the Resolve of a machine.
func Lookup(ctx context.Context, host string) ([]string, error) {
	return net.DefaultResolver.LookupHost(ctx, host)
}
