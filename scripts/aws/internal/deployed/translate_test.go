package deployed_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// translation is a part of the template that the emulator does not take as AWS does.
type translation struct {
	// what names the part, and why says why it cannot stay.
	what, why string
	// apply changes the template, and returns how many places it changed. None means
	// that the row is no longer needed.
	apply func(resources document) int
}

var translations = []translation{
	{"methods ANY", "the import of an API skips x-amazon-apigateway-any-method", expandAnyMethods},
	{"resource policy in the body", "the import reads the property Policy alone", movePolicy},
	{"gateway responses in the body", "the import reads resources alone", moveGatewayResponses},
	{"alarms of metric math", "refused; such an alarm gets its first metric, so that the dashboard can name it", flattenAlarms},
	{"a role's Ref of a secret", "Ref is the secret's name instead of its ARN", nameSecrets},
	{"dynamodb:LeadingKeys", "the evaluation does not have the key, so the function for the public pages would be refused", dropLeadingKeys},
	{"the firewall's association", "the resource's type is unknown", func(resources document) int {
		before := len(resources)
		delete(resources, "FirewallAssociation")
		return before - len(resources)
	}},
}

// methods are all that API Gateway has.
var methods = []string{"get", "head", "post", "put", "patch", "delete", "options"}

func expandAnyMethods(resources document) (changed int) {
	for _, item := range api(resources)["paths"].(document) {
		path := item.(document)
		operation, found := path["x-amazon-apigateway-any-method"]
		if !found {
			continue
		}
		delete(path, "x-amazon-apigateway-any-method")
		for _, method := range methods {
			path[method] = operation
		}
		changed++
	}
	return changed
}

func movePolicy(resources document) int {
	body := api(resources)
	policy, found := body["x-amazon-apigateway-policy"]
	if !found {
		return 0
	}
	delete(body, "x-amazon-apigateway-policy")
	properties(resources, "Api")["Policy"] = policy
	return 1
}

func moveGatewayResponses(resources document) int {
	body := api(resources)
	responses, _ := body["x-amazon-apigateway-gateway-responses"].(document)
	delete(body, "x-amazon-apigateway-gateway-responses")
	var names []any
	for _, kind := range slices.Sorted(maps.Keys(responses)) {
		r := responses[kind].(document)
		name := "GatewayResponse" + strings.ReplaceAll(kind, "_", "")
		resources[name] = document{"Type": "AWS::ApiGateway::GatewayResponse", "Properties": document{
			"RestApiId": document{"Ref": "Api"}, "ResponseType": kind, "StatusCode": r["statusCode"],
			"ResponseParameters": r["responseParameters"], "ResponseTemplates": r["responseTemplates"],
		}}
		names = append(names, name)
	}
	for name, r := range resources {
		if r.(document)["Type"] == "AWS::ApiGateway::Deployment" {
			resources[name].(document)["DependsOn"] = names
		}
	}
	return len(responses)
}

func flattenAlarms(resources document) (changed int) {
	for name, r := range resources {
		if r.(document)["Type"] != "AWS::CloudWatch::Alarm" || properties(resources, name)["Metrics"] == nil {
			continue
		}
		p := properties(resources, name)
		stat := p["Metrics"].([]any)[1].(document)["MetricStat"].(document)
		delete(p, "Metrics")
		maps.Copy(p, stat["Metric"].(document))
		p["Statistic"], p["Period"] = stat["Stat"], stat["Period"]
		changed++
	}
	return changed
}

// nameSecrets changes roles only: for a function a secret's name is as good as its ARN.
func nameSecrets(resources document) (changed int) {
	var visit func(v any) any
	visit = func(v any) any {
		switch v := v.(type) {
		case document:
			if name, isRef := v["Ref"].(string); isRef && resources[name] != nil && resources[name].(document)["Type"] == "AWS::SecretsManager::Secret" {
				changed++
				return document{"Fn::GetAtt": []any{name, "Id"}}
			}
			for k := range v {
				v[k] = visit(v[k])
			}
		case []any:
			for i := range v {
				v[i] = visit(v[i])
			}
		}
		return v
	}
	for name, r := range resources {
		if r.(document)["Type"] == "AWS::IAM::Role" {
			visit(properties(resources, name))
		}
	}
	return changed
}

func dropLeadingKeys(resources document) (changed int) {
	policy := properties(resources, "ConsentRole")["Policies"].([]any)[0].(document)["PolicyDocument"].(document)
	for _, s := range policy["Statement"].([]any) {
		statement := s.(document)
		if strings.Contains(string(encode(statement["Condition"])), "dynamodb:LeadingKeys") {
			delete(statement, "Condition")
			changed++
		}
	}
	return changed
}

// api is the body of the API.
func api(resources document) document { return properties(resources, "Api")["Body"].(document) }

func properties(resources document, name string) document {
	return resources[name].(document)["Properties"].(document)
}

// translate returns the template for the emulator.
func translate(transformed []byte) (document, error) {
	var template document
	if err := json.Unmarshal(transformed, &template); err != nil {
		return nil, err
	}
	resources := template["Resources"].(document)
	for _, row := range translations {
		if row.apply(resources) == 0 {
			return nil, fmt.Errorf("the row %q of translations matches nothing in the template: delete it", row.what)
		}
	}
	return template, nil
}
