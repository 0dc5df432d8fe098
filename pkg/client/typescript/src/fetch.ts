import type { Fetch } from "./runtime.js";
import { secure } from "./sign.js";
import type { Token } from "./token.js";

const maxRedirects = 20; // as the Fetch standard has it

/** What a fetch with tokens needs of the client. */
export interface Source {
  connection: string;
  fetch: Fetch;
  token(): Promise<Token>;
  rejected(response: Response): boolean;
  replace(refused: Token): Promise<{ token: Token; reported: boolean } | undefined>;
  accepted(token: Token): void;
  refusedAgain(token: Token): void;
}

/** One request of the application, changed by the redirects that it meets. */
interface Outgoing {
  url: URL;
  method: string;
  headers: Headers;
  body: RequestInit["body"];
  /** Whether the body can be sent again. */
  repeatable: boolean;
}

/** Returns a function like fetch. It follows redirects itself, because fetch strips no header but Authorization. */
export function fetchWith(source: Source): Fetch {
  return async (input, init = {}) => {
    const request = new Request(input, init);
    const out = outgoing(request, input, init);
    if (!secure(out.url)) {
      throw new TypeError(`the token of ${source.connection} is not sent over ${out.url.protocol}//${out.url.host}: use https`);
    }
    const sending = new Sending(source, request, init, out);
    const token = await source.token();
    const response = await sending.send(token);
    if (!sending.carried) return response;
    if (!source.rejected(response)) return accept(source, response, token);
    const next = await source.replace(token);
    if (!next || !out.repeatable) return response;
    await response.body?.cancel();
    const second = await sending.send(next.token);
    if (!sending.carried) return second;
    if (!source.rejected(second)) return accept(source, second, next.token);
    if (next.reported) source.refusedAgain(next.token);
    return second;
  };
}

function accept(source: Source, response: Response, token: Token): Response {
  if (response.status < 400) source.accepted(token);
  return response;
}

/** Sends one request of the application, through its redirects. */
class Sending {
  /** Whether the last response is to a request with the token. */
  carried = true;
  readonly #origin: string;
  #redirects = 0;

  constructor(
    private readonly source: Source,
    private readonly request: Request,
    private readonly init: RequestInit,
    private readonly out: Outgoing,
  ) {
    this.#origin = out.url.origin;
  }

  async send(token: Token): Promise<Response> {
    for (;;) {
      this.carried = this.out.url.origin === this.#origin;
      const response = await this.#once(this.carried ? token.headers : {});
      const target = this.#target(response);
      if (!target) return response;
      await response.body?.cancel();
      redirect(this.out, response.status, target);
    }
  }

  #once(carried: Record<string, string>): Promise<Response> {
    const headers = new Headers(this.out.headers);
    for (const [name, value] of Object.entries(carried)) headers.set(name, value);
    return this.source.fetch(this.out.url, {
      ...this.init,
      headers,
      method: this.out.method,
      body: this.out.body ?? null,
      signal: this.request.signal,
      redirect: "manual",
      ...(this.out.repeatable ? {} : { duplex: "half" as const }),
    });
  }

  /** Returns where the response redirects to, if it is to be followed. */
  #target(response: Response): URL | undefined {
    const location = response.headers.get("location");
    if (!location || ![301, 302, 303, 307, 308].includes(response.status) || this.request.redirect === "manual") return undefined;
    if (this.request.redirect === "error") throw new TypeError("a redirect, which the request does not allow");
    if (++this.#redirects > maxRedirects) throw new TypeError("too many redirects");
    return new URL(location, this.out.url);
  }
}

/** Changes a request as the Fetch standard does for a redirect. */
function redirect(out: Outgoing, status: number, target: URL): void {
  const toGet = status === 303 ? out.method !== "HEAD" : status < 303 && out.method === "POST";
  if (toGet) {
    out.method = "GET";
    out.body = null;
    out.repeatable = true;
    for (const name of ["content-encoding", "content-language", "content-location", "content-type", "content-length"]) out.headers.delete(name);
  } else if (!out.repeatable) {
    throw new TypeError("a redirect of a request whose body cannot be sent again");
  }
  if (target.origin !== out.url.origin) {
    for (const name of ["authorization", "proxy-authorization", "cookie", "host"]) out.headers.delete(name);
  }
  out.url = target;
}

function outgoing(request: Request, input: Parameters<Fetch>[0], init: RequestInit): Outgoing {
  const given = input instanceof Request ? input : undefined;
  const repeatable = init.body === undefined || init.body === null ? request.body === null : !isStream(init.body);
  return {
    url: new URL(request.url),
    method: request.method,
    headers: new Headers(init.headers ?? given?.headers ?? {}), // fetch adds the type of the body each time
    body: repeatable ? init.body ?? null : request.body,
    repeatable,
  };
}

/** Whether the body can be read once only. */
function isStream(body: NonNullable<RequestInit["body"]>): boolean {
  return typeof body === "object" && !(body instanceof FormData) && !(body instanceof URLSearchParams)
    && (body instanceof ReadableStream || Symbol.asyncIterator in body);
}
