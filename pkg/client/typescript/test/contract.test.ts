import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";

import { AuthorizationRequiredError, createClient, TokenvendError, type Client, type TokenOptions } from "../src/index.js";
import { Servers, SimulatedTime, type Answer } from "./simulation.js";

interface Given {
  connection?: string;
  subject?: string;
  scope?: string;
  min_ttl?: number;
  deadline?: number;
  callers?: number;
  connections?: string[];
  url?: string;
  once?: boolean;
}

interface Expected {
  requests?: unknown[];
  signed?: string[];
  presented?: string[];
  ended?: number;
  error?: Record<string, unknown>;
  [member: string]: unknown;
}

interface Step {
  at: number;
  do: "token" | "send" | "warm";
  credentials?: string;
  with?: Given;
  answers?: Answer[];
  resource?: unknown[];
  expect: Expected;
}

interface Vector {
  rule: number;
  name: string;
  random?: number;
  lambda?: boolean;
  steps: Step[];
}

const file = join(__dirname, "../../../testdata/contract.json");
const contract = JSON.parse(readFileSync(file, "utf8")) as { url: string; vectors: Vector[] };

for (const vector of contract.vectors) {
  test(`rule ${vector.rule} ${vector.name}`, async () => {
    const time = new SimulatedTime();
    const servers = await new Servers(time).listen();
    delete process.env.AWS_LAMBDA_FUNCTION_NAME;
    if (vector.lambda) process.env.AWS_LAMBDA_FUNCTION_NAME = "f";
    try {
      const { credentials, fetch } = servers;
      const client = createClient({ url: contract.url, credentials, fetch, runtime: time, random: () => vector.random ?? 0 });
      for (const step of vector.steps) await replay(step, client, servers);
      assert.deepEqual([servers.answers, servers.resource], [[], []], "answers are left");
    } finally {
      delete process.env.AWS_LAMBDA_FUNCTION_NAME;
      servers.close();
    }
  });
}

async function replay(step: Step, client: Client, servers: Servers): Promise<void> {
  const { time } = servers;
  await time.reach(step.at);
  servers.begin();
  servers.key = step.credentials ?? servers.key;
  servers.answers.push(...(step.answers ?? []));
  servers.resource.push(...(step.resource ?? []));
  const given = step.with ?? {};
  const calls = Array.from({ length: given.callers ?? 1 }, async () => ({
    ...(await calling[step.do](client, given).catch(failure)),
    ended: time.elapsed,
  }));
  const got = await time.until(Promise.all(calls));
  await time.settle();

  const { requests = [], presented = [], signed, ended = step.at, error, ...rest } = step.expect;
  const want = {
    ...rest, ...(error ? { error: { ...noError, ...error } } : {}),
    ended, requests, problems: [], presented: presented.map(withoutDefaultPort), signed: signed ?? servers.signed,
  };
  for (const one of got) {
    const { requests, presented, signed, problems } = servers;
    assert.deepEqual({ ...one, requests, presented, signed, problems }, want, `at ${step.at}`);
  }
}

const calling = {
  token: async (client: Client, given: Given) => ({ token: (await client.token(given.connection ?? "crm", options(given))).value }),
  warm: async (client: Client, given: Given) => {
    await client.warm(...(given.connections ?? []));
    return {};
  },
  send: async (client: Client, given: Given) => {
    const body = given.once ? new Blob(["order"]).stream() : "order";
    const init = { method: "POST", body, ...(given.once ? { duplex: "half" as const } : {}) };
    const response = await client.fetch("crm", options(given))(given.url ?? "https://api.example/items", init);
    assert.equal(await response.text(), "answer");
    return { status: response.status };
  },
};

function options({ subject, scope, min_ttl: minTtl, deadline: timeout }: Given): TokenOptions {
  return JSON.parse(JSON.stringify({ subject, scope, minTtl, timeout })) as TokenOptions; // without what is undefined
}

const noError = { status: 0, retryable: false, retry_after: 0, request_id: "", authorization_required: false };

function failure(error: unknown): Record<string, unknown> {
  if (error instanceof TypeError && error.message.includes("is not sent over")) return { refused: true };
  if (!(error instanceof TokenvendError)) throw error;
  const { code, status, retryable, retryAfter, requestId, connection } = error;
  const required = error instanceof AuthorizationRequiredError;
  return {
    error: { code, status, retryable, retry_after: retryAfter ?? 0, request_id: requestId, connection, authorization_required: required },
  };
}

/** URLs of fetch have no default port. */
function withoutDefaultPort(presented: string): string {
  const [origin = "", ...rest] = presented.split(" ");
  return [new URL(origin).origin, ...rest].join(" ");
}
