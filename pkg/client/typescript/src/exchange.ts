import { codes, errorOf, TokenvendError } from "./errors.js";
import type { Fetch, Runtime } from "./runtime.js";
import type { ServiceRequest, Signer } from "./sign.js";
import { Token, type Key } from "./token.js";
import { version } from "./version.js";

const timeout = 35_000; // milliseconds; API Gateway's own is 29 s
const maxAnswer = 1 << 20; // bytes
const maxLife = 100 * 365 * 86_400; // seconds
const skew = 240; // seconds; AWS refuses signatures that are 5 minutes off

type Body = Record<string, unknown>;

/** One request to the service and its answer. */
export class Exchange {
  constructor(
    private readonly url: string,
    private readonly signer: Signer,
    private readonly fetch: Fetch,
    private readonly runtime: Runtime,
  ) {}

  /** Asks once for a token, or to replace the rejected one. Errors are a {@link TokenvendError}. */
  async ask(key: Key, minTtl: number, rejected: string): Promise<Token> {
    const request = this.#request(key, minTtl, rejected);
    const sent = this.runtime.now();
    const headers = await this.#sign(key, request, sent);
    const { connection } = key;
    let response: Response;
    let text: string;
    try {
      response = await this.fetch(request.url.href + search(request.query), {
        method: request.method,
        headers,
        redirect: "manual", // a signed request goes nowhere else
        signal: AbortSignal.timeout(timeout),
        ...(request.body === undefined ? {} : { body: request.body }),
      });
      text = await read(response);
    } catch (cause) {
      throw new TokenvendError({ code: codes.unreachable, connection, retryable: true, detail: `no answer (${nameOf(cause)})` });
    }
    const now = this.runtime.now();
    const body = decode(text);
    const retryAfter = readRetryAfter(response.headers, now);
    if (response.status !== 200 || !body.access_token || !body.token_id) throw failure(connection, response, body, retryAfter, now);
    return new Token(key, {
      ...present(body),
      accessToken: String(body.access_token), id: String(body.token_id),
      type: String(body.token_type ?? ""), scope: String(body.scope ?? ""), stale: body.stale === true,
      extra: isObject(body.extra) ? body.extra : {},
      sent, retryAfter, refreshIn: seconds(body.refresh_in),
      expiresIn: body.expires_in === undefined || body.expires_in === null ? undefined : seconds(body.expires_in),
    });
  }

  #request(key: Key, minTtl: number, rejected: string): ServiceRequest {
    const subject = key.subject ? `/subjects/${escape(key.subject)}` : "";
    const url = new URL(`${this.url}/connections/${escape(key.connection)}${subject}/token`);
    const asked = { ...(key.scope ? { scope: key.scope } : {}), ...(minTtl > 0 ? { min_ttl: Math.ceil(minTtl) } : {}) };
    const headers = { "user-agent": `tokenvend-typescript/${version}` };
    if (!rejected) {
      const query = Object.fromEntries(Object.entries(asked).map(([name, value]) => [name, String(value)]));
      return { method: "GET", url, query, headers, body: undefined };
    }
    const body = JSON.stringify({ rejected_token_id: rejected, ...asked });
    return { method: "POST", url, query: {}, headers: { ...headers, "content-type": "application/json" }, body };
  }

  async #sign(key: Key, request: ServiceRequest, now: number): Promise<Record<string, string>> {
    try {
      return await this.signer.sign(request, now);
    } catch (cause) {
      const detail = cause instanceof Error ? cause.message : "the AWS credentials cannot be resolved";
      throw new TokenvendError({ code: codes.credentials, connection: key.connection, detail, cause });
    }
  }
}

/** Encodes as RFC 3986 does, which the signature needs. */
function escape(text: string): string {
  return encodeURIComponent(text).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);
}

function search(query: Record<string, string>): string {
  const pairs = Object.entries(query).map(([name, value]) => `${name}=${escape(value)}`);
  return pairs.length === 0 ? "" : `?${pairs.join("&")}`;
}

async function read(response: Response): Promise<string> {
  const parts: Uint8Array[] = [];
  let size = 0;
  for await (const part of response.body ?? []) {
    size += part.length;
    if (size > maxAnswer) throw new RangeError("the answer is too large");
    parts.push(part);
  }
  return Buffer.concat(parts).toString("utf8");
}

function decode(text: string): Body {
  try {
    const body: unknown = JSON.parse(text);
    return isObject(body) ? body : {};
  } catch {
    return {};
  }
}

function isObject(value: unknown): value is Body {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function seconds(value: unknown): number {
  return typeof value === "number" ? Math.min(Math.max(value, 0), maxLife) : 0;
}

/** How a request carries the token. */
function present(body: Body): { header: string; prefix: string } {
  if (!isObject(body.present)) return { header: "Authorization", prefix: "Bearer " };
  return { header: String(body.present.header || "Authorization"), prefix: String(body.present.prefix ?? "") };
}

/** Reads seconds or a date (RFC 9110 §10.2.3). */
function readRetryAfter(headers: Headers, now: number): number | undefined {
  const text = headers.get("Retry-After") ?? "";
  if (/^\d+$/.test(text)) return seconds(Number(text)) || undefined;
  const date = Date.parse(text) / 1000;
  return date > now ? date - now : undefined;
}

/** Describes an answer without a token. */
function failure(connection: string, response: Response, body: Body, retryAfter: number | undefined, now: number): TokenvendError {
  const { status } = response;
  const ours = typeof body.error === "string" && body.error !== "" && status >= 400;
  let detail = ours
    ? String(body.detail ?? "")
    : `the answer with status ${status} is not the service's; does the URL end with the stage, such as /v1?`;
  const off = Math.round(now - Date.parse(response.headers.get("Date") ?? "") / 1000);
  if (status === 403 && Math.abs(off) > skew) detail += ` (this machine's clock is ${off} s off the service's)`;
  return errorOf({
    code: ours ? String(body.error) : codes.unexpected,
    connection, status, detail, retryAfter,
    retryable: ours && body.retryable === true,
    requestId: String(body.instance ?? response.headers.get("x-amzn-requestid") ?? ""),
  });
}

/** Names the kind of a network error; its text may hold the request's URL. */
function nameOf(error: unknown): string {
  const cause: unknown = error instanceof Error ? error.cause ?? error : error;
  if (isObject(cause) && typeof cause.code === "string") return cause.code;
  return cause instanceof Error ? cause.name : "unknown error";
}
