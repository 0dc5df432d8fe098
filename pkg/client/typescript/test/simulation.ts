import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";

import type { Credentials, Fetch } from "../src/index.js";
import type { Runtime } from "../src/runtime.js";

const start = 1_800_000_000;

/**
 * Time goes on only while everything waits for it: when no request is on the way and no task is
 * left to run, the clock moves to the next instant at which a sleeper wakes.
 */
export class SimulatedTime implements Runtime {
  #time = start;
  #sleepers: { at: number; wake: () => void }[] = [];
  /** Requests on the way that are not held up by a sleeping server. */
  active = 0;

  now = () => this.#time;

  get elapsed(): number {
    return Math.round((this.#time - start) * 1000) / 1000;
  }

  sleep = (seconds: number, signal?: AbortSignal): Promise<void> =>
    new Promise((resolve) => {
      const sleeper = { at: this.#time + seconds, wake: resolve };
      this.#sleepers.push(sleeper);
      signal?.addEventListener("abort", () => {
        this.#sleepers = this.#sleepers.filter((other) => other !== sleeper);
        resolve();
      });
    });

  /** Lets time go on until the calls have ended. */
  async until<T>(calls: Promise<T>): Promise<T> {
    let ended = false;
    const done = () => (ended = true);
    calls.then(done, done);
    while (!ended) {
      await this.settle();
      if (!ended) this.#wakeNext(Infinity);
    }
    return calls;
  }

  /** Lets time go on until that many seconds after the start. */
  async reach(seconds: number): Promise<void> {
    await this.settle();
    while (this.#wakeNext(start + seconds)) await this.settle();
    this.#time = Math.max(this.#time, start + seconds);
  }

  /** Lets the wall clock alone go on: sleepers sleep for as long as before. */
  freeze(seconds: number): void {
    this.#time += seconds;
    for (const sleeper of this.#sleepers) sleeper.at += seconds;
  }

  /** Waits until only time can change anything. */
  async settle(): Promise<void> {
    for (let quiet = 0; quiet < 20; quiet = this.active > 0 ? 0 : quiet + 1) await new Promise(setImmediate);
  }

  #wakeNext(limit: number): boolean {
    const next = this.#sleepers.reduce<{ at: number; wake: () => void } | undefined>((a, b) => (a && a.at <= b.at ? a : b), undefined);
    if (!next || next.at > limit) return false;
    this.#sleepers = this.#sleepers.filter((other) => other !== next);
    this.#time = Math.max(this.#time, next.at);
    next.wake();
    return true;
  }
}

export type Answer = Record<string, unknown>;

/** The service and the resource server of a test, on one loopback port. They play `answers` and `resource`. */
export class Servers {
  key = "KEY1";
  answers: Answer[] = [];
  resource: unknown[] = [];
  requests: unknown[] = [];
  signed: string[] = [];
  presented: string[] = [];
  problems: string[] = [];
  address = "";
  readonly #server = createServer((request, response) => void this.#handle(request, response));

  constructor(readonly time: SimulatedTime) {}

  async listen(): Promise<this> {
    this.#server.listen(0, "127.0.0.1");
    await once(this.#server, "listening");
    this.address = `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
    return this;
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  /** Forgets what was asked so far. */
  begin(): void {
    [this.requests, this.signed, this.presented, this.problems] = [[], [], [], []];
  }

  credentials = (): Promise<Credentials> => Promise.resolve({ accessKeyId: this.key, secretAccessKey: "secret" });

  /** Sends a request to the loopback port instead, and reads the answer to its end. */
  fetch: Fetch = async (input, init = {}) => {
    const url = new URL(String(input));
    const headers = new Headers(init.headers);
    headers.set("X-Url", url.href);
    this.time.active++;
    try {
      const response = await fetch(this.address + url.pathname + url.search, { ...init, headers });
      const body = await response.arrayBuffer();
      return new Response(body.byteLength > 0 ? body : null, response);
    } finally {
      this.time.active--;
    }
  };

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let body = "";
    for await (const part of request) body += String(part);
    if (request.headers.authorization?.startsWith("AWS4-HMAC-SHA256")) await this.#serve(request, response, body);
    else await this.#accept(request, response, body);
  }

  /** Is the service. */
  async #serve(request: IncomingMessage, response: ServerResponse, text: string): Promise<void> {
    const line = `${request.method} ${request.url}`;
    this.requests.push(text ? { [line]: JSON.parse(text) as unknown } : line);
    const [key, , region, service] = request.headers.authorization?.split("Credential=")[1]?.split("/") ?? [];
    this.signed.push(`${key}/${region}/${service}`);
    if (!request.headers["user-agent"]?.startsWith("tokenvend-typescript/")) this.problems.push(`User-Agent ${request.headers["user-agent"]}`);
    const { vend, raw, failure, after, retry_after, date, location, ...members } = this.answers.shift() ?? { raw: "none is left", status: 599 };
    await this.#pause(after);
    if (failure) {
      (request.socket as Socket).resetAndDestroy();
      return;
    }
    if (retry_after !== undefined) response.setHeader("Retry-After", String(retry_after));
    if (date !== undefined) response.setHeader("Date", String(date));
    if (location !== undefined) response.setHeader("Location", String(location));
    response.statusCode = Number(members.status ?? 200);
    const token = vend === undefined ? {} : { access_token: vend, token_type: "Bearer", token_id: `id-${String(vend)}` };
    response.end(raw ?? JSON.stringify({ ...token, ...members }));
  }

  /** Is the resource server. */
  async #accept(request: IncomingMessage, response: ServerResponse, body: string): Promise<void> {
    const names = ["Authorization", "X-Shopify-Access-Token"].filter((name) => name.toLowerCase() in request.headers);
    const carried = names.map((name) => `${name}: ${String(request.headers[name.toLowerCase()])}`).join();
    this.presented.push(`${new URL(String(request.headers["x-url"])).origin} ${carried || "-"}`);
    if (body !== "order") this.problems.push(`the body is ${body}`);
    const next = this.resource.shift() ?? 599;
    const { status, after, location } = typeof next === "object"
      ? (next as { status: number; after: number; location?: string })
      : typeof next === "string" ? { status: 307, after: 0, location: next } : { status: Number(next), after: 0, location: undefined };
    await this.#pause(after);
    if (location) response.setHeader("Location", location);
    response.statusCode = status;
    response.end("answer");
  }

  /** Holds an answer back until an instant of simulated time. */
  async #pause(seconds: unknown): Promise<void> {
    if (!seconds) return;
    this.time.active--;
    await this.time.sleep(Number(seconds));
    this.time.active++;
  }
}
