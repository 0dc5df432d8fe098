import { Entry, failureOf, reportAgain } from "./entry.js";
import { codes, errorOf, TokenvendError } from "./errors.js";
import { Exchange } from "./exchange.js";
import { fetchWith } from "./fetch.js";
import { realTime, type Fetch, type Runtime } from "./runtime.js";
import { secure, Signer, type CredentialsProvider } from "./sign.js";
import { factsOf, lasts, type Key, type Token } from "./token.js";

const maxCall = 60; // seconds after which a running request is no longer joined: the process may have been frozen
const maxRetries = 2;
const maxWait = 10; // seconds: all waits of a call together
const defaultPause = 1; // seconds, without Retry-After

/** How to reach the service. */
export interface ClientOptions {
  /**
   * The service's URL with its stage, such as https://abc123.execute-api.eu-west-1.amazonaws.com/v1.
   * By default the variable TOKENVEND_URL.
   */
  url?: string;
  /** The service's region where its host name does not contain it. By default the AWS configuration's. */
  region?: string;
  /**
   * Called at each request. By default the chain of the AWS SDK; at a loopback URL the key of the
   * local run, unless AWS_ACCESS_KEY_ID or AWS_PROFILE is set.
   */
  credentials?: CredentialsProvider;
  /** Whether a resource server refused the token; it must not read the body. By default: the status is 401. */
  rejected?: (response: Response) => boolean;
  /** Sends all requests. By default the global fetch. */
  fetch?: Fetch;
  /** @internal */
  runtime?: Runtime;
  /** @internal */
  random?: () => number;
}

/** What a call asks for. */
export interface TokenOptions {
  /** One subject of a delegated connection. */
  subject?: string;
  /** A scope other than the connection's own. */
  scope?: string;
  /** Seconds for which the token should last, where the provider can give one. */
  minTtl?: number;
  /** Seconds that the call takes at most. */
  timeout?: number;
}

/** The token to try after a refusal, and whether the refusal was reported for it. */
interface Replacement {
  token: Token;
  reported: boolean;
}

/** A request that callers share. */
interface Flight {
  started: number;
  done: Promise<void>;
}

/** Returns a client, which caches the tokens of one service; a process needs one. It sends no request. */
export function createClient(options: ClientOptions = {}): Client {
  return new Client(options);
}

/** Caches the tokens of one service. */
export class Client {
  readonly #exchange: Exchange;
  readonly #rejected: (response: Response) => boolean;
  readonly #fetch: Fetch;
  readonly #runtime: Runtime;
  readonly #random: () => number;
  readonly #inline = Boolean(process.env.AWS_LAMBDA_FUNCTION_NAME); // a frozen process runs nothing in the background
  readonly #entries = new Map<string, Entry>();
  readonly #flights = new Map<string, Flight>();

  /** Use {@link createClient}. */
  constructor(options: ClientOptions) {
    const base = parse(options.url ?? process.env.TOKENVEND_URL ?? "");
    this.#rejected = options.rejected ?? ((response) => response.status === 401);
    this.#fetch = options.fetch ?? ((input, init) => fetch(input, init));
    this.#runtime = options.runtime ?? realTime;
    this.#random = options.random ?? Math.random;
    const signer = new Signer(base, options.region, options.credentials);
    this.#exchange = new Exchange(base.href.replace(/\/+$/, ""), signer, this.#fetch, this.#runtime);
  }

  /**
   * Returns a valid token of a connection, from memory where possible. Errors are a
   * {@link TokenvendError}; one of them is an AuthorizationRequiredError.
   */
  async token(connection: string, options: TokenOptions = {}): Promise<Token> {
    const key = keyOf(connection, options);
    const minTtl = options.minTtl ?? 0;
    const entry = this.#entry(key);
    const now = this.#runtime.now();
    const fresh = entry.fresh(now, minTtl);
    if (fresh) return fresh;
    const token = entry.usable(now);
    if (token && lasts(token, now, minTtl)) {
      if (!this.#inline) this.#join(key, minTtl).done.catch(() => {}); // remembered by the entry
      if (!this.#inline || this.#flights.has(flightOf(key, ""))) return token;
    }
    return this.#wait(key, minTtl, this.#deadline(options));
  }

  /**
   * Gets the tokens of connections at once, for example while a Lambda function initializes.
   * The first error is thrown once all have ended.
   */
  async warm(...connections: string[]): Promise<void> {
    const results = await Promise.allSettled(connections.map((connection) => this.token(connection)));
    for (const result of results) if (result.status === "rejected") throw result.reason;
  }

  /**
   * Reports that a resource server refused a token, and returns the one to try next: the cached
   * one if it is another, otherwise the service's. Concurrent calls for one token share one report.
   */
  async reject(refused: Token, options: Pick<TokenOptions, "timeout"> = {}): Promise<Token> {
    const { key } = factsOf(refused);
    const deadline = this.#deadline(options);
    return this.#entry(key).other(this.#runtime.now(), refused.id) ?? this.#retry(deadline, () => this.#report(refused, deadline));
  }

  /**
   * Returns a function like the standard fetch that adds the token of a connection. When the
   * resource server refuses the token, it gets another and sends the request again, once, if its
   * body can be read again, which a stream and the body of a Request cannot.
   *
   * The token goes to the origin of the first request only: a redirect elsewhere goes without it.
   * A request over http to another machine is a TypeError.
   */
  fetch(connection: string, options: TokenOptions = {}): Fetch {
    return fetchWith({
      connection,
      fetch: this.#fetch,
      token: () => this.token(connection, options),
      rejected: this.#rejected,
      replace: (refused) => this.#replacement(refused, options),
      accepted: (token) => this.#entry(factsOf(token).key).stopReports(0),
      refusedAgain: (token) => this.#stopReports(token),
    });
  }

  #deadline({ timeout }: TokenOptions): number {
    return timeout === undefined ? Infinity : this.#runtime.now() + timeout;
  }

  #entry(key: Key): Entry {
    const name = nameOf(key);
    let entry = this.#entries.get(name);
    if (!entry) this.#entries.set(name, (entry = new Entry()));
    return entry;
  }

  /** Returns a token of the service, or the usable one if that fails or takes long. */
  async #wait(key: Key, minTtl: number, deadline: number): Promise<Token> {
    const now = this.#runtime.now();
    if (this.#entry(key).usable(now)) {
      try {
        return await this.#refresh(key, minTtl, Math.min(deadline, now + maxWait));
      } catch (error) {
        if (!(error instanceof TokenvendError)) throw error;
      } // the usable token has ended meanwhile
    }
    return this.#retry(deadline, () => this.#refresh(key, minTtl, deadline));
  }

  /** Repeats a shared request as far as its errors and the caller's deadline allow. */
  async #retry(deadline: number, request: () => Promise<Token>): Promise<Token> {
    let waited = 0;
    for (let retries = 0; ; retries++) {
      try {
        return await request();
      } catch (error) {
        if (!(error instanceof TokenvendError) || !error.retryable || retries === maxRetries) throw error;
        const pause = error.retryAfter || defaultPause;
        waited += pause;
        if (waited > maxWait || deadline - this.#runtime.now() <= pause) throw error;
        await this.#runtime.sleep(pause);
      }
    }
  }

  /** Sends one request that all callers of the key share. With a usable token, a failure is no error. */
  async #refresh(key: Key, minTtl: number, deadline: number): Promise<Token> {
    let failure: unknown;
    try {
      const led = await this.#share(key, minTtl, deadline, "");
      if (!led && minTtl > 0) await this.#share(key, minTtl, deadline, ""); // what was joined may have asked for less
    } catch (error) {
      failure = error;
    }
    const usable = this.#entry(key).usable(this.#runtime.now());
    if (usable) return usable;
    throw failure ?? expired(key);
  }

  /** Tells the service that it should replace a token. */
  async #report(refused: Token, deadline: number): Promise<Token> {
    const { key } = factsOf(refused);
    const entry = this.#entry(key);
    try {
      await this.#share(key, 0, deadline, refused.id);
    } catch (error) {
      entry.endUnlimited(refused.id);
      throw error;
    }
    const usable = entry.usable(this.#runtime.now());
    if (usable) return usable;
    throw expired(key);
  }

  /** Returns the token to send a refused request again with; undefined to return the answer as it is. */
  async #replacement(refused: Token, options: TokenOptions): Promise<Replacement | undefined> {
    const entry = this.#entry(factsOf(refused).key);
    const other = entry.other(this.#runtime.now(), refused.id);
    if (other) return { token: other, reported: false };
    if (entry.reportsStopped(this.#runtime.now())) return undefined;
    let token: Token;
    try {
      token = await this.reject(refused, options);
    } catch (error) {
      if (error instanceof TokenvendError) return undefined; // the resource server's own answer says what is wrong
      throw error;
    }
    if (token.id !== refused.id) return { token, reported: true };
    this.#stopReports(token); // the service holds it valid
    return undefined;
  }

  #stopReports(token: Token): void {
    this.#entry(factsOf(token).key).stopReports(this.#runtime.now() + reportAgain);
  }

  /**
   * Waits for the request that all callers share; returns whether this caller started it. The
   * request outlives its callers, because others may need its result.
   */
  async #share(key: Key, minTtl: number, deadline: number, rejected: string): Promise<boolean> {
    const { done, led } = this.#join(key, minTtl, rejected);
    const limit = new AbortController();
    const seconds = Math.max(0, Math.min(maxCall, deadline - this.#runtime.now()));
    const late = this.#runtime.sleep(seconds, limit.signal).then(() => "late" as const);
    try {
      if ((await Promise.race([done, late])) === "late") {
        throw new TokenvendError({ code: codes.unreachable, connection: key.connection, detail: "the call ended before the service answered" });
      }
      return led;
    } catch (error) {
      throw error instanceof TokenvendError ? errorOf(failureOf(error)) : error; // each caller gets an error of its own
    } finally {
      done.catch(() => {}); // no caller may be left to see it
      limit.abort();
    }
  }

  /** Returns the running request, or starts one. */
  #join(key: Key, minTtl: number, rejected = ""): Flight & { led: boolean } {
    const name = flightOf(key, rejected);
    const started = this.#runtime.now();
    const running = this.#flights.get(name);
    if (running && Math.abs(started - running.started) < maxCall) return { ...running, led: false };
    const flight: Flight = {
      started,
      done: this.#ask(key, minTtl, rejected).finally(() => {
        if (this.#flights.get(name) === flight) this.#flights.delete(name); // not replaced because of its age
      }),
    };
    this.#flights.set(name, flight);
    return { ...flight, led: true };
  }

  /** Asks the service, unless an earlier request has made that needless, and keeps what comes of it. */
  async #ask(key: Key, minTtl: number, rejected: string): Promise<void> {
    const entry = this.#entry(key);
    const now = this.#runtime.now();
    if (rejected ? entry.other(now, rejected) : entry.fresh(now, minTtl)) return;
    const remembered = rejected ? undefined : entry.remembered(now);
    if (remembered) throw remembered;
    try {
      const token = await this.#exchange.ask(key, minTtl, rejected);
      entry.put(this.#runtime.now(), token, minTtl, this.#random());
    } catch (error) {
      if (!rejected && error instanceof TokenvendError) entry.fail(this.#runtime.now(), error);
      throw error;
    }
  }
}

function keyOf(connection: string, { subject = "", scope = "" }: TokenOptions): Key {
  return { connection, scope, subject: subject === "default" ? "" : subject }; // default has the path without a subject
}

function nameOf(key: Key): string {
  return JSON.stringify([key.connection, key.subject, key.scope]);
}

function flightOf(key: Key, rejected: string): string {
  return nameOf(key) + rejected;
}

function expired(key: Key): TokenvendError {
  const detail = "the token had ended when it arrived";
  return new TokenvendError({ code: codes.expired, connection: key.connection, retryable: true, detail });
}

function parse(text: string): URL {
  const base = URL.canParse(text) ? new URL(text) : undefined;
  if (!base || !secure(base) || base.search || base.hash || base.username || base.password) {
    throw new TypeError(
      "the option url or the variable TOKENVEND_URL must be an https URL with the stage, such as " +
        "https://abc123.execute-api.eu-west-1.amazonaws.com/v1",
    );
  }
  return base;
}
