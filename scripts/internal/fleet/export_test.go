package fleet

import (
	"io"
	"net/http"
)

// LeaksIn is what is found of the canaries in texts.
func LeaksIn(canaries []string, texts ...string) []string {
	l := newLeaks()
	for _, c := range canaries {
		l.watch(c)
	}
	for _, text := range texts {
		l.look("a text", []byte(text))
	}
	return l.all()
}

// LeaksAcross is what is found in the output of one process, written in pieces.
func LeaksAcross(canary string, pieces ...string) []string {
	l := newLeaks()
	l.watch(canary)
	out := &stream{leaks: l, name: "a process", out: io.Discard}
	for _, piece := range pieces {
		_, _ = io.WriteString(out, piece) // nowhere, which never fails
	}
	return l.all()
}

// Classify is how a request to an engine is classified.
func Classify(r *http.Request, body []byte) Call { return classify(r, body) }
