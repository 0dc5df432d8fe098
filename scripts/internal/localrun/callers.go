package localrun

import (
	"github.com/tokenvend/tokenvend/pkg/redact"
	"github.com/tokenvend/tokenvend/scripts/internal/localgateway"
	"github.com/tokenvend/tokenvend/scripts/internal/sigv4"
)

const (
	stage   = "v1"
	region  = "us-east-1"
	service = "execute-api"
	account = "000000000000"
)

// user is a caller of a local run. Its secret access key is its name: it protects
// nothing and is in the place of a key from IAM.
type user struct{ name, uniqueID string }

var users = []user{
	{"local", "AIDALOCAL000000000001"},
	{"local2", "AIDALOCAL000000000002"},
}

func (u user) arn() string { return "arn:aws:iam::" + account + ":user/" + u.name }

func keys() []sigv4.Key {
	var keys []sigv4.Key
	for _, u := range users {
		keys = append(keys, sigv4.Key{ID: u.name, Secret: redact.New(u.name)})
	}
	return keys
}

func callers() map[string]localgateway.Caller {
	callers := make(map[string]localgateway.Caller, len(users))
	for _, u := range users {
		callers[u.name] = localgateway.Caller{AccountID: account, UniqueID: u.uniqueID, ARN: u.arn()}
	}
	return callers
}
