// Prints the service's answer for one connection, a JSON object with access_token. Arguments:
// URL with the stage, region, connection.
//
// Needs the packages AWSSDK.Core (credentials) and AwsSignatureVersion4 (which signs with it).
//
// Caching: keep the answer in memory until refresh_in seconds after the request, and never use
// a token after expires_in. Let one task refresh while the others use the current token. When
// the API answers 401, ask again with POST and {"rejected_token_id": token_id} as JSON, once.
// On 429 and 503 wait for Retry-After.
using System;
using System.Net.Http;
using Amazon.Runtime.Credentials;
using AwsSignatureVersion4;

var (url, region, connection) = (args[0], args[1], args[2]);
var credentials = DefaultAWSCredentialsIdentityResolver.GetCredentials(); // the default chain
var settings = new AwsSignatureHandlerSettings(region, "execute-api", credentials);
using var handler = new AwsSignatureHandler(settings) { InnerHandler = new HttpClientHandler { AllowAutoRedirect = false } };
using var client = new HttpClient(handler) { Timeout = TimeSpan.FromSeconds(35) };
using var answer = await client.GetAsync($"{url}/connections/{connection}/token");
Console.WriteLine(await answer.Content.ReadAsStringAsync());
return answer.IsSuccessStatusCode ? 0 : 1;
