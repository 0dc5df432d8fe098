package connection

import (
	"maps"
	"slices"

	"github.com/tokenvend/tokenvend/pkg/provider"
	"github.com/tokenvend/tokenvend/pkg/strictjson"
)

// response replaces the provider's pointers by those that are declared.
func (r *reader) response() {
	r.c.Response = r.server.Response
	object, ok := r.object(mResponse)
	if !ok {
		return
	}
	pointers := pointersOf(&r.c.Response)
	names := slices.Sorted(maps.Keys(pointers))
	inner := r.nested(mResponse, object)
	inner.rejectUnknown(names)
	for _, name := range names {
		pointer, ok := inner.text(name)
		if !ok {
			continue
		}
		if err := strictjson.CheckPointer(pointer); err != nil {
			inner.report(name, "%v", err)
		}
		*pointers[name] = pointer
	}
}

func pointersOf(s *provider.Shape) map[string]*string {
	return map[string]*string{
		"access_token":             &s.AccessToken,
		"token_type":               &s.TokenType,
		"expires_in":               &s.ExpiresIn,
		"refresh_token":            &s.RefreshToken,
		"refresh_token_expires_in": &s.RefreshTokenExpiresIn,
		"scope":                    &s.Scope,
		"success":                  &s.Success,
		"error":                    &s.Error,
		"error_description":        &s.ErrorDescription,
	}
}
