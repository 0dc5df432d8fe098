#!/bin/sh
# Prints the service's answer for one connection, a JSON object with access_token:
#
#   sh token.sh https://abc123.execute-api.eu-west-1.amazonaws.com/v1 eu-west-1 crm
#
# Needs curl 7.76 or later. Credentials are those of the environment; with the AWS CLI,
# this sets them from the default chain, before each request:
#
#   eval "$(aws configure export-credentials --format env)"
#
# Caching: keep the answer in memory or a 0600 file until refresh_in seconds after the
# request, and never use a token after expires_in. When the API answers 401, ask again
# with POST and {"rejected_token_id": token_id} as JSON, once. On 429 and 503 wait for
# Retry-After.
set -eu
url=$1 region=$2 connection=$3

# curl reads the secret from standard input, because arguments are visible to others.
{
	printf 'user = "%s:%s"\n' "$AWS_ACCESS_KEY_ID" "$AWS_SECRET_ACCESS_KEY"
	if [ -n "${AWS_SESSION_TOKEN:-}" ]; then
		printf 'header = "x-amz-security-token: %s"\n' "$AWS_SESSION_TOKEN"
	fi
} | curl --config - --silent --show-error --fail-with-body --max-time 35 \
	--aws-sigv4 "aws:amz:$region:execute-api" "$url/connections/$connection/token"
