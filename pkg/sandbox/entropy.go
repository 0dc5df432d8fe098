package sandbox

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
)

// entropy turns a source of random bytes into the kinds of text that
// providers hand out. It is not safe for concurrent use.
type entropy struct{ source io.Reader }

func (e entropy) bytes(n int) []byte {
	b := make([]byte, n)
	if _, err := io.ReadFull(e.source, b); err != nil {
		panic("sandbox: Config.Rand failed: " + err.Error())
	}
	return b
}

// opaque is the URL-safe text of n random bytes.
func (e entropy) opaque(n int) string { return base64.RawURLEncoding.EncodeToString(e.bytes(n)) }

func (e entropy) hex(n int) string { return hex.EncodeToString(e.bytes(n)) }

// uuid has the shape of a UUID; no bit says its version.
func (e entropy) uuid() string {
	b := e.bytes(16)
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[0:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// awkward is a secret that arrives damaged unless every encoding on its way is
// right: it always holds what forms and Basic credentials give a meaning to.
func (e entropy) awkward() string { return e.opaque(12) + "+/%3D&:=é" + e.opaque(12) }
