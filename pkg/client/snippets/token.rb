# Prints the service's answer for one connection, a JSON object with access_token:
#
#   ruby token.rb https://abc123.execute-api.eu-west-1.amazonaws.com/v1 eu-west-1 crm
#
# Needs the gem aws-sdk-core.
#
# Caching: keep the answer in memory until refresh_in seconds after the request, and never
# use a token after expires_in. Let one thread refresh while the others use the current
# token. When the API answers 401, ask again with POST and {"rejected_token_id": token_id}
# as JSON, once. On 429 and 503 wait for Retry-After.
require "aws-sdk-core"
require "aws-sigv4"
require "net/http"

url, region, connection = ARGV
uri = URI("#{url}/connections/#{connection}/token")
signer = Aws::Sigv4::Signer.new(
  service: "execute-api", region: region,
  credentials_provider: Aws::CredentialProviderChain.new.resolve # the default chain, at each request
)
signature = signer.sign_request(http_method: "GET", url: uri.to_s)
request = Net::HTTP::Get.new(uri, signature.headers)
answer = Net::HTTP.start(uri.hostname, uri.port, use_ssl: uri.scheme == "https", read_timeout: 35) do |http|
  http.request(request)
end
puts answer.body
exit answer.is_a?(Net::HTTPOK)
