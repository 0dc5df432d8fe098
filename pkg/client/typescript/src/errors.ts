/** The codes of errors that the service did not answer, beside the codes that its API documents. */
export const codes = {
  /** No complete answer came in time. */
  unreachable: "service_unreachable",
  /** The answer is not the service's, such as a captive portal's page. */
  unexpected: "unexpected_answer",
  /** The AWS credentials or the region cannot be resolved. */
  credentials: "no_credentials",
  /** The token had ended when it arrived. */
  expired: "token_expired",
  authorizationRequired: "authorization_required",
} as const;

/** What a {@link TokenvendError} holds. */
export interface Failure {
  code: string;
  connection: string;
  status?: number;
  retryable?: boolean;
  retryAfter?: number | undefined;
  requestId?: string;
  detail?: string;
  cause?: unknown;
}

/** Says why there is no token. */
export class TokenvendError extends Error {
  override readonly name: string = "TokenvendError";
  /** The service's error code, or service_unreachable, unexpected_answer, no_credentials or token_expired. */
  readonly code: string;
  /** The connection's name. */
  readonly connection: string;
  /** The HTTP status; 0 when no answer came. */
  readonly status: number;
  /** Whether a later call may succeed without any change. */
  readonly retryable: boolean;
  /** Seconds until then; undefined when the service did not say. */
  readonly retryAfter: number | undefined;
  /** Identifies the request in the service's log. */
  readonly requestId: string;
  /** Says what is wrong and how to fix it. */
  readonly detail: string;

  constructor(failure: Failure) {
    super(describe(failure), failure.cause === undefined ? {} : { cause: failure.cause });
    this.code = failure.code;
    this.connection = failure.connection;
    this.status = failure.status ?? 0;
    this.retryable = failure.retryable ?? false;
    this.retryAfter = failure.retryAfter;
    this.requestId = failure.requestId ?? "";
    this.detail = failure.detail ?? "";
  }
}

/** Says that a user must consent before there is a token. */
export class AuthorizationRequiredError extends TokenvendError {
  override readonly name = "AuthorizationRequiredError";
}

/** Returns the error of the type that its code has. */
export function errorOf(failure: Failure): TokenvendError {
  return failure.code === codes.authorizationRequired
    ? new AuthorizationRequiredError(failure)
    : new TokenvendError(failure);
}

function describe(failure: Failure): string {
  let text = `no token of ${failure.connection}: ${failure.code}`;
  if (failure.detail) text += `: ${failure.detail}`;
  else if (failure.status) text += `: status ${failure.status}`;
  if (failure.retryAfter) text += `; retry after ${failure.retryAfter} s`;
  if (failure.requestId) text += ` (request ${failure.requestId})`;
  return text;
}
