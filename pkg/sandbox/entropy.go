package sandbox

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
)

// entropy makes random ids, secrets and tokens in the formats of the providers. It is
// not safe for concurrent use.
type entropy struct{ source io.Reader }

func (e entropy) bytes(n int) []byte {
	b := make([]byte, n)
	if _, err := io.ReadFull(e.source, b); err != nil {
		panic("sandbox: Config.Rand failed: " + err.Error())
	}
	return b
}

// opaque is n random bytes in base64url.
func (e entropy) opaque(n int) string { return base64.RawURLEncoding.EncodeToString(e.bytes(n)) }

func (e entropy) hex(n int) string { return hex.EncodeToString(e.bytes(n)) }

// uuid has the format of a UUID, without version bits.
func (e entropy) uuid() string {
	b := e.bytes(16)
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[0:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// specialSecret is a secret with characters that are special in forms and Basic
// credentials, so that an encoding error damages it.
func (e entropy) specialSecret() string { return e.opaque(12) + "+/%3D&:=é" + e.opaque(12) }
