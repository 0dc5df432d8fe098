import { isIP } from "node:net";

import { defaultProvider } from "@aws-sdk/credential-provider-node";
import { Hash } from "@smithy/hash-node";
import { loadConfig } from "@smithy/node-config-provider";
import { SignatureV4 } from "@smithy/signature-v4";

/** AWS credentials. */
export interface Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
  readonly expiration?: Date;
}

/** Returns the credentials in force; the providers of the AWS SDK are such functions. */
export type CredentialsProvider = () => Promise<Credentials>;

// What the local run accepts. It is public and opens nothing else.
const local: Credentials = { accessKeyId: "local", secretAccessKey: "local" };
const localRegion = "us-east-1";

const apiHost = /\.execute-api\.([a-z0-9-]+)\.(?:vpce\.)?(?:amazonaws\.com(?:\.cn)?|api\.aws)$/;

/** What is sent to the service. */
export interface ServiceRequest {
  readonly method: string;
  readonly url: URL;
  readonly query: Record<string, string>;
  readonly headers: Record<string, string>;
  readonly body: string | undefined;
}

/** Signs requests for execute-api with Signature Version 4. */
export class Signer {
  readonly #region: string | undefined;
  readonly #given: CredentialsProvider | undefined;
  readonly #loopback: boolean;
  #chain: CredentialsProvider | undefined;

  constructor(base: URL, region: string | undefined, given: CredentialsProvider | undefined) {
    this.#region = apiHost.exec(base.hostname)?.[1] ?? region;
    this.#given = given;
    this.#loopback = isLoopback(base.hostname);
  }

  /** Returns the headers with the signature. The signer encodes the path once more, as API Gateway expects. */
  async sign(request: ServiceRequest, now: number): Promise<Record<string, string>> {
    const keyless = !this.#given && this.#loopback && !process.env.AWS_ACCESS_KEY_ID && !process.env.AWS_PROFILE;
    const region = keyless ? localRegion : this.#region ?? (await configuredRegion());
    const signer = new SignatureV4({
      credentials: keyless ? local : await this.#resolve(),
      region,
      service: "execute-api",
      sha256: Hash.bind(null, "sha256"),
    });
    const { method, url, query, body } = request;
    const signed = await signer.sign(
      {
        method, query, protocol: url.protocol, hostname: url.hostname, path: url.pathname,
        headers: { ...request.headers, host: url.host },
        ...(body === undefined ? {} : { body }),
      },
      { signingDate: new Date(now * 1000) },
    );
    const { host: _, ...headers } = signed.headers;
    return headers;
  }

  /**
   * Resolves credentials at each request. Those that expire are kept by the SDK, which renews
   * them in time. Others are read again, because another program may rotate them.
   */
  async #resolve(): Promise<Credentials> {
    if (this.#given) return this.#given();
    this.#chain ??= defaultProvider({ ignoreCache: true });
    const chain = this.#chain;
    try {
      const credentials = await chain();
      if (!credentials.expiration) this.#chain = undefined;
      return credentials;
    } catch (error) {
      this.#chain = undefined;
      throw error;
    }
  }
}

async function configuredRegion(): Promise<string> {
  const region = await loadConfig(
    { environmentVariableSelector: (env) => env.AWS_REGION, configFileSelector: (profile) => profile.region, default: "" },
    { ignoreCache: true },
  )();
  if (!region) throw new Error("the host name contains no AWS region: use the option region, or set AWS_REGION");
  return region;
}

/** Whether the host is this machine. */
function isLoopback(hostname: string): boolean {
  const host = hostname.replace(/^\[|\]$/g, "");
  return host === "localhost" || host === "::1" || (isIP(host) === 4 && host.startsWith("127."));
}

/** Whether what is sent to the URL is protected in transit: https, or http to this machine. */
export function secure(url: URL): boolean {
  return url.protocol === "https:" || (url.protocol === "http:" && isLoopback(url.hostname));
}
