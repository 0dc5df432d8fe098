// Vends with a generated client. The arguments are the URL of the API and the name
// of a connection; the token id goes to standard output.
import { Sha256 } from "@aws-crypto/sha256-js";
import { SignatureV4 } from "@smithy/signature-v4";
import createClient from "openapi-fetch";
import type { paths } from "./api.js";

const [url, connection] = process.argv.slice(2);
const signer = new SignatureV4({
  service: "execute-api",
  region: "us-east-1",
  credentials: { accessKeyId: "local", secretAccessKey: "local" },
  sha256: Sha256,
});

const client = createClient<paths>({ baseUrl: url });
client.use({
  async onRequest({ request }) {
    const { protocol, hostname, host, pathname } = new URL(request.url);
    const signed = await signer.sign({
      method: request.method, protocol, hostname, path: pathname, query: {}, headers: { host },
    });
    return new Request(request, { headers: signed.headers });
  },
});

const { data, error } = await client.GET("/connections/{connection}/token", {
  params: { path: { connection: connection! } },
});
if (error) {
  throw new Error(`${error.error}: ${error.detail}`);
}
console.log(data.token_id);
