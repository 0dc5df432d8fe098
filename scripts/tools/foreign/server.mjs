// A certified authorization server of another project with strict settings: PKCE is
// required, refresh tokens rotate and a second use ends the grant, codes live a
// minute, `iss` is in every authorization response, revocation and introspection are on.
//
// It listens on a free port of loopback and prints "listening on URL". GET /seen
// returns the token requests so far. The argument names a file with its clients, a
// list of client metadata (RFC 7591).
import { generateKeyPairSync, randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { Provider } from "oidc-provider";

const clients = JSON.parse(readFileSync(process.argv[2], "utf8"));
const server = createServer();
await new Promise((listening) => server.listen(0, "127.0.0.1", listening));
const issuer = `http://127.0.0.1:${server.address().port}`;

const signingKey = generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey.export({ format: "jwk" });
const provider = new Provider(issuer, {
  clients,
  clientAuthMethods: ["client_secret_basic", "client_secret_post", "private_key_jwt"],
  scopes: ["openid", "offline_access", "orders"],
  pkce: { required: () => true },
  rotateRefreshToken: () => true,
  ttl: { AuthorizationCode: 60, AccessToken: 3600, ClientCredentials: 600, RefreshToken: 86400, Interaction: 600, Session: 3600, Grant: 86400, IdToken: 3600 },
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    revocation: { enabled: true },
    introspection: { enabled: true },
    userinfo: { enabled: false },
  },
  interactions: { url: (_ctx, interaction) => `/interaction/${interaction.uid}` },
  findAccount: (_ctx, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
  cookies: { keys: [randomBytes(32).toString("hex")] },
  jwks: { keys: [{ ...signingKey, kid: "signing", use: "sig", alg: "RS256" }] },
  renderError(ctx, out) {
    ctx.type = "html";
    ctx.body = page(`<p>${escape(out.error)}: ${escape(out.error_description)}</p>`);
  },
});

const seen = [];
provider.use(async (ctx, next) => {
  await next();
  if (ctx.path === "/token") {
    seen.push({ grant_type: ctx.oidc?.params?.grant_type ?? "", client_id: ctx.oidc?.client?.clientId ?? "", status: ctx.status, error: ctx.body?.error ?? "" });
  }
});

const escape = (text) => String(text ?? "").replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);
const page = (body) => `<!doctype html><html lang="en"><title>Foreign server</title><main>${body}</main>`;

// Two forms in place of an operator's pages: sign in, and allow or deny.
const forms = {
  login: `<form method="post"><label>Name <input name="login" required></label><button>Sign in</button></form>`,
  consent: `<form method="post"><button name="press" value="allow">Allow</button><button name="press" value="deny">Deny</button></form>`,
};

async function allow({ params, session, grantId }) {
  const grant = (grantId && (await provider.Grant.find(grantId))) || new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
  grant.addOIDCScope(params.scope);
  return { consent: { grantId: await grant.save() } };
}

async function decide(interaction, form) {
  if (interaction.prompt.name === "login") return { login: { accountId: form.get("login") } };
  if (form.get("press") === "allow") return allow(interaction);
  return { error: "access_denied", error_description: "The user refused." };
}

async function interact(request, response) {
  const interaction = await provider.interactionDetails(request, response);
  if (request.method === "GET") {
    response.setHeader("Content-Type", "text/html; charset=utf-8");
    response.end(page(forms[interaction.prompt.name]));
    return;
  }
  let body = "";
  for await (const piece of request) body += piece;
  const result = await decide(interaction, new URLSearchParams(body));
  await provider.interactionFinished(request, response, result);
}

const answer = provider.callback();
server.on("request", (request, response) => {
  if (request.url === "/seen") {
    response.setHeader("Content-Type", "application/json");
    response.end(JSON.stringify(seen));
  } else if (request.url.startsWith("/interaction/")) {
    interact(request, response).catch((problem) => {
      response.statusCode = 500;
      response.end(String(problem));
    });
  } else {
    answer(request, response);
  }
});
console.log(`listening on ${issuer}`);
