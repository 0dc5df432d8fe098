package provider

import (
	"encoding/json"
	"maps"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tokenvend/tokenvend/pkg/strictjson"
	"github.com/tokenvend/tokenvend/pkg/strictjson/object"
)

// Declared reads the provider that a connection declares as an object, after the
// forms of [Fields] were checked. What is wrong with it is reported in r.
func Declared(r object.Reader) Provider {
	return read(r, Inline)
}

// entry reads an entry of the catalogue.
func entry(r object.Reader, name string) Provider {
	r.Check(catalogueFields())
	p := read(r, name)
	p.Verified, _ = r.Text("verified")
	for name, v := range p.Variables {
		if v.About == "" {
			r.Report("variables/"+name+"/about", "is missing; add it")
		}
	}
	return p
}

// read reads the members that every provider may have, after their forms were checked.
func read(r object.Reader, name string) Provider {
	p := Provider{Name: name}
	set := func(target *string, member string) { *target, _ = r.Text(member) }
	set(&p.Title, "title")
	set(&p.Note, "note")
	set(&p.TokenPath, "token_path")
	set(&p.ScopeSeparator, "scope_separator")
	p.Documentation = r.Texts("documentation")
	if r.Has("grant_types") {
		p.GrantTypes = append([]string{}, r.Texts("grant_types")...)
	}
	p.Scope = r.Map("scope")
	p.ScopeAliases = r.Lists("scope_aliases")
	p.Request = readRequest(r)
	p.RefreshParams = p.params(r, "refresh_params", nil)
	p.Callback = readCallback(r)
	p.RefreshToken = readRefreshToken(r)
	p.NewTokenRevokesOld = r.Boolean("new_token_revokes_old", false)
	p.RevocationEndsGrant = r.Boolean("revocation_ends_grant", false)
	p.Present = readPresent(r)
	p.MaxRenewalGroups = int(r.Whole("max_renewal_groups", 0))
	p.Override(r)
	if p.TokenPath != "" {
		r.RejectUnused("is not used beside token_path", "token_url")
	}
	p.Variables = readVariables(r)
	p.checkTemplates(r)
	return p
}

// Override replaces what r states of the members [Shared]: parameters and
// response members one by one, the others as a whole.
func (p *Provider) Override(r object.Reader) {
	set := func(target *string, member string) {
		if text, ok := r.Text(member); ok {
			*target = text
		}
	}
	set(&p.TokenURL, "token_url")
	set(&p.RefreshURL, "refresh_url")
	set(&p.AuthorizationURL, "authorization_url")
	set(&p.RevocationURL, "revocation_url")
	set(&p.Issuer, "issuer")
	set((*string)(&p.ClientAuth), "client_auth")
	p.TokenParams = p.params(r, "token_params", p.TokenParams)
	p.AuthorizationParams = p.params(r, "authorization_params", p.AuthorizationParams)
	checkResponseMode(r)
	p.Response = readResponse(r, p.Response)
	p.checkExtra(r)
	p.DefaultExpiresIn = r.Seconds("default_expires_in", p.DefaultExpiresIn)
	if r.Has("default_expires_in") {
		text, _ := r.Text("default_expires_in")
		p.NeverExpires = text == never
	}
	p.NoEarlyRefresh = !r.Boolean("early_refresh", !p.NoEarlyRefresh)
	p.NoPKCE = !r.Boolean("pkce", !p.NoPKCE)
}

// params reads extra parameters over the former ones. None may have a name that the
// service gives to a parameter of its own; the form has refused the standard names.
// Some servers ignore the case of names.
func (p *Provider) params(r object.Reader, member string, former Params) Params {
	declared := Params(r.Lists(member))
	if len(declared) == 0 {
		return former
	}
	renamed := slices.Collect(maps.Values(p.Request.Names))
	for _, name := range slices.Sorted(maps.Keys(declared)) {
		if slices.ContainsFunc(renamed, func(own string) bool { return strings.EqualFold(own, name) }) {
			r.Report(member+"/"+strictjson.PrintableName(name), "%s", exceptReserved.Why)
		}
	}
	merged := maps.Clone(former)
	if merged == nil {
		merged = Params{}
	}
	maps.Copy(merged, declared)
	return merged
}

// checkResponseMode: the service reads the authorization response from the query of
// the redirect URI, so no other response mode is accepted.
func checkResponseMode(r object.Reader) {
	for name, modes := range r.Lists("authorization_params") {
		if strings.EqualFold(name, "response_mode") && !slices.Equal(modes, []string{"query"}) {
			r.Report("authorization_params/"+name, "must be query or absent: the service reads the authorization response from the query")
		}
	}
}

type namedPointer struct {
	name    string
	pointer *string
}

func pointersOf(s *Shape) []namedPointer {
	return []namedPointer{
		{"access_token", &s.AccessToken},
		{"token_type", &s.TokenType},
		{"expires_in", &s.ExpiresIn},
		{"expires_at", &s.ExpiresAt},
		{"refresh_token", &s.RefreshToken},
		{"refresh_token_expires_in", &s.RefreshTokenExpiresIn},
		{"scope", &s.Scope},
		{"error", &s.Error},
		{"error_description", &s.ErrorDescription},
		{"user", &s.User},
	}
}

// readResponse replaces the members of former by those that are declared.
func readResponse(r object.Reader, former Shape) Shape {
	inner, ok := r.Object("response")
	if !ok {
		return former
	}
	s := former
	for _, p := range pointersOf(&s) {
		if text, ok := inner.Text(p.name); ok {
			*p.pointer = text
		}
	}
	if unit, ok := inner.Text("expires_in_unit"); ok {
		s.ExpiresInUnit = map[string]time.Duration{"s": time.Second, "ms": time.Millisecond, "min": time.Minute}[unit]
	}
	readSuccess(inner, &s)
	if inner.Has("ended") {
		s.Ended = readEnded(inner)
	}
	if extra := inner.Map("extra"); extra != nil {
		s.Extra = extra
	}
	return s
}

func readSuccess(r object.Reader, s *Shape) {
	if !r.Has("success") {
		return
	}
	if text, ok := r.Text("success"); ok {
		s.Success, s.SuccessEquals = text, nil
		return
	}
	if inner, ok := r.Object("success"); ok {
		s.Success, _ = inner.Text("pointer")
		s.SuccessEquals, _ = inner.Value("equals")
	}
}

func readEnded(r object.Reader) []string {
	value, _ := r.Value("ended")
	array, _ := value.([]any)
	codes := make([]string, 0, len(array))
	for i, element := range array {
		switch v := element.(type) {
		case string:
			codes = append(codes, v)
		case json.Number:
			if problem := (object.Text{Except: exceptEnded}).Problem(v.String()); problem != "" {
				r.Report("ended/"+strconv.Itoa(i), "%s", problem)
			}
			codes = append(codes, v.String())
		}
	}
	return codes
}

// checkExtra refuses values for callers that are secrets, or that have one name in
// the response and in the callback.
func (p *Provider) checkExtra(r object.Reader) {
	s := p.Response
	if len(s.Extra)+len(p.Callback.Extra) > maxExtra && r.Sound("response") {
		r.Report("response/extra", "has, with callback/extra, more than %d names; remove some", maxExtra)
	}
	secret := []string{orElse(s.AccessToken, "/access_token"), orElse(s.RefreshToken, "/refresh_token")}
	for _, name := range slices.Sorted(maps.Keys(s.Extra)) {
		_, twice := p.Callback.Extra[name]
		switch at := "response/extra/" + name; {
		case !r.Sound("response"):
		case slices.Contains(secret, s.Extra[name]):
			r.Report(at, "is where the access token or the refresh token is; remove it")
		case twice:
			r.Report(at, "is a name in callback/extra too; choose another")
		}
	}
}

func orElse(text, fallback string) string {
	if text == "" {
		return fallback
	}
	return text
}

func readRequest(r object.Reader) RequestShape {
	inner, ok := r.Object("request")
	if !ok {
		return RequestShape{}
	}
	body, _ := inner.Text("body")
	s := RequestShape{
		Body: Body(body), Names: inner.Map("names"), GrantType: inner.Map("grant_type"), RepeatScope: inner.Boolean("repeat_scope", false),
	}
	if s.Body == BodyForm {
		s.Body = "" // the default has one representation
	}
	s.Headers = CanonicalHeaders(inner, "headers", inner.Map("headers"))
	checkNames(inner, s.Names)
	return s
}

// checkNames refuses names that would give two parameters one name.
func checkNames(r object.Reader, names map[string]string) {
	taken := map[string]string{}
	for _, name := range standardParams {
		if _, renamed := names[name]; !renamed {
			taken[name] = name
		}
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		now := strings.ToLower(names[name])
		if other, ok := taken[now]; ok {
			r.Report("names/"+name, "gets the name of %s; choose another", other)
		}
		taken[now] = name
	}
}

// CanonicalHeaders returns headers by canonical name. Two that differ in case only
// are an error.
func CanonicalHeaders[T any](r object.Reader, member string, headers map[string]T) map[string]T {
	if headers == nil {
		return nil
	}
	canonical := make(map[string]T, len(headers))
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		key := textproto.CanonicalMIMEHeaderKey(name)
		if _, twice := canonical[key]; twice {
			r.Report(member+"/"+name, "is the same header as another: upper and lower case do not differ; keep one")
		}
		canonical[key] = headers[name]
	}
	return canonical
}

func readCallback(r object.Reader) Callback {
	inner, ok := r.Object("callback")
	if !ok {
		return Callback{}
	}
	c := Callback{Extra: inner.Map("extra")}
	c.Code, _ = inner.Text("code")
	if c.Code == "code" {
		c.Code = "" // the default has one representation
	}
	return c
}

func readRefreshToken(r object.Reader) RefreshToken {
	inner, ok := r.Object("refresh_token")
	if !ok {
		return RefreshToken{}
	}
	rotation, _ := inner.Text("rotation")
	t := RefreshToken{
		ExpiresIn: inner.Seconds("expires_in", 0), IdleExpiresIn: inner.Seconds("idle_expires_in", 0),
		Rotation: Rotation(rotation), Grace: inner.Seconds("grace", 0),
	}
	if t.Rotation == RotationGrace {
		inner.Require("grace")
	} else {
		inner.RejectUnused("is used with rotation grace only", "grace")
	}
	return t
}

func readPresent(r object.Reader) Present {
	inner, ok := r.Object("present")
	if !ok {
		return Present{}
	}
	p := Present{Header: "Authorization", Prefix: "Bearer "}
	if header, ok := inner.Text("header"); ok {
		p.Header = header
	}
	if prefix, ok := inner.Text("prefix"); ok {
		p.Prefix = prefix
	}
	if strings.EqualFold(p.Header, "Authorization") && p.Prefix == "Bearer " {
		return Present{} // the default has one representation
	}
	return p
}
