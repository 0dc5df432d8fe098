package layering_test

const (
	aws = "github.com/aws"
	// awsChain reads profiles, instance metadata and web identities.
	awsChain = aws + "/aws-sdk-go-v2/config"
	oauth2   = "golang.org/x/oauth2"
)

// stores are the technologies behind the core's interfaces.
var stores = []string{
	"/pkg/tokenstore/awsdynamodb", "/pkg/tokenstore/memory",
	"/pkg/clientsecret/awssecretsmanager", "/pkg/clientsecret/folder",
}

// core returns the paths of packages inside the core.
func core(names ...string) []string {
	paths := make([]string, len(names))
	for i, name := range names {
		paths[i] = "/pkg/vending/internal/" + name
	}
	return paths
}

// Rules are the rules of this module.
var Rules = []Rule{
	{Package: "pkg/connection", Never: []string{aws, "net/http"}},
	{Package: "pkg/provider", Never: []string{aws}},
	{Package: "pkg/oauth", Never: []string{aws}, NeverDirectly: []string{"os"}},
	{Package: "pkg/vending", Never: append([]string{aws}, stores...), NeverDirectly: []string{"os"}},
	// Inside the core each package imports only those before it: token, rules,
	// declared, record and issue side by side, lease, vending.
	{Package: "pkg/vending/internal/token", Never: core("rules", "declared", "record", "issue", "lease")},
	{Package: "pkg/vending/internal/rules", Never: core("declared", "record", "issue", "lease")},
	{Package: "pkg/vending/internal/declared", Never: core("record", "issue", "lease")},
	{Package: "pkg/vending/internal/record", Never: core("issue", "lease")},
	{Package: "pkg/vending/internal/issue", Never: core("record", "lease")},
	// The directory and the core share declarations and nothing else.
	{Package: "pkg/directory", Never: append([]string{aws, "/pkg/vending"}, stores...)},
	{Package: "pkg/declaration", Never: append([]string{aws, "/pkg/vending", "/pkg/directory"}, stores...)},
	{Package: "pkg/consent", Never: append([]string{aws}, stores...)},
	{Package: "pkg/tokenstore", Never: []string{"/pkg/vending"}},
	{Package: "pkg/clientsecret", Never: []string{"/pkg/vending"}},
	{Package: "pkg/seal", Never: []string{aws}},
	{Package: "pkg/gateway", Never: append([]string{aws}, stores...)},
	// What ships knows neither the sandbox nor what serves tests and laptops.
	{Package: "pkg", Except: []string{"pkg/sandbox"}, Never: []string{"/pkg/sandbox", "/scripts"}},
	{Package: "functions", Never: []string{"/pkg/sandbox", "/scripts", "/pkg/tokenstore/memory", "/pkg/clientsecret/folder"}},
	// The SDK's credential chain costs a function a large part of its cold start.
	{Package: "pkg", Except: []string{"pkg/client"}, Never: []string{awsChain}},
	{Package: "functions", Never: []string{awsChain}},
	// Programs link the client: it brings in neither the service nor the SDK's clients
	// of other services.
	{Package: "pkg/client", Never: append([]string{
		aws + "/aws-lambda-go", aws + "/aws-sdk-go-v2/service/dynamodb", aws + "/aws-sdk-go-v2/service/secretsmanager",
		aws + "/aws-sdk-go-v2/service/cloudformation", "/functions", "/pkg/assembly", "/pkg/audit", "/pkg/clientsecret", "/pkg/config",
		"/pkg/connection", "/pkg/consent", "/pkg/declaration", "/pkg/directory", "/pkg/egress", "/pkg/gateway", "/pkg/oauth",
		"/pkg/problem", "/pkg/provider", "/pkg/renewal", "/pkg/seal", "/pkg/tokenstore", "/pkg/vending", "/pkg/wheel",
	}, stores...)},
	{Package: "pkg", Except: []string{"pkg/client"}, Never: []string{oauth2}},
	{Package: "functions", Never: []string{oauth2}},
}
