package renewal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tokenvend/tokenvend/pkg/audit"
	"github.com/tokenvend/tokenvend/pkg/clientsecret"
	"github.com/tokenvend/tokenvend/pkg/declaration"
	"github.com/tokenvend/tokenvend/pkg/problem"
)

// Handler handles the events of the renew function. It is a lambda.Handler.
type Handler struct {
	Renewer *Renewer
	// SecretPrefix is the prefix of the names of connections' secrets.
	SecretPrefix string
	// Refused is called with the reason when an event is refused.
	Refused func(reason string)
}

// event is the part of an EventBridge event that is used. A tick is driven by the
// clock, so an event replayed from an archive is a tick like any other.
type event struct {
	Source     string `json:"source"`
	DetailType string `json:"detail-type"`
	// Time is read of a secret's event only: when the label was moved.
	Time json.RawMessage `json:"time"`
	// Detail is decoded only for secrets, because EventBridge Scheduler sends a
	// string there.
	Detail json.RawMessage `json:"detail"`
}

// detail is the detail of a secret's event.
type detail struct {
	Name         string `json:"name"`
	LabelUpdated string `json:"labelUpdated"`
	// VersionID is the version that the label was moved to.
	VersionID string `json:"versionId"`
}

// change is what the event reports. An event without a time or version reports only
// that something has changed.
func (e event) change(d detail) declaration.Event {
	var at time.Time
	if json.Unmarshal(e.Time, &at) != nil || at.IsZero() || d.VersionID == "" {
		return declaration.Event{}
	}
	return declaration.Event{Version: d.VersionID, At: at}
}

// Invoke handles one event and returns the summary as JSON. An unknown event is
// refused without an error, because Lambda would only repeat it.
func (h *Handler) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	var e event
	if err := json.Unmarshal(payload, &e); err != nil {
		return h.refuse("the event is not a JSON object in the format of EventBridge")
	}
	switch {
	case e.Source == "aws.events" && e.DetailType == "Scheduled Event", e.Source == "aws.scheduler":
		return summarize(h.Renewer.Tick(ctx))
	case e.Source == "aws.secretsmanager" && e.DetailType == "Secret Label Updated":
		return h.secretEvent(ctx, e)
	default:
		return h.refuse("expected a scheduled event, or Secret Label Updated from aws.secretsmanager")
	}
}

func (h *Handler) secretEvent(ctx context.Context, e event) ([]byte, error) {
	var d detail
	if err := json.Unmarshal(e.Detail, &d); err != nil {
		return h.refuse("the event has no detail of a secret")
	}
	name, found := strings.CutPrefix(d.Name, h.SecretPrefix)
	switch {
	case d.LabelUpdated != string(clientsecret.Current):
		return h.refuse("the updated label is not " + string(clientsecret.Current))
	case !found:
		return h.refuse("the secret's name does not have the prefix of connections")
	case clientsecret.CheckName(name) != nil:
		return h.refuse("the secret's name is not a valid name of a connection")
	}
	run := h.Renewer.SecretChanged(ctx, name, e.change(d))
	if run.Failed[string(problem.RefreshInProgress)]+run.Failed[string(problem.StoreUnavailable)] > 0 {
		return nil, errors.New("the changed secret could not be reconciled; the event is to be repeated")
	}
	return summarize(run)
}

func (h *Handler) refuse(reason string) ([]byte, error) {
	h.Refused(reason)
	return json.Marshal(map[string]string{"refused": reason})
}

// summarize encodes the summary as the response of the invocation.
func summarize(run audit.Run) ([]byte, error) {
	failed := 0
	for _, n := range run.Failed {
		failed += n
	}
	out, err := json.Marshal(map[string]int{
		"due": run.Due, "renewed": run.Renewed, "skipped": run.Skipped, "failed": failed,
		"left_over": run.LeftOver, "reissued": run.Reissued, "recorded": run.Recorded,
	})
	if err != nil {
		return nil, fmt.Errorf("encode the summary: %w", err)
	}
	return out, nil
}
