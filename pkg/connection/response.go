package connection

import (
	"maps"
	"slices"

	"github.com/tokenvend/tokenvend/pkg/provider"
	"github.com/tokenvend/tokenvend/pkg/strictjson"
)

// response lays the declared pointers over the provider's.
func (d declaration) response(standard provider.Shape) provider.Shape {
	shape := standard
	object, ok := d.object(mResponse)
	if !ok {
		return shape
	}
	places := shapeMembers(&shape)
	inner := d.nested(mResponse, object)
	inner.refuseUnknown(slices.Sorted(maps.Keys(places)))
	for _, name := range slices.Sorted(maps.Keys(places)) {
		pointer, ok := inner.text(name)
		if !ok {
			continue
		}
		if err := strictjson.CheckPointer(pointer); err != nil {
			inner.note(name, "%v", err)
		}
		*places[name] = pointer
	}
	return shape
}

func shapeMembers(s *provider.Shape) map[string]*string {
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
