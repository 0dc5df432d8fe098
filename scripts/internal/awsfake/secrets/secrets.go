// Package secrets is a Secrets Manager of one process: secrets in memory behind
// the service's own protocol, for tests on a machine with Go alone.
//
// Versions and staging labels move as they do in the service: a new AWSCURRENT
// makes the old one AWSPREVIOUS, a version without a label is deprecated and no
// longer listed, a deleted secret waits for its end unless it was forced. A
// secret that is made again has another ARN. Encryption, replication, rotation
// and resource policies are not modelled; their members and operations are
// refused. What is listed is never behind.
package secrets

import (
	"crypto/rand"
	"io"
	"sync"
	"time"

	"github.com/tokenvend/tokenvend/scripts/internal/awsfake/awsjson"
)

// Config is what an Engine is made of.
type Config struct {
	// Now is the wall clock; nil means time.Now.
	Now func() time.Time
	// Rand is where the endings of ARNs come from; nil means crypto/rand.
	Rand io.Reader
	// LabelMoved is told of every label that comes to another version, after it
	// did, as EventBridge is; nil tells nobody.
	LabelMoved func(LabelMove)
}

// LabelMove is what an event "Secret Label Updated" tells.
type LabelMove struct {
	// Name and ARN are the secret's.
	Name, ARN string
	// Label is now at the version of that id.
	Label, VersionID string
}

// Engine is an http.Handler and safe for concurrent use.
type Engine struct {
	*awsjson.Service
	now        func() time.Time
	random     io.Reader
	labelMoved func(LabelMove)

	mu      sync.Mutex
	secrets []*secret // oldest first
	made    int
	refused map[string]*awsjson.Error
	moves   []LabelMove // of the request under way
}

// New returns an engine without secrets.
func New(c Config) *Engine {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Rand == nil {
		c.Rand = rand.Reader
	}
	if c.LabelMoved == nil {
		c.LabelMoved = func(LabelMove) {}
	}
	e := &Engine{now: c.Now, random: c.Rand, labelMoved: c.LabelMoved, refused: map[string]*awsjson.Error{}}
	e.Service = awsjson.New(awsjson.Config{
		Target:      "secretsmanager",
		Version:     "1.1",
		MessageName: "Message",
		Operations: map[string]awsjson.Operation{
			"CreateSecret":             operation(e, e.createSecret),
			"PutSecretValue":           operation(e, e.putSecretValue),
			"UpdateSecret":             operation(e, e.updateSecret),
			"UpdateSecretVersionStage": operation(e, e.updateSecretVersionStage),
			"GetSecretValue":           operation(e, e.getSecretValue),
			"BatchGetSecretValue":      operation(e, e.batchGetSecretValue),
			"DescribeSecret":           operation(e, e.describeSecret),
			"ListSecrets":              operation(e, e.listSecrets),
			"DeleteSecret":             operation(e, e.deleteSecret),
			"RestoreSecret":            operation(e, e.restoreSecret),
		},
	})
	return e
}

// operation runs f alone, and then tells of the labels it moved.
func operation[In, Out any](e *Engine, f func(In) (Out, error)) awsjson.Operation {
	return awsjson.Operate(func(in In) (Out, error) {
		out, moves, err := alone(e, in, f)
		for _, move := range moves {
			e.labelMoved(move)
		}
		return out, err
	})
}

func alone[In, Out any](e *Engine, in In, f func(In) (Out, error)) (Out, []LabelMove, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.moves = nil
	out, err := f(in)
	return out, e.moves, err
}

// Refuse makes every read of one secret's value, named or in a batch, answer
// with err: access denied, its key disabled. A nil err ends it.
func (e *Engine) Refuse(name string, err *awsjson.Error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.refused[name] = err
}
