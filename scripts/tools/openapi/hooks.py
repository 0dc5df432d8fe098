"""Signs what schemathesis sends, and names connections that exist as often as not."""

import schemathesis
from requests_aws4auth import AWS4Auth

# The first of the local run's public keys.
schemathesis.auth.set_from_requests(AWS4Auth("local", "local", "us-east-1", "execute-api")).apply_to(
    path_regex="^/connections"
)

KNOWN = ("agile-now", "cliquify", "creative-force", "creative-force-user")


@schemathesis.hook
def map_path_parameters(context, path_parameters):
    name = (path_parameters or {}).get("connection")
    if isinstance(name, str) and len(name) % 2:
        path_parameters["connection"] = KNOWN[sum(name.encode()) % len(KNOWN)]
    return path_parameters
