package story

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/tokenvend/tokenvend/scripts/aws/internal/cloud"
)

// free are the members and headers that the clock or chance decides, which must
// be there and of the same kind but need not be the same: everything else must.
// due, renewed and skipped are a tick's: whose turn it is depends on the minute.
var free = map[string]bool{
	"access_token": true, "token_id": true, "expires_at": true, "expires_in": true, "refresh_in": true,
	"next_attempt_at": true, "next": true, "Retry-After": true,
	"session_id": true, "consent_url": true, "authorization_url": true, "consented_at": true, "renew_by": true,
	"Location": true, "Set-Cookie": true,
	"due": true, "renewed": true, "skipped": true,
}

// Compare holds an answer against the golden one. Its error names each member
// that differs, and tells no token.
func Compare(golden, answer []byte) error {
	want, err := decode(golden)
	if err != nil {
		return fmt.Errorf("golden answer: %w", err)
	}
	got, err := decode(answer)
	if err != nil {
		return fmt.Errorf("answer: %w", err)
	}
	return differ("answer", want, got)
}

// decode reads an answer; a body that is JSON inside of it is read too.
func decode(text []byte) (any, error) {
	var all any
	if err := json.Unmarshal(text, &all); err != nil {
		return nil, errors.New("it is not JSON")
	}
	if members, ok := all.(map[string]any); ok {
		if body, ok := members["body"].(string); ok {
			var inside any
			if json.Unmarshal([]byte(body), &inside) == nil {
				members["body"] = inside
			}
		}
	}
	return all, nil
}

func differ(at string, want, got any) error {
	if page, ok := got.(string); ok && isPage(page) {
		return differInPage(at, want, page)
	}
	if reflect.TypeOf(want) != reflect.TypeOf(got) {
		return fmt.Errorf("%s is a %T, want a %T", at, got, want)
	}
	switch want := want.(type) {
	case map[string]any:
		return differInMembers(at, want, got.(map[string]any))
	case []any:
		got := got.([]any)
		if len(got) != len(want) {
			return fmt.Errorf("%s has %d elements, want %d", at, len(got), len(want))
		}
		var err error
		for i := range want {
			err = errors.Join(err, differ(fmt.Sprintf("%s[%d]", at, i), want[i], got[i]))
		}
		return err
	}
	if inSecretsManager(want) != got {
		return fmt.Errorf("%s is %v, want %v", at, got, want)
	}
	return nil
}

func differInMembers(at string, want, got map[string]any) (err error) {
	names := maps.Clone(want)
	maps.Copy(names, got)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		wanted, isWanted := want[name]
		value, isThere := got[name]
		switch inside := at + "." + name; {
		case !isThere:
			err = errors.Join(err, fmt.Errorf("%s is missing", inside))
		case !isWanted && name == "instance": // an invocation has an id on Lambda alone
		case !isWanted:
			err = errors.Join(err, fmt.Errorf("%s is one member too many", inside))
		case free[name] && reflect.TypeOf(wanted) == reflect.TypeOf(value):
		default:
			err = errors.Join(err, differ(inside, wanted, value))
		}
	}
	return err
}

func isPage(text string) bool { return strings.HasPrefix(text, "<!DOCTYPE html>") }

// masks are what the clock or chance decides of a page, and what a golden page
// leaves out.
var masks = []*regexp.Regexp{
	regexp.MustCompile(`(?s)<style>.*?</style>`),
	regexp.MustCompile(`<time[^>]*>[^<]*</time>`),
	regexp.MustCompile(`name="csrf" value="[^"]*"`),
	regexp.MustCompile(`id="confirmation-code">[^<]*<`),
}

// differInPage compares a page with a golden one, which is a list of its lines.
func differInPage(at string, golden any, page string) error {
	list, ok := golden.([]any)
	if !ok {
		return fmt.Errorf("%s is a page, want a %T", at, golden)
	}
	var lines []string
	for _, line := range list {
		lines = append(lines, fmt.Sprint(line))
	}
	want, got := strings.Split(masked(strings.Join(lines, "\n")), "\n"), strings.Split(masked(page), "\n")
	for i := range max(len(want), len(got)) {
		if i >= len(want) || i >= len(got) || want[i] != got[i] {
			return fmt.Errorf("%s differs from line %d on: %q, want %q", at, i+1, got[min(i, len(got)):min(i+1, len(got))], want[min(i, len(want)):min(i+1, len(want))])
		}
	}
	return nil
}

func masked(page string) string {
	for _, mask := range masks {
		page = mask.ReplaceAllString(page, "…")
	}
	return page
}

// inFolder is how a text names a connection's declaration where connections are
// files, as they are in the golden world.
var inFolder = regexp.MustCompile(`file ([a-z0-9-]+)\.json`)

// inSecretsManager words such a text as it is worded where they are secrets.
func inSecretsManager(value any) any {
	if text, ok := value.(string); ok {
		return inFolder.ReplaceAllString(text, "secret "+cloud.Prefix+"$1")
	}
	return value
}
