// Package secrets is a Secrets Manager in memory behind the service's own protocol.
//
// Versions and staging labels move as in the service: a new AWSCURRENT makes the
// old one AWSPREVIOUS, a version without a label is not listed, and a deleted secret
// stays for its recovery window unless the deletion was forced. A secret that is
// created again has another ARN. Encryption, replication, rotation and resource
// policies are not modelled: their members and operations are refused. Lists are
// consistent.
package secrets

import (
	"crypto/rand"
	"io"
	"sync"
	"time"

	"github.com/tokenvend/tokenvend/scripts/internal/awsfake/awsjson"
)

// Config is what New needs.
type Config struct {
	// Now is the wall clock; nil means time.Now.
	Now func() time.Time
	// Rand is the source of the endings of ARNs; nil means crypto/rand.
	Rand io.Reader
}

// Engine is an http.Handler and safe for concurrent use.
type Engine struct {
	*awsjson.Service
	now    func() time.Time
	random io.Reader

	mu      sync.Mutex
	secrets []*secret // oldest first
	made    int
	refused map[string]*awsjson.Error
}

// New returns an engine without secrets.
func New(c Config) *Engine {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Rand == nil {
		c.Rand = rand.Reader
	}
	e := &Engine{now: c.Now, random: c.Rand, refused: map[string]*awsjson.Error{}}
	e.Service = &awsjson.Service{
		Target:      "secretsmanager",
		Version:     "1.1",
		MessageName: "Message",
		Operations: map[string]awsjson.Operation{
			"CreateSecret":             operation(e, e.createSecret),
			"PutSecretValue":           operation(e, e.putSecretValue),
			"UpdateSecretVersionStage": operation(e, e.updateSecretVersionStage),
			"GetSecretValue":           operation(e, e.getSecretValue),
			"BatchGetSecretValue":      operation(e, e.batchGetSecretValue),
			"DescribeSecret":           operation(e, e.describeSecret),
			"ListSecrets":              operation(e, e.listSecrets),
			"DeleteSecret":             operation(e, e.deleteSecret),
			"RestoreSecret":            operation(e, e.restoreSecret),
		},
	}
	return e
}

// operation runs one request at a time.
func operation[In, Out any](e *Engine, f func(In) (Out, error)) awsjson.Operation {
	return awsjson.Operate(func(in In) (Out, error) {
		e.mu.Lock()
		defer e.mu.Unlock()
		return f(in)
	})
}

// Refuse makes every read of one secret's value, alone or in a batch, fail with
// err, such as access denied. A nil err ends it.
func (e *Engine) Refuse(name string, err *awsjson.Error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.refused[name] = err
}
