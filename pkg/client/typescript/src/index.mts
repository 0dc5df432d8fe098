// The one implementation is CommonJS, so that a program which imports the package in both
// ways has one cache and one class for each error.
export { AuthorizationRequiredError, Client, Token, TokenvendError, createClient, version } from "./index.js";
export type { ClientOptions, Credentials, CredentialsProvider, Fetch, TokenOptions } from "./index.js";
