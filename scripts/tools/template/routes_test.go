package template_test

import (
	"errors"
	"fmt"

	"go.yaml.in/yaml/v3"
)

// API is the part of the REST API's properties that is compared.
type API struct {
	StageName           string    `yaml:"StageName"`
	DisableOwnName      yaml.Node `yaml:"DisableExecuteApiEndpoint"`
	CacheClusterEnabled yaml.Node `yaml:"CacheClusterEnabled"`
	Cors                yaml.Node `yaml:"Cors"`
	TracingEnabled      yaml.Node `yaml:"TracingEnabled"`
	Auth                struct {
		DefaultAuthorizer string `yaml:"DefaultAuthorizer"`
		InvokeRole        string `yaml:"InvokeRole"`
		ResourcePolicy    struct {
			CustomStatements []yaml.Node `yaml:"CustomStatements"`
		} `yaml:"ResourcePolicy"`
	} `yaml:"Auth"`
	AccessLogSetting struct {
		DestinationArn yaml.Node `yaml:"DestinationArn"`
		Format         string    `yaml:"Format"`
	} `yaml:"AccessLogSetting"`
	MethodSettings   []MethodSetting            `yaml:"MethodSettings"`
	GatewayResponses map[string]GatewayResponse `yaml:"GatewayResponses"`
}

// MethodSetting applies to one method, or with stars to all methods without their
// own. Fields that are not set are nil.
type MethodSetting struct {
	ResourcePath     string    `yaml:"ResourcePath"`
	HTTPMethod       string    `yaml:"HttpMethod"`
	DataTraceEnabled *bool     `yaml:"DataTraceEnabled"`
	CachingEnabled   *bool     `yaml:"CachingEnabled"`
	LoggingLevel     string    `yaml:"LoggingLevel"`
	Rate             yaml.Node `yaml:"ThrottlingRateLimit"`
	Burst            yaml.Node `yaml:"ThrottlingBurstLimit"`
}

// GatewayResponse is a response of API Gateway itself.
type GatewayResponse struct {
	StatusCode         int `yaml:"StatusCode"`
	ResponseParameters struct {
		Headers map[string]string `yaml:"Headers"`
	} `yaml:"ResponseParameters"`
	ResponseTemplates map[string]string `yaml:"ResponseTemplates"`
}

// API returns the stack's REST API.
func (t Template) API() (API, error) {
	var found []API
	for name, r := range t.Resources {
		if r.Type != apiType {
			continue
		}
		var api API
		if err := r.Properties.Decode(&api); err != nil {
			return API{}, fmt.Errorf("API %s: %w", name, err)
		}
		found = append(found, api)
	}
	if len(found) != 1 {
		return API{}, errors.New("the stack does not have exactly one REST API")
	}
	return found[0], nil
}

// Policy are the statements of the API's resource policy.
func (a API) Policy() ([]Statement, error) { return statements(a.Auth.ResourcePolicy.CustomStatements) }
