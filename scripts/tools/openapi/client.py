"""Vends with a generated client. The arguments are the folder of the client, the
URL of the API and the name of a connection; the token id goes to standard output."""

import sys

import httpx
import requests
from requests_aws4auth import AWS4Auth


class Signed(httpx.Auth):
    """Signs as a caller of the local run does."""

    def auth_flow(self, request):
        prepared = requests.Request(request.method, str(request.url)).prepare()
        AWS4Auth("local", "local", "us-east-1", "execute-api")(prepared)
        request.headers.update(prepared.headers)
        yield request


folder, url, connection = sys.argv[1:]
sys.path.insert(0, folder)
from generated import Client  # noqa: E402
from generated.api.tokens import vend  # noqa: E402
from generated.models import Token  # noqa: E402

with Client(base_url=url, httpx_args={"auth": Signed()}) as client:
    token = vend.sync(connection, client=client)
if not isinstance(token, Token):
    sys.exit(f"{token.error}: {token.detail}")
print(token.token_id)
