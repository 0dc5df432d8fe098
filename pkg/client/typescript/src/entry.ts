import { codes, errorOf, type TokenvendError } from "./errors.js";
import { factsOf, lasts, type Token } from "./token.js";

const refreshAgain = 30;
const spread = 0.1; // of refresh_in, so that the callers of a fleet do not ask at once

/** Seconds without a report after the resource server refused a fresh token. */
export const reportAgain = 600;

/** One cached token, and what is remembered of failures. Instants are wall-clock seconds. */
export class Entry {
  #token: Token | undefined;
  #fresh = 0;
  /** The longest life that could not be had: asking for as much again is useless before a refresh is due. */
  #given = 0;
  #failure: TokenvendError | undefined;
  #retryAt = 0;
  #reportAfter = 0;

  /** The token if it is usable. */
  usable(now: number): Token | undefined {
    return this.#token && now < factsOf(this.#token).usable ? this.#token : undefined;
  }

  /** The token if it is usable and needs no refresh. */
  fresh(now: number, minTtl: number): Token | undefined {
    const token = this.usable(now);
    return token && now < this.#fresh && (lasts(token, now, minTtl) || minTtl <= this.#given) ? token : undefined;
  }

  /** The usable token unless it has that id. */
  other(now: number, id: string): Token | undefined {
    const token = this.usable(now);
    return token && token.id !== id ? token : undefined;
  }

  /** Keeps an answer, unless a later request was answered before. */
  put(now: number, token: Token, minTtl: number, random: number): void {
    this.#failure = undefined;
    const { sent, refreshIn, retryAfter } = factsOf(token);
    if (this.#token && factsOf(this.#token).sent > sent) return;
    const repeated = this.#token?.id === token.id;
    this.#token = token;
    this.#given = lasts(token, now, minTtl) ? 0 : minTtl;
    this.#fresh = repeated || token.stale
      ? now + (retryAfter || again(token, now))
      : sent + refreshIn * (1 + spread * random);
  }

  /** Remembers when the next refresh may be tried. */
  fail(now: number, error: TokenvendError): void {
    const pause = error.retryAfter || (error.code === codes.authorizationRequired ? refreshAgain : 0);
    this.#failure = error;
    this.#retryAt = now + pause;
    const token = this.usable(now);
    if (token) {
      this.#fresh = now + (error.retryAfter || again(token, now));
      this.#given = Infinity;
    }
  }

  /** The last error while the service need not be asked again, with the time that remains. */
  remembered(now: number): TokenvendError | undefined {
    if (!this.#failure || now >= this.#retryAt || this.usable(now)) return undefined;
    return errorOf({ ...failureOf(this.#failure), retryAfter: this.#retryAt - now });
  }

  /** Ends a rejected token that has no end of its own and was not replaced. */
  endUnlimited(id: string): void {
    if (this.#token?.id === id && factsOf(this.#token).ends === Infinity) this.#token = undefined;
  }

  /** Whether rejections are not reported, because the resource server refused a fresh token too. */
  reportsStopped(now: number): boolean {
    return now < this.#reportAfter;
  }

  /** Stops reports for a while; 0 allows them again. */
  stopReports(until: number): void {
    this.#reportAfter = until;
  }
}

/** Seconds to the next try when the service names none. */
function again(token: Token, now: number): number {
  return Math.min(refreshAgain, (factsOf(token).usable - now) / 2);
}

/** The members of an error, for another one like it. */
export function failureOf(error: TokenvendError) {
  const { code, connection, status, retryable, retryAfter, requestId, detail, cause } = error;
  return { code, connection, status, retryable, retryAfter, requestId, detail, cause };
}
