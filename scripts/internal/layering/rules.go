package layering

const (
	aws = "github.com/aws"
	// awsChain reads profiles, instance metadata and web identities.
	awsChain = aws + "/aws-sdk-go-v2/config"
)

// stores are the technologies behind the core's interfaces.
var stores = []string{
	"/pkg/tokenstore/awsdynamodb", "/pkg/tokenstore/memory",
	"/pkg/clientsecret/awssecretsmanager", "/pkg/clientsecret/folder",
}

// Rules are the rules of this module.
var Rules = []Rule{
	{Package: "pkg/connection", Never: []string{aws, "net/http"}},
	{Package: "pkg/provider", Never: []string{aws}},
	{Package: "pkg/oauth", Never: []string{aws}, NeverDirectly: []string{"os"}},
	{Package: "pkg/vending", Never: append([]string{aws}, stores...), NeverDirectly: []string{"os"}},
	{Package: "pkg/consent", Never: append([]string{aws}, stores...)},
	{Package: "pkg/tokenstore", Never: []string{"/pkg/vending"}},
	{Package: "pkg/clientsecret", Never: []string{"/pkg/vending"}},
	{Package: "pkg/seal", Never: []string{aws}},
	{Package: "pkg/gateway", Never: append([]string{aws}, stores...)},
	// What ships knows neither the sandbox nor what serves tests and laptops.
	{Package: "pkg", Except: []string{"pkg/sandbox"}, Never: []string{"/pkg/sandbox", "/scripts"}},
	{Package: "functions", Never: []string{"/pkg/sandbox", "/scripts", "/pkg/tokenstore/memory", "/pkg/clientsecret/folder"}},
	// The SDK's credential chain costs a function a large part of its cold start.
	{Package: "pkg", Never: []string{awsChain}},
	{Package: "functions", Never: []string{awsChain}},
}
