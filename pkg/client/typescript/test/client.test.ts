import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { format, inspect } from "node:util";

import { AuthorizationRequiredError, createClient, Token, TokenvendError, version, type ClientOptions } from "../src/index.js";
import { Servers, SimulatedTime, type Answer } from "./simulation.js";

const url = "https://abc123.execute-api.eu-west-1.amazonaws.com/v1";
const api = "https://api.example/items";
const variables = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "TOKENVEND_URL"];

let servers: Servers;
let environment: NodeJS.ProcessEnv;

beforeEach(async () => {
  environment = process.env;
  process.env = { ...environment };
  for (const name of variables) delete process.env[name];
  servers = await new Servers(new SimulatedTime()).listen();
});

afterEach(() => {
  process.env = environment;
  servers.close();
});

function vend(token: string, more: Answer = {}): Answer {
  return { vend: token, expires_in: 3600, refresh_in: 3000, ...more };
}

function client(options: ClientOptions = {}) {
  const { credentials, fetch } = servers;
  return createClient({ url, credentials, fetch, ...options });
}

async function failureOf(call: Promise<unknown>): Promise<TokenvendError> {
  const error: unknown = await call.then(() => undefined, (failure: unknown) => failure);
  assert.ok(error instanceof TokenvendError, String(error));
  return error;
}

test("URLs that are refused", () => {
  for (const bad of ["", "abc", "http://service.example/v1", "https://u@service.example/v1", "https://service.example/v1?x=y", "ftp://a.example"]) {
    assert.throws(() => createClient({ url: bad }), /TOKENVEND_URL must be an https URL/, bad);
  }
});

test("a token redacts itself", async () => {
  servers.answers = [vend("canary-9", { token_id: "x", scope: "read", extra: { instance_url: "https://acme.example" } })];
  const token = await client().token("crm");
  const shown = [
    String(token), `${token}`, format("%s %o %O %j %d", token, token, { token }, token, token), JSON.stringify({ token }),
    inspect({ token }, { showHidden: true, depth: 9 }), inspect(token, { customInspect: false, showHidden: true, depth: 9 }),
    JSON.stringify(structuredClone({ ...token })), JSON.stringify(Object.getOwnPropertyDescriptors(token)),
  ].join("\n");
  assert.ok(!shown.includes("canary-9"), shown);
  assert.equal(String(token), "token x of crm [REDACTED]");
  assert.deepEqual([token.value, token.headers], ["canary-9", { Authorization: "Bearer canary-9" }]);
  assert.deepEqual([token.type, token.scope, token.extra("instance_url"), token.extra("toString")], ["Bearer", "read", "https://acme.example", undefined]);
  assert.ok(token.expiresAt && Math.abs(token.expiresAt.getTime() - Date.now() - 3_600_000) < 5000);
  assert.equal((structuredClone(token) as Partial<Token>).value, undefined);
});

test("the region is the host name's, or the given one", async () => {
  for (const [base, region] of [
    ["https://abc.execute-api.eu-west-1.amazonaws.com/v1", "eu-west-1"],
    ["https://abc-vpce-1.execute-api.us-gov-west-1.amazonaws.com/v1", "us-gov-west-1"],
    ["https://vpce-1.execute-api.eu-central-1.vpce.amazonaws.com/v1", "eu-central-1"],
    ["https://abc.execute-api.cn-north-1.amazonaws.com.cn/v1", "cn-north-1"],
    ["https://abc.execute-api.eu-west-2.api.aws/v1", "eu-west-2"],
    ["https://tokens.example/v1", "given-1"],
    ["https://execute-api.eu-west-1.amazonaws.com.attacker.example/v1", "given-1"],
  ] as const) {
    servers.begin();
    servers.answers = [vend("t1")];
    await client({ url: base, region: "given-1" }).token("crm");
    assert.deepEqual(servers.signed, [`KEY1/${region}/execute-api`], base);
  }
});

test("the default chain sees that another program rotates the credentials file, and removes it", async () => {
  const folder = mkdtempSync(join(tmpdir(), "tokenvend-"));
  try {
    const file = join(folder, "credentials");
    writeFileSync(join(folder, "config"), "[default]\nregion = eu-west-3\n");
    Object.assign(process.env, { AWS_SHARED_CREDENTIALS_FILE: file, AWS_CONFIG_FILE: join(folder, "config"), AWS_EC2_METADATA_DISABLED: "true" });
    servers.answers = [vend("t1"), vend("t2")];
    const chained = createClient({ url: "https://service.example/v1", fetch: servers.fetch });
    for (const key of ["FIRST", "SECOND"]) {
      writeFileSync(file, `[default]\naws_access_key_id = ${key}\naws_secret_access_key = x\n`);
      await chained.token("crm", { scope: key });
    }
    assert.deepEqual(servers.signed, ["FIRST/eu-west-3/execute-api", "SECOND/eu-west-3/execute-api"]);
    rmSync(file);
    const error = await failureOf(chained.token("erp"));
    assert.deepEqual([error.code, error.retryable], ["no_credentials", false]);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("at a loopback URL the key of the local run signs, unless the environment has another", async () => {
  servers.answers = [vend("t1"), vend("t2")];
  await createClient({ url: `${servers.address}/v1` }).token("crm");
  Object.assign(process.env, { AWS_ACCESS_KEY_ID: "AKIDEXAMPLE", AWS_SECRET_ACCESS_KEY: "x", AWS_REGION: "eu-west-3" });
  await createClient({ url: `${servers.address}/v1/` }).token("crm");
  assert.deepEqual(servers.signed, ["local/us-east-1/execute-api", "AKIDEXAMPLE/eu-west-3/execute-api"]);
});

test("a clock that is off is named", async () => {
  const date = new Date(Date.now() + 600_000).toUTCString();
  servers.answers = [{ error: "access_denied", status: 403, detail: "Signature expired", date }];
  const error = await failureOf(client().token("crm"));
  assert.match(error.message, /Signature expired \(this machine's clock is -(600|599) s off the service's\)/);
});

test("no signed request follows a redirect", async () => {
  servers.answers = [{ raw: "", status: 307, location: "https://other.example/" }];
  const error = await failureOf(client().token("crm"));
  assert.deepEqual([error.code, error.status, servers.requests.length], ["unexpected_answer", 307, 1]);
});

test("a service that hangs is left at the caller's timeout", async () => {
  const silent = createServer((socket) => socket.on("error", () => {}));
  await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
  const sockets: { destroy(): void }[] = [];
  silent.on("connection", (socket) => sockets.push(socket));
  const base = `http://127.0.0.1:${(silent.address() as AddressInfo).port}/v1`;
  const error = await failureOf(createClient({ url: base }).token("crm", { timeout: 0.05 }));
  for (const socket of sockets) socket.destroy();
  silent.close();
  assert.deepEqual([error.code, error.retryable], ["service_unreachable", false]);
});

test("an unreachable service is named without the URL", async () => {
  const { time, address } = servers;
  servers.close();
  const error = await time.until(failureOf(createClient({ url: `${address}/v1`, runtime: time }).token("crm")));
  assert.equal(error.message, "no token of crm: service_unreachable: no answer (ECONNREFUSED)");
  assert.ok(error.retryable && time.elapsed === 2);
});

test("a frozen process asks again, and keeps the later answer", async () => {
  const { time } = servers;
  servers.answers = [vend("t1"), vend("t2", { after: 10 }), vend("t3")];
  const frozen = client({ runtime: time });
  await time.until(frozen.token("crm"));
  time.freeze(3600);
  const late = frozen.token("crm");
  await time.settle(); // that call is frozen in the middle
  time.freeze(2 * 3600);
  const thawed = time.elapsed;
  assert.equal((await time.until(frozen.token("crm"))).value, "t3");
  assert.equal(time.elapsed, thawed);
  assert.equal((await time.until(late)).value, "t3");
  assert.equal((await time.until(frozen.token("crm"))).value, "t3");
});

test("reject returns the service's token, then the cached one", async () => {
  servers.answers = [vend("t1"), vend("t2")];
  const rejecting = client();
  const first = await rejecting.token("crm");
  assert.equal((await rejecting.reject(first)).value, "t2");
  assert.equal((await rejecting.reject(first)).value, "t2");
  assert.deepEqual(servers.requests.slice(1), [{ "POST /v1/connections/crm/token": { rejected_token_id: "id-t1" } }]);
  await assert.rejects(rejecting.reject(structuredClone(first) as Token), /not of this client/);
});

test("errors have their type and tell the fix", async () => {
  servers.answers = [{ error: "authorization_required", status: 409, detail: "d", instance: "r-1", retry_after: 3 }];
  const error = await failureOf(client().token("crm"));
  assert.ok(error instanceof AuthorizationRequiredError && error.name === "AuthorizationRequiredError");
  assert.equal(error.message, "no token of crm: authorization_required: d; retry after 3 s (request r-1)");
  assert.equal(error.requestId, "r-1");
});

test("the sign of a refused token is replaceable", async () => {
  servers.answers = [vend("t1"), vend("t2")];
  servers.resource = [419, 401];
  const crm = client({ rejected: (response) => response.status === 419 }).fetch("crm");
  assert.equal((await crm(api, { method: "POST", body: "order" })).status, 401);
  assert.equal(servers.presented.length, 2);
});

test("bodies that can be read again are sent again", async () => {
  const bytes = new TextEncoder().encode("order");
  for (const [name, input, init, sent] of [
    ["bytes", api, { body: bytes }, 2],
    ["buffer", new URL(api), { body: bytes.buffer }, 2],
    ["Blob", api, { body: new Blob(["order"]) }, 2],
    ["stream", api, { body: new Blob(["order"]).stream(), duplex: "half" }, 1],
    ["Request", new Request(api, { method: "POST", body: "order" }), {}, 1],
    ["Request with another body", new Request(api, { method: "POST", body: "x" }), { body: "order" }, 2],
  ] as const) {
    servers.begin();
    servers.answers = [vend("t1"), vend("t2")];
    servers.resource = [401, 200];
    await client().fetch("crm")(input, { method: "POST", ...init } as RequestInit);
    assert.deepEqual([servers.presented.length, servers.problems], [sent, []], name);
  }
});

test("a form is sent again with the type of its new body", async () => {
  servers.answers = [vend("t1"), vend("t2")];
  servers.resource = [401, 200];
  const body = new FormData();
  body.set("a", "order");
  const types: (string | null)[] = [];
  const { fetch } = servers;
  const crm = client({
    fetch: async (input, init) => {
      const sent = new Request(String(input), init as RequestInit);
      if (String(input) === api) assert.match(await sent.text(), new RegExp(String(sent.headers.get("content-type")?.split("boundary=")[1])));
      types.push(sent.headers.get("content-type"));
      return fetch(input, init);
    },
  }).fetch("crm");
  assert.equal((await crm(api, { method: "POST", body })).status, 200);
  assert.ok(types[1]?.startsWith("multipart/form-data"), String(types));
});

test("redirects are followed as the Fetch standard has it, and a header of the provider goes nowhere else", async () => {
  const present = { header: "X-Shopify-Access-Token", prefix: "" };
  const seen: string[] = [];
  const at = (status: number, location: string) => ({ status, location, after: 0 });
  servers.answers = [vend("t1", { present })];
  servers.resource = [at(303, "/b"), at(307, "https://other.example/c"), 200];
  const { fetch } = servers;
  const crm = client({
    fetch: (input, init = {}) => {
      const headers = new Headers(init.headers);
      if (String(input).startsWith("https://abc123")) return fetch(input, init);
      seen.push(`${init.method} ${String(input)} ${headers.get("cookie")} ${headers.get("content-type")}`);
      return fetch(input, init);
    },
  }).fetch("crm");
  const headers = { cookie: "a=b", "content-type": "text/x" };
  assert.equal((await crm(api, { method: "POST", body: "order", headers })).status, 200);
  assert.deepEqual(servers.presented, ["https://api.example X-Shopify-Access-Token: t1", "https://api.example X-Shopify-Access-Token: t1", "https://other.example -"]);
  assert.deepEqual(seen, [`POST ${api} a=b text/x`, "GET https://api.example/b a=b null", "GET https://other.example/c null null"]);
});

test("redirects are left alone, or are errors, when the request says so", async () => {
  servers.answers = [vend("t1")];
  servers.resource = ["https://api.example/b", "https://api.example/b", ...Array<string>(21).fill("https://api.example/b"), "https://api.example/b"];
  const crm = client().fetch("crm");
  const post = { method: "POST", body: "order" } as const;
  assert.equal((await crm(api, { ...post, redirect: "manual" })).status, 307);
  await assert.rejects(crm(api, { ...post, redirect: "error" }), TypeError);
  await assert.rejects(crm(api, post), /too many redirects/);
  await assert.rejects(crm(api, { method: "POST", body: new Blob(["order"]).stream(), duplex: "half" }), /cannot be sent again/);
});

test("an aborted request ends", async () => {
  servers.answers = [vend("t1")];
  await assert.rejects(client().fetch("crm")(api, { signal: AbortSignal.abort() }), { name: "AbortError" });
});

test("warm throws the first error once all have ended", async () => {
  servers.answers = [{ error: "access_denied", status: 403 }, vend("t1")];
  const error = await failureOf(client().warm("crm", "erp"));
  assert.deepEqual([error.code, servers.requests.length], ["access_denied", 2]);
});

test("the version is the package's", () => {
  const manifest = JSON.parse(readFileSync(join(__dirname, "../../package.json"), "utf8")) as { version: string };
  assert.equal(version, manifest.version);
});
