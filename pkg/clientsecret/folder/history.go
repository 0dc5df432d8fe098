package folder

import (
	"fmt"
	"slices"

	"github.com/tokenvend/tokenvend/pkg/clientsecret"
	"github.com/tokenvend/tokenvend/pkg/digest"
	"github.com/tokenvend/tokenvend/pkg/redact"
)

// history is what this process has seen of the folder. It distinguishes an edit
// from a file that was deleted and created again. The lock of the source guards it.
type history struct {
	files map[string]*file
}

// file is the history of one name that has existed.
type file struct {
	incarnation int  // how often it was created; 1 is the first
	missing     bool // it did not exist at the last read
	current     redact.Secret
	previous    *redact.Secret // nil until a change was seen
}

// version is one text of one incarnation of a file.
type version struct {
	text        redact.Secret
	incarnation int
}

func newHistory() *history { return &history{files: make(map[string]*file)} }

// record records the current text of a file.
func (h *history) record(name string, text redact.Secret) version {
	f := h.files[name]
	switch {
	case f == nil:
		f = &file{incarnation: 1, current: text}
		h.files[name] = f
	case f.missing:
		*f = file{incarnation: f.incarnation + 1, current: text}
	case f.current != text:
		before := f.current
		f.previous, f.current = &before, text
	}
	return version{text: text, incarnation: f.incarnation}
}

// markMissing records that a file does not exist.
func (h *history) markMissing(name string) {
	if f := h.files[name]; f != nil {
		f.missing = true
	}
}

// retain records that only these names, which are sorted, exist.
func (h *history) retain(names []string) {
	for name, f := range h.files {
		if _, found := slices.BinarySearch(names, name); !found {
			f.missing = true
		}
	}
}

// previous returns the text before the last change that was seen in this
// incarnation.
func (h *history) previous(name string) (version, bool) {
	f := h.files[name]
	if f == nil || f.previous == nil {
		return version{}, false
	}
	return version{text: *f.previous, incarnation: f.incarnation}, true
}

// secret returns a version as a secret. The version id is a digest, so that it is
// equal in every process that reads the same file.
func (v version) secret(name string) clientsecret.Secret {
	return clientsecret.Secret{
		Name:      name,
		ARN:       fmt.Sprintf("arn:tokenvend:file:%s#%d", name, v.incarnation),
		VersionID: digest.Long(v.text.Reveal()),
		Text:      v.text,
		Origin:    origin(name),
	}
}
