package renewal

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/tokenvend/tokenvend/pkg/audit"
	"github.com/tokenvend/tokenvend/pkg/clientsecret"
)

// Handler answers the renew function's events. It is a lambda.Handler.
type Handler struct {
	// Renewer does the work.
	Renewer *Renewer
	// SecretPrefix is what our secrets' names begin with.
	SecretPrefix string
	// Refused is told of events that are not ours to work on.
	Refused func(reason string)
}

// event is the part of an EventBridge event that is used. When it was made is
// not: work is chosen by the clock, so an event replayed from an archive is a
// tick like any other.
type event struct {
	Source     string `json:"source"`
	DetailType string `json:"detail-type"`
	// Detail is read for secrets only: EventBridge Scheduler sends a text there.
	Detail json.RawMessage `json:"detail"`
}

// detail is what a secret's event says of it.
type detail struct {
	Name         string `json:"name"`
	LabelUpdated string `json:"labelUpdated"`
}

// Invoke does what an event asks for and returns the summary. An event that is
// not ours is refused without an error, for a repetition would not mend it.
func (h *Handler) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	var e event
	if err := json.Unmarshal(payload, &e); err != nil {
		return h.refuse("the event is not JSON of EventBridge's form")
	}
	switch {
	case e.Source == "aws.events" && e.DetailType == "Scheduled Event", e.Source == "aws.scheduler":
		return answer(h.Renewer.Tick(ctx))
	case e.Source == "aws.secretsmanager" && e.DetailType == "Secret Label Updated":
		return h.secretEvent(ctx, e)
	default:
		return h.refuse("expected a scheduled event, or Secret Label Updated from aws.secretsmanager")
	}
}

func (h *Handler) secretEvent(ctx context.Context, e event) ([]byte, error) {
	var d detail
	if err := json.Unmarshal(e.Detail, &d); err != nil {
		return h.refuse("the event's detail is not that of a secret")
	}
	name, ours := strings.CutPrefix(d.Name, h.SecretPrefix)
	switch {
	case d.LabelUpdated != string(clientsecret.Current):
		return h.refuse("the label that moved is not " + string(clientsecret.Current))
	case !ours:
		return h.refuse("the secret does not lie under the prefix of connections")
	case clientsecret.CheckName(name) != nil:
		return h.refuse("the secret has a name that no connection can have")
	}
	return answer(h.Renewer.SecretChanged(ctx, name))
}

func (h *Handler) refuse(reason string) ([]byte, error) {
	h.Refused(reason)
	return json.Marshal(map[string]string{"refused": reason})
}

// answer is what the invocation returns: the summary, for whoever invokes by hand.
func answer(run audit.Run) ([]byte, error) {
	failed := 0
	for _, n := range run.Failed {
		failed += n
	}
	out, err := json.Marshal(map[string]int{
		"due": run.Due, "renewed": run.Renewed, "skipped": run.Skipped, "failed": failed,
		"left_over": run.LeftOver, "reissued": run.Reissued, "dropped": run.Dropped,
	})
	if err != nil {
		return nil, fmt.Errorf("encode a summary: %w", err)
	}
	return out, nil
}
