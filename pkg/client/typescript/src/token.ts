/** Seconds before its end from which a token is not returned. */
const maxMargin = 60;

/** What a token is cached by. An empty subject is the subject default. */
export interface Key {
  readonly connection: string;
  readonly subject: string;
  readonly scope: string;
}

/** What the service answers with a token, and when. Instants are wall-clock seconds. */
export interface Answer {
  readonly accessToken: string;
  readonly id: string;
  readonly type: string;
  readonly scope: string;
  readonly stale: boolean;
  readonly extra: Readonly<Record<string, unknown>>;
  readonly header: string;
  readonly prefix: string;
  /** The instant before the request. */
  readonly sent: number;
  readonly expiresIn: number | undefined;
  readonly refreshIn: number;
  readonly retryAfter: number | undefined;
}

/** What the cache knows of a token. It is kept apart so that a token shows little. */
export interface Facts {
  readonly key: Key;
  readonly sent: number;
  readonly refreshIn: number;
  readonly retryAfter: number | undefined;
  /** It ends at this instant, or never. */
  readonly ends: number;
  /** It is returned before this instant. */
  readonly usable: number;
}

const facts = new WeakMap<Token, Facts>();

/** Returns what the cache knows of a token. */
export function factsOf(token: Token): Facts {
  const found = facts.get(token);
  if (!found) throw new TypeError("the token is not of this client: pass what token() returned, and no copy");
  return found;
}

/** Whether the token ends no sooner than that many seconds after now. */
export function lasts(token: Token, now: number, seconds: number): boolean {
  return seconds <= 0 || factsOf(token).ends - now >= seconds;
}

/**
 * An access token. It prints and serializes without the access token, which only
 * {@link Token.value} and {@link Token.headers} return.
 */
export class Token {
  /** Identifies the token in logs. */
  readonly id: string;
  /** The connection's name. */
  readonly connection: string;
  /** The token type of RFC 6749, such as Bearer. */
  readonly type: string;
  /** What was granted, delimited by spaces. */
  readonly scope: string;
  /** When the token ends; undefined when that is not known. */
  readonly expiresAt: Date | undefined;
  /** Whether the service could not refresh the token. */
  readonly stale: boolean;
  readonly #answer: Answer;

  /** @internal */
  constructor(key: Key, answer: Answer) {
    this.id = answer.id;
    this.connection = key.connection;
    this.type = answer.type;
    this.scope = answer.scope;
    this.stale = answer.stale;
    this.#answer = answer;
    const life = answer.expiresIn ?? Infinity;
    const ends = answer.sent + life;
    this.expiresAt = life === Infinity ? undefined : new Date(ends * 1000);
    const usable = life === Infinity ? Infinity : ends - Math.min(maxMargin, life / 10);
    const { sent, refreshIn, retryAfter } = answer;
    facts.set(this, { key, sent, refreshIn, retryAfter, ends, usable });
  }

  /** The access token. */
  get value(): string {
    return this.#answer.accessToken;
  }

  /** The header that carries the token, in the way that its provider expects. */
  get headers(): Record<string, string> {
    return { [this.#answer.header]: this.#answer.prefix + this.value };
  }

  /** A further value of the provider, such as an instance URL; undefined when there is none of this name. */
  extra(name: string): unknown {
    return Object.hasOwn(this.#answer.extra, name) ? this.#answer.extra[name] : undefined;
  }

  /** Identifies the token without revealing it. */
  toString(): string {
    return `token ${this.id} of ${this.connection} [REDACTED]`;
  }

  /** What JSON.stringify writes. */
  toJSON(): string {
    return this.toString();
  }

  /** What console.log and util.inspect print. */
  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return this.toString();
  }
}
