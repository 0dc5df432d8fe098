/**
 * Access tokens from a tokenvend service.
 *
 * A client signs requests with AWS Signature Version 4, keeps each token until the service
 * says that asking again is useful, and replaces a token that a resource server refuses. Use
 * {@link Client.fetch} where possible: only it sees the 401 that a revoked token causes.
 * {@link Client.token} returns a token that may be revoked a moment later; report that with
 * {@link Client.reject}.
 *
 * @packageDocumentation
 */
export { createClient, Client } from "./client.js";
export type { ClientOptions, TokenOptions } from "./client.js";
export { AuthorizationRequiredError, TokenvendError } from "./errors.js";
export type { Fetch } from "./runtime.js";
export type { Credentials, CredentialsProvider } from "./sign.js";
export { Token } from "./token.js";
export { version } from "./version.js";
