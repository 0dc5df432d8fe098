package connection_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/tokenvend/tokenvend/pkg/connection"
	"github.com/tokenvend/tokenvend/pkg/provider"
	"github.com/tokenvend/tokenvend/pkg/strictjson/object"
)

var update = flag.Bool("update", false, "write schema.json")

type schema = map[string]any

// TestSchema_AZ44_isGenerated: the schema is what the parser's tables say.
func TestSchema_AZ44_isGenerated(t *testing.T) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", " ")
	if err := enc.Encode(schemaOfSecret()); err != nil {
		t.Fatal(err)
	}
	const file = "schema.json"
	if *update {
		if err := os.WriteFile(file, b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(file); err != nil || !bytes.Equal(got, b.Bytes()) {
		t.Errorf("%s is not what the parser reads (%v); run: go generate ./pkg/connection", file, err)
	}
}

// invisible are characters, beside those of \s, that are pasted with a value.
const invisible = "\u00a0\u200b\ufeff"

// schemaOfSecret describes one connection, or a bundle.
func schemaOfSecret() schema {
	ref := func(name string) schema { return schema{"$ref": "#/$defs/" + name} }
	one := objectSchema(connection.Fields(), "")
	one["properties"].(schema)["provider"] = schema{
		"description": about["provider"],
		"anyOf":       []any{schema{"type": "string", "minLength": 1}, ref("provider")},
	}
	return schema{
		"$schema": "https://json-schema.org/draft/2020-12/schema",
		"title":   "The secret of a connection, or of a bundle of connections",
		"if":      schema{"required": []string{"connections"}},
		"then":    ref("bundle"),
		"else":    ref("connection"),
		"$defs": schema{
			"connection": one,
			"provider":   objectSchema(provider.Fields(), "provider/"),
			"text":       schema{"type": "string", "pattern": "^[^\x00]*$"},
			"exact":      schema{"$ref": "#/$defs/text", "pattern": "^([^\\s" + invisible + "]([\\s\\S]*[^\\s" + invisible + "])?)?$"},
			"bundle": schema{
				"type": "object", "additionalProperties": false, "required": []string{"connections"},
				"properties": schema{
					"$schema": schema{"type": "string"},
					"connections": schema{
						"type": "object", "propertyNames": schema{"pattern": "^[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?$"},
						"additionalProperties": schema{"allOf": []any{ref("connection"), schema{"not": schema{"required": []string{"$schema"}}}}},
					},
				},
			},
		},
	}
}

// objectSchema describes an object with fixed members. Each must be described in
// about.
func objectSchema(fields []object.Field, path string) schema {
	properties, required := schema{}, []string{}
	for _, f := range fields {
		at := path + f.Name
		member := formSchema(f.Form, at)
		member["description"] = descriptionOf(at)
		properties[f.Name] = member
		if f.Required {
			required = append(required, f.Name)
		}
	}
	s := schema{"type": "object", "properties": properties, "additionalProperties": false, "minProperties": 1}
	if len(required) > 0 {
		s["required"] = required
	}
	return s
}

// descriptionOf looks for the whole path first, then for ever shorter ends of it.
func descriptionOf(path string) string {
	for end := path; ; {
		if text, ok := about[end]; ok {
			return text
		}
		_, rest, found := strings.Cut(end, "/")
		if !found {
			panic("the schema has no description of " + path + "; add it to about")
		}
		end = rest
	}
}

func formSchema(form object.Form, path string) schema {
	switch f := form.(type) {
	case object.Text:
		return textSchema(f)
	case object.Boolean:
		return schema{"type": "boolean"}
	case object.Whole:
		return schema{"type": "integer", "minimum": f.Min, "maximum": f.Max}
	case object.Scalar:
		return schema{"type": []string{"string", "number", "boolean"}}
	case object.Any:
		return schema{}
	case object.List:
		return listSchema(f, path)
	case object.Map:
		return mapSchema(f, path)
	case object.Struct:
		s := objectSchema(f.Fields, path+"/")
		if f.Blank {
			delete(s, "minProperties")
		}
		return s
	case object.Either:
		var forms []any
		for _, one := range f {
			forms = append(forms, formSchema(one, path))
		}
		return schema{"anyOf": forms}
	}
	panic(fmt.Sprintf("the schema does not know the form %T", form))
}

func textSchema(f object.Text) schema {
	if len(f.Values) > 0 {
		allowed := slices.DeleteFunc(slices.Clone(f.Values), func(value string) bool { return slices.Contains(f.Except.Texts, value) })
		return schema{"type": "string", "enum": allowed}
	}
	s := schema{"$ref": "#/$defs/text"}
	if f.Exact {
		s["$ref"] = "#/$defs/exact"
	}
	if !f.Blank {
		s["minLength"] = 1
	}
	if f.Pattern != "" {
		s["pattern"] = f.Pattern
	}
	maps.Copy(s, exceptSchema(f.Except))
	return s
}

// exceptSchema refuses the texts in upper or lower case, which patterns of JSON
// Schema cannot say but letter by letter.
func exceptSchema(e object.Except) schema {
	if len(e.Texts) == 0 {
		return nil
	}
	var words []string
	for _, text := range e.Texts {
		var b strings.Builder
		for _, r := range text {
			if upper := strings.ToUpper(string(r)); upper != string(r) {
				b.WriteString("[" + string(r) + upper + "]")
			} else {
				b.WriteRune(r)
			}
		}
		if !strings.HasSuffix(text, "-") {
			b.WriteByte('$')
		}
		words = append(words, b.String())
	}
	return schema{"not": schema{"pattern": "^(" + strings.Join(words, "|") + ")"}}
}

func listSchema(f object.List, path string) schema {
	s := schema{"type": "array", "items": formSchema(f.Each, path)}
	if !f.Blank {
		s["minItems"] = 1
	}
	if !f.Repeats {
		s["uniqueItems"] = true
	}
	return s
}

func mapSchema(f object.Map, path string) schema {
	s := schema{"type": "object", "minProperties": 1, "additionalProperties": formSchema(f.Each, path)}
	if f.Most > 0 {
		s["maxProperties"] = f.Most
	}
	switch not := exceptSchema(f.Except); {
	case len(f.Keys) > 0: // as properties, so that editors offer them
		properties := schema{}
		for _, key := range f.Keys {
			properties[key] = formSchema(f.Each, path)
		}
		s["properties"], s["additionalProperties"] = properties, false
	case f.Pattern != "" && not != nil:
		s["propertyNames"] = schema{"allOf": []any{schema{"pattern": f.Pattern}, not}}
	case f.Pattern != "":
		s["propertyNames"] = schema{"pattern": f.Pattern}
	case not != nil:
		s["propertyNames"] = not
	}
	return s
}

var compiled = sync.OnceValues(func() (*jsonschema.Schema, error) {
	return jsonschema.NewCompiler().Compile("schema.json")
})

// validate says why schema.json refuses a text.
func validate(text string) error {
	s, err := compiled()
	if err != nil {
		panic("schema.json: " + err.Error())
	}
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		return err
	}
	return s.Validate(value)
}

// TestSchema_AZ44_catalogue: the schema describes the entries of the catalogue too. Only
// they may have the date, and the grant, that a declared provider may not.
func TestSchema_AZ44_catalogue(t *testing.T) {
	for _, name := range provider.Names() {
		text, err := os.ReadFile("../provider/catalogue/" + name + ".json")
		if err != nil {
			t.Fatal(err)
		}
		var entry map[string]json.RawMessage
		if err := json.Unmarshal(text, &entry); err != nil {
			t.Fatal(err)
		}
		delete(entry, "verified")
		if strings.Contains(string(entry["grant_types"]), `"password"`) {
			delete(entry, "grant_types")
		}
		rest, err := json.Marshal(entry)
		if err != nil {
			t.Fatal(err)
		}
		if err := validate(`{"provider":` + string(rest) + `,"client_id":"id"}`); err != nil {
			t.Errorf("AZ-44 %s: %v", name, err)
		}
	}
}
