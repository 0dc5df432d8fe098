package secrets_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

type object = map[string]any

// token is a request token, and so a version's id, that ends in n.
func token(n int) string { return fmt.Sprintf("%032d", n) }

// call is what a step of a story does.
type call struct {
	operation string
	in        object
	// want are members of the answer, or the error's code and a part of its message.
	want object
	err  string
}

func (c call) run(t *testing.T, e engine) {
	t.Helper()
	var out object
	err := e.Call(c.operation, c.in, &out)
	if c.err != "" || err != nil {
		for _, part := range strings.Split(c.err, "|") {
			if err == nil || c.err == "" || !strings.Contains(err.Error(), part) {
				t.Fatalf("%s %v: %v, want %q", c.operation, c.in, err, c.err)
			}
		}
		return
	}
	for name, want := range c.want {
		if d := cmp.Diff(want, out[name]); d != "" {
			t.Errorf("%s %v: %s (-want +got):\n%s", c.operation, c.in, name, d)
		}
	}
}

func create(n int, text string) call {
	return call{"CreateSecret", object{"Name": "a", "SecretString": text, "ClientRequestToken": token(n)}, object{"Name": "a", "VersionId": token(n)}, ""}
}

func put(n int, text string) call {
	return call{"PutSecretValue", object{"SecretId": "a", "SecretString": text, "ClientRequestToken": token(n)}, object{"VersionId": token(n)}, ""}
}

func reads(selector object, text string) call {
	selector["SecretId"] = "a"
	return call{"GetSecretValue", selector, object{"SecretString": text}, ""}
}

func refuses(selector object, err string) call {
	selector["SecretId"] = "a"
	return call{"GetSecretValue", selector, nil, err}
}

func stages(want object) call {
	return call{"DescribeSecret", object{"SecretId": "a"}, object{"VersionIdsToStages": want}, ""}
}

func move(in object, err string) call {
	in["SecretId"] = "a"
	return call{"UpdateSecretVersionStage", in, nil, err}
}

func list(members ...any) []any { return append([]any{}, members...) }

func TestStories(t *testing.T) {
	for _, tc := range []struct {
		name  string
		steps []call
	}{
		{"CR-20 a new current version makes the old one previous, and drops the one before", []call{
			create(1, "one"), put(2, "two"), put(3, "three"),
			reads(object{}, "three"), reads(object{"VersionStage": "AWSCURRENT"}, "three"), reads(object{"VersionStage": "AWSPREVIOUS"}, "two"),
			stages(object{token(3): list("AWSCURRENT"), token(2): list("AWSPREVIOUS")}),
			reads(object{"VersionId": token(1)}, "one"),
		}},
		{"BI-66 a pending version changes nothing until it is made current", []call{
			create(1, "one"),
			{"PutSecretValue", object{"SecretId": "a", "SecretString": "two", "ClientRequestToken": token(2), "VersionStages": []string{"AWSPENDING"}}, object{"VersionStages": list("AWSPENDING")}, ""},
			reads(object{}, "one"), reads(object{"VersionStage": "AWSPENDING"}, "two"),
			move(object{"VersionStage": "AWSCURRENT", "MoveToVersionId": token(2)}, "InvalidParameterException|RemoveFromVersionId"),
			move(object{"VersionStage": "AWSCURRENT", "MoveToVersionId": token(2), "RemoveFromVersionId": token(2)}, "InvalidParameterException"),
			move(object{"VersionStage": "AWSCURRENT", "MoveToVersionId": token(2), "RemoveFromVersionId": token(1)}, ""),
			reads(object{}, "two"),
			stages(object{token(2): list("AWSPENDING", "AWSCURRENT"), token(1): list("AWSPREVIOUS")}),
			move(object{"VersionStage": "AWSPENDING", "RemoveFromVersionId": token(2)}, ""),
			stages(object{token(2): list("AWSCURRENT"), token(1): list("AWSPREVIOUS")}),
		}},
		{"CR-20 rolling back moves the label back", []call{
			create(1, "one"), put(2, "two"),
			move(object{"VersionStage": "AWSCURRENT", "MoveToVersionId": token(1), "RemoveFromVersionId": token(2)}, ""),
			stages(object{token(1): list("AWSCURRENT"), token(2): list("AWSPREVIOUS")}),
		}},
		{"FI-35 AWSCURRENT cannot be taken away", []call{
			create(1, "one"),
			move(object{"VersionStage": "AWSCURRENT", "RemoveFromVersionId": token(1)}, "InvalidParameterException"),
			move(object{"VersionStage": "AWSCURRENT", "MoveToVersionId": token(9), "RemoveFromVersionId": token(1)}, "ResourceNotFoundException|VersionId"),
			move(object{"VersionStage": "other"}, "InvalidParameterException"),
		}},
		{"FI-35 a secret without a value", []call{
			{"CreateSecret", object{"Name": "a"}, object{"Name": "a"}, ""},
			refuses(object{}, "ResourceNotFoundException|staging label: AWSCURRENT"),
			put(1, "one"), reads(object{}, "one"),
		}},
		{"FI-35 the first version is current whatever its labels", []call{
			{"CreateSecret", object{"Name": "a"}, nil, ""},
			{"PutSecretValue", object{"SecretId": "a", "SecretString": "one", "ClientRequestToken": token(1), "VersionStages": []string{"mine"}}, object{"VersionStages": list("mine", "AWSCURRENT")}, ""},
		}},
		{"FI-35 scheduled for deletion", []call{
			create(1, "one"),
			{"DeleteSecret", object{"SecretId": "a", "RecoveryWindowInDays": 7}, object{"DeletionDate": 1767323045.678 + 7*86400}, ""},
			refuses(object{}, "InvalidRequestException|marked for deletion"),
			{"PutSecretValue", object{"SecretId": "a", "SecretString": "x", "ClientRequestToken": token(2)}, nil, "InvalidRequestException"},
			{"CreateSecret", object{"Name": "a", "SecretString": "x", "ClientRequestToken": token(2)}, nil, "InvalidRequestException|scheduled for deletion"},
			{"DescribeSecret", object{"SecretId": "a"}, object{"DeletedDate": 1767323045.678}, ""},
			{"ListSecrets", object{}, object{"SecretList": list()}, ""},
			{"BatchGetSecretValue", object{"SecretIdList": []string{"a"}}, object{"SecretValues": list(), "Errors": list(object{
				"SecretId": "a", "ErrorCode": "InvalidRequestException",
				"Message": "You can't perform this operation on the secret because it was marked for deletion."})}, ""},
			{"RestoreSecret", object{"SecretId": "a"}, nil, ""},
			reads(object{}, "one"),
		}},
		{"CR-38 deleted at once", []call{
			create(1, "one"),
			{"DeleteSecret", object{"SecretId": "a", "ForceDeleteWithoutRecovery": true}, nil, ""},
			refuses(object{}, "ResourceNotFoundException"),
			{"DeleteSecret", object{"SecretId": "a", "ForceDeleteWithoutRecovery": true}, nil, ""},
			{"DeleteSecret", object{"SecretId": "a"}, nil, "ResourceNotFoundException"},
			create(2, "two"), refuses(object{"VersionStage": "AWSPREVIOUS"}, "ResourceNotFoundException|staging label"),
		}},
		{"CR-36 the same request again changes nothing, another with its token is refused", []call{
			create(1, "one"), create(1, "one"),
			{"CreateSecret", object{"Name": "a", "SecretString": "x", "ClientRequestToken": token(1)}, nil, "ResourceExistsException"},
			put(2, "two"), put(2, "two"),
			{"PutSecretValue", object{"SecretId": "a", "SecretString": "x", "ClientRequestToken": token(2)}, nil, "ResourceExistsException"},
			stages(object{token(2): list("AWSCURRENT"), token(1): list("AWSPREVIOUS")}),
		}},
		{"BI-60 bytes", []call{
			{"CreateSecret", object{"Name": "a", "SecretBinary": "AAE=", "ClientRequestToken": token(1)}, nil, ""},
			{"GetSecretValue", object{"SecretId": "a"}, object{"SecretBinary": "AAE=", "SecretString": nil}, ""},
		}},
		{"a version must be the one with the label", []call{
			create(1, "one"), put(2, "two"),
			reads(object{"VersionId": token(2), "VersionStage": "AWSCURRENT"}, "two"),
			refuses(object{"VersionId": token(1), "VersionStage": "AWSCURRENT"}, "InvalidRequestException"),
			refuses(object{"VersionId": token(9)}, "ResourceNotFoundException|VersionId"),
		}},
		{"what is wrong is refused", []call{
			{"CreateSecret", object{"Name": "a b"}, nil, "ValidationException|Invalid name"},
			{"CreateSecret", object{"Name": "a", "SecretString": ""}, nil, "ValidationException"},
			{"CreateSecret", object{"Name": "a", "SecretString": strings.Repeat("x", 64<<10+1)}, nil, "ValidationException"},
			{"CreateSecret", object{"Name": "a", "SecretString": "x", "SecretBinary": "AAE="}, nil, "InvalidParameterException"},
			{"CreateSecret", object{"Name": "a", "SecretString": "x"}, nil, "InvalidParameterException|ClientRequestToken"},
			{"CreateSecret", object{"Name": "a", "KmsKeyId": "k"}, nil, "ValidationException|KmsKeyId"},
			{"GetSecretValue", object{"SecretId": "a"}, nil, "ResourceNotFoundException|can't find the specified secret."},
			create(1, "one"),
			{"PutSecretValue", object{"SecretId": "a", "ClientRequestToken": token(2)}, nil, "InvalidRequestException"},
			{"PutSecretValue", object{"SecretId": "a", "SecretString": "x", "ClientRequestToken": token(2), "VersionStages": []string{""}}, nil, "ValidationException"},
			{"DeleteSecret", object{"SecretId": "a", "RecoveryWindowInDays": 6}, nil, "InvalidParameterException"},
			{"DeleteSecret", object{"SecretId": "a", "RecoveryWindowInDays": 7, "ForceDeleteWithoutRecovery": true}, nil, "InvalidParameterException"},
			{"ListSecrets", object{"MaxResults": 101}, nil, "ValidationException"},
			{"ListSecrets", object{"SortOrder": "up"}, nil, "ValidationException"},
			{"ListSecrets", object{"Filters": []object{{"Key": "tag-key", "Values": []string{"x"}}}}, nil, "ValidationException|filter"},
			{"ListSecrets", object{"NextToken": "x"}, nil, "InvalidNextTokenException"},
			{"BatchGetSecretValue", object{}, nil, "InvalidParameterException"},
			{"BatchGetSecretValue", object{"SecretIdList": []string{"a"}, "MaxResults": 1}, nil, "ValidationException|MaxResults"},
			{"BatchGetSecretValue", object{"SecretIdList": make([]string, 21)}, nil, "InvalidParameterException"},
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			e := start(t)
			for _, step := range tc.steps {
				step.run(t, e)
			}
		})
	}
}

func TestDeletionComesToItsEnd(t *testing.T) {
	e := start(t)
	create(1, "one").run(t, e)
	call{"DeleteSecret", object{"SecretId": "a", "RecoveryWindowInDays": 7}, nil, ""}.run(t, e)
	*e.clock = e.clock.Add(7*24*time.Hour - time.Millisecond)
	refuses(object{}, "InvalidRequestException").run(t, e)
	*e.clock = e.clock.Add(time.Millisecond)
	refuses(object{}, "ResourceNotFoundException").run(t, e)
	call{"ListSecrets", object{"IncludePlannedDeletion": true}, object{"SecretList": list()}, ""}.run(t, e)
	create(2, "two").run(t, e)
}

func TestListingInPages(t *testing.T) {
	e := start(t)
	for _, name := range []string{"t/a", "t/b", "other", "t/c", "T/d"} {
		call{"CreateSecret", object{"Name": name}, nil, ""}.run(t, e)
	}
	for _, tc := range []struct {
		name string
		in   object
		want string
	}{
		{"by prefix, oldest first", object{"SortOrder": "asc", "Filters": filters("t/")}, "t/a t/b t/c"},
		{"newest first", object{"SortOrder": "desc", "Filters": filters("t/")}, "t/c t/b t/a"},
		{"newest first by default", object{}, "T/d t/c other t/b t/a"},
		{"all but a prefix", object{"SortOrder": "asc", "Filters": filters("!t/")}, "other T/d"},
		{"one of two prefixes", object{"SortOrder": "asc", "Filters": filters("t/a", "o")}, "t/a other"},
	} {
		for _, size := range []int{1, 2, 100} {
			t.Run(fmt.Sprintf("%s, %d at a time", tc.name, size), func(t *testing.T) {
				tc.in["MaxResults"] = size
				if got := strings.Join(names(t, e, tc.in), " "); got != tc.want {
					t.Errorf("got %s, want %s", got, tc.want)
				}
			})
		}
	}
}

func filters(values ...string) []object { return []object{{"Key": "name", "Values": values}} }

func names(t *testing.T, e engine, in object) (all []string) {
	t.Helper()
	delete(in, "NextToken")
	for {
		var out struct {
			SecretList []struct{ Name string }
			NextToken  string
		}
		if err := e.Call("ListSecrets", in, &out); err != nil {
			t.Fatal(err)
		}
		if len(out.SecretList) > in["MaxResults"].(int) {
			t.Fatalf("a page of %d", len(out.SecretList))
		}
		for _, s := range out.SecretList {
			all = append(all, s.Name)
		}
		if in["NextToken"] = out.NextToken; out.NextToken == "" {
			return all
		}
	}
}

func TestPagesStandWhileSecretsComeAndGo(t *testing.T) {
	e := start(t)
	for _, name := range []string{"a", "b", "c"} {
		call{"CreateSecret", object{"Name": name}, nil, ""}.run(t, e)
	}
	var page struct{ NextToken string }
	if err := e.Call("ListSecrets", object{"MaxResults": 2, "SortOrder": "asc"}, &page); err != nil {
		t.Fatal(err)
	}
	call{"DeleteSecret", object{"SecretId": "b", "ForceDeleteWithoutRecovery": true}, nil, ""}.run(t, e)
	call{"CreateSecret", object{"Name": "d"}, nil, ""}.run(t, e)
	if got := strings.Join(namesFrom(t, e, page.NextToken), " "); got != "c d" {
		t.Errorf("the second page has %s", got)
	}
	call{"ListSecrets", object{"NextToken": page.NextToken, "SortOrder": "desc"}, nil, "InvalidNextTokenException"}.run(t, e)
}

func namesFrom(t *testing.T, e engine, next string) (all []string) {
	t.Helper()
	var out struct{ SecretList []struct{ Name string } }
	if err := e.Call("ListSecrets", object{"MaxResults": 100, "SortOrder": "asc", "NextToken": next}, &out); err != nil {
		t.Fatal(err)
	}
	for _, s := range out.SecretList {
		all = append(all, s.Name)
	}
	return all
}

func TestNamesOfASecret(t *testing.T) {
	e := start(t)
	create(1, "one").run(t, e)
	var described struct{ ARN string }
	if err := e.Call("DescribeSecret", object{"SecretId": "a"}, &described); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"a", described.ARN, described.ARN[:len(described.ARN)-7]} {
		call{"GetSecretValue", object{"SecretId": id}, object{"ARN": described.ARN, "SecretString": "one"}, ""}.run(t, e)
	}
	call{"GetSecretValue", object{"SecretId": "A"}, nil, "ResourceNotFoundException"}.run(t, e)
}
