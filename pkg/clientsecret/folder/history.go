package folder

import (
	"fmt"
	"slices"

	"github.com/tokenvend/tokenvend/pkg/clientsecret"
	"github.com/tokenvend/tokenvend/pkg/digest"
	"github.com/tokenvend/tokenvend/pkg/redact"
)

// history is what this process has seen of the folder: enough to tell an edit
// from a file that was deleted and made again. The source's lock guards it.
type history struct {
	files map[string]*file
}

// file is the past of one name. Only names that existed have one.
type file struct {
	lives    int  // how often it came into being; 1 is the first
	missing  bool // it was gone when last looked for
	current  redact.Secret
	previous *redact.Secret // nil until a change was seen
}

// version is one text of one life of a file.
type version struct {
	text redact.Secret
	life int
}

func newHistory() *history { return &history{files: make(map[string]*file)} }

// seen notes the text that a file has now.
func (h *history) seen(name string, text redact.Secret) version {
	f := h.files[name]
	switch {
	case f == nil:
		f = &file{lives: 1, current: text}
		h.files[name] = f
	case f.missing:
		*f = file{lives: f.lives + 1, current: text}
	case f.current != text:
		before := f.current
		f.previous, f.current = &before, text
	}
	return version{text: text, life: f.lives}
}

// gone notes that a file is not there.
func (h *history) gone(name string) {
	if f := h.files[name]; f != nil {
		f.missing = true
	}
}

// keep notes that only these names, which are in order, are there.
func (h *history) keep(names []string) {
	for name, f := range h.files {
		if _, found := slices.BinarySearch(names, name); !found {
			f.missing = true
		}
	}
}

// previous returns the text before the last change, if one was seen in this life.
func (h *history) previous(name string) (version, bool) {
	f := h.files[name]
	if f == nil || f.previous == nil {
		return version{}, false
	}
	return version{text: *f.previous, life: f.lives}, true
}

// secret presents a version as the source's callers know it. The version id is
// a digest, so that it is the same for every process that reads the same file.
func (v version) secret(name string) clientsecret.Secret {
	return clientsecret.Secret{
		Name:      name,
		ARN:       fmt.Sprintf("arn:tokenvend:file:%s#%d", name, v.life),
		VersionID: digest.Long(v.text.Reveal()),
		Text:      v.text,
		Origin:    origin(name),
	}
}
