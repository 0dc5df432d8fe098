<?php
// Prints the service's answer for one connection, a JSON object with access_token:
//
//   php token.php https://abc123.execute-api.eu-west-1.amazonaws.com/v1 eu-west-1 crm
//
// Needs the package aws/aws-sdk-php.
//
// Caching: keep the answer in APCu or another cache that only this program reads until
// refresh_in seconds after the request, and never use a token after expires_in. When the
// API answers 401, ask again with POST and {"rejected_token_id": token_id} as JSON, once.
// On 429 and 503 wait for Retry-After.
require 'vendor/autoload.php';

use Aws\Credentials\CredentialProvider;
use Aws\Signature\SignatureV4;
use GuzzleHttp\Client;
use GuzzleHttp\Psr7\Request;

[, $url, $region, $connection] = $argv;
$credentials = CredentialProvider::defaultProvider()()->wait(); // the default chain, at each request
$request = new Request('GET', "$url/connections/$connection/token");
$signed = (new SignatureV4('execute-api', $region))->signRequest($request, $credentials);
$client = new Client(['timeout' => 35, 'allow_redirects' => false, 'http_errors' => false]);
$answer = $client->send($signed);
echo $answer->getBody(), "\n";
exit($answer->getStatusCode() === 200 ? 0 : 1);
