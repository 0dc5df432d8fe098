"use strict";
// The page reads the console's own API below its path and builds elements from
// text, never from HTML. The address after # says what is shown.

const main = document.getElementById("main");
const failure = document.getElementById("failure");
const said = document.getElementById("said");

/** element makes an element with attributes, listeners (on…) and children. */
function element(name, attributes, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes ?? {})) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value !== undefined && value !== false) made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.flat().filter((child) => child !== undefined && child !== false && child !== ""));
  return made;
}

/** Problem is an error answer, of the service or of the console. */
class Problem extends Error {
  constructor(status, body) {
    super(body.detail ?? `the console answered ${status}`);
    this.status = status;
    this.code = body.error ?? "";
    this.provider = body.provider?.error ?? "";
    this.instance = body.instance ?? "";
  }
}

async function call(path, order) {
  let response;
  try {
    response = await fetch(`api/${path}`, order && {
      method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(order),
    });
  } catch {
    throw new Problem(0, { detail: "The console does not answer. Is tokenvend console still running?" });
  }
  const text = await response.text();
  let body = {};
  try { body = text ? JSON.parse(text) : {}; } catch { /* the status says enough */ }
  if (!response.ok) throw new Problem(response.status, body);
  return body;
}

const stateNames = {
  ready: "ready", authorization_required: "consent needed", failing: "failing", misconfigured: "misconfigured",
};

const fixes = {
  provider_rejected: "The provider refuses the client. Compare client id, client secret and scope with the registration there, then edit the secret.",
  provider_malformed: "The provider's answer cannot be used. Test the connection to see which member; the provider object may have to name it.",
  provider_unavailable: "The provider does not answer or is overloaded. The service tries again by itself.",
  provider_timeout: "The provider takes too long to answer. The service tries again by itself.",
  authorization_required: "A user must consent again.",
  connection_misconfigured: "The declaration is not valid. Edit the secret.",
  access_denied: "You may not do that: add your principal to the connection's callers, or the path to your IAM policy.",
  store_unavailable: "A store of the service does not answer. Try again in a moment.",
};

const age = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
function when(instant) {
  const seconds = (new Date(instant) - Date.now()) / 1000;
  const [unit, size] = [["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]].find(([, s]) => Math.abs(seconds) >= s) ?? ["second", 1];
  return element("time", { datetime: instant, title: instant }, age.format(Math.round(seconds / size), unit));
}

const pill = (state) => element("span", { class: `state ${state}` }, stateNames[state] ?? state);
const say = (text) => { said.textContent = text; clearTimeout(say.timer); say.timer = setTimeout(() => { said.textContent = ""; }, 6000); };

function fail(problem, retry) {
  failure.hidden = false;
  const more = [problem.provider && `The provider says ${problem.provider}.`, problem.instance && `Request ${problem.instance}.`];
  const message = problem.message.charAt(0).toUpperCase() + problem.message.slice(1).replace(/\.?$/, ".");
  failure.replaceChildren(
    element("span", {}, [message, ...more].filter(Boolean).join(" ")),
    element("button", { class: "quiet", onclick: retry ?? (() => { failure.hidden = true; }) }, retry ? "Try again" : "Close"));
}

/** ask opens the dialog; it resolves to undefined, or to the text that was entered, or true. */
function ask({ title, text, yes, field, danger }) {
  const dialog = document.getElementById("dialog");
  const input = document.getElementById("dialog-input");
  const button = document.getElementById("dialog-yes");
  document.getElementById("dialog-title").textContent = title;
  document.getElementById("dialog-text").textContent = text;
  document.getElementById("dialog-field").hidden = !field;
  document.getElementById("dialog-label").textContent = field ?? "";
  input.value = "";
  input.required = Boolean(field);
  button.textContent = yes;
  button.className = danger ? "danger" : "";
  dialog.returnValue = "";
  dialog.showModal();
  (field ? input : button).focus();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      resolve(dialog.returnValue === "yes" ? (field ? input.value.trim() : true) : undefined);
      input.value = "";
    }, { once: true });
  });
}

/** pages reads a list and what follows on request. */
async function pages(path, list, known = { items: [], next: "" }) {
  const answer = await call(known.next ? `${path}?next=${encodeURIComponent(known.next)}` : path);
  return { answer, items: [...known.items, ...(answer[list] ?? [])], next: answer.next ?? "" };
}

function more(found, load) {
  return found.next && element("div", { class: "buttons" }, element("button", { class: "quiet", onclick: load }, "Show more"));
}

// The view of all connections.
async function connectionsView(known) {
  const found = await pages("connections", "connections", known);
  const rows = element("ul", { class: "rows" }, found.items.map((one) => element("li", { "data-name": one.connection },
    element("a", { href: `#/connections/${encodeURIComponent(one.connection)}` }, one.connection),
    element("span", { class: "soft" }, [one.provider, one.grant_type === "authorization_code" ? "delegated" : ""].filter(Boolean).join(" · ")),
    pill(one.state),
    one.problem && element("span", { class: "soft wide" }, one.problem),
    one.last_error && element("span", { class: "soft wide" }, `${one.last_error}. ${fixes[one.last_error] ?? ""}`))));
  const filter = element("input", { type: "search", name: "filter", autocomplete: "off", oninput: () => {
    for (const row of rows.children) row.hidden = !row.dataset.name.includes(filter.value.trim().toLowerCase());
  } });
  return page("Connections",
    element("div", { class: "bar-of-list" }, element("h1", {}, "Connections"), element("label", {}, "Filter by name", filter)),
    found.items.length ? rows : element("div", { class: "card" }, element("p", {}, "There are no connections yet. A connection is one secret:"),
      element("p", {}, element("code", {}, "tokenvend connections add NAME --stack STACK"))),
    more(found, () => view(() => connectionsView(found))));
}

// The view of all grants, those first that end first.
async function grantsView(known) {
  const found = await pages("connections", "connections", known);
  const delegated = found.items.filter((one) => one.grant_type === "authorization_code");
  const grants = [];
  for (const one of delegated) {
    let subjects = { items: [], next: "" };
    do subjects = await pages(`connections/${encodeURIComponent(one.connection)}`, "subjects", subjects); while (subjects.next);
    grants.push(...subjects.items.map((subject) => ({ connection: one.connection, ...subject })));
  }
  grants.sort((a, b) => (a.renew_by ?? "9").localeCompare(b.renew_by ?? "9"));
  return page("Grants", element("h1", {}, "Grants"),
    grants.length ? element("ul", { class: "rows" }, grants.map((one) => element("li", {},
      element("a", { href: `#/connections/${encodeURIComponent(one.connection)}` }, `${one.connection} · ${one.subject}`),
      element("span", { class: "soft" }, one.renew_by ? ["consent again ", when(one.renew_by)] : "no known end",
        one.consented_by ? `, by ${one.consented_by}` : ""),
      pill(one.state)))) : element("div", { class: "card" }, "No user has consented to any of these connections."),
    more(found, () => view(() => grantsView(found))));
}

// tokens and consents are what this page has learnt since it was opened.
const tokens = new Map();
const consents = new Map();

function life(key) {
  const known = tokens.get(key);
  if (!known) return undefined;
  const { token, at } = known;
  const left = token.expires_in === undefined ? undefined : Math.max(0, token.expires_in - (Date.now() - at) / 1000);
  const span = (seconds) => {
    const [unit, size] = [["days", 86400], ["hours", 3600], ["minutes", 60]].find(([, s]) => seconds >= 2 * s) ?? ["seconds", 1];
    return `${Math.round(seconds / size)} ${unit}`;
  };
  return element("div", { class: "life" },
    left !== undefined && element("progress", { max: token.expires_in, value: left, "aria-label": "What is left of the token's life" }),
    element("dl", {},
      element("dt", {}, "token id"), element("dd", {}, element("code", {}, token.token_id)),
      element("dt", {}, "ends"), element("dd", {}, left === undefined ? "never" : left > 0 ? `in ${span(left)}` : "it has ended",
        token.expires_in_assumed ? " (assumed: the provider states no lifetime)" : ""),
      element("dt", {}, "next renewal"), element("dd", {}, `in ${span(Math.max(0, token.refresh_in - (Date.now() - at) / 1000))}`),
      token.scope && [element("dt", {}, "scope"), element("dd", {}, token.scope)],
      token.present && [element("dt", {}, "send as"), element("dd", {}, element("code", {}, `${token.present.header}: ${token.present.prefix}…`))],
      Object.entries(token.extra ?? {}).map(([name, value]) => [element("dt", {}, name), element("dd", {}, String(value))])),
    token.stale && element("p", { class: "fix mild" }, "The last refresh failed. This token is still valid."));
}

function facts(one) {
  return [
    one.problem && element("p", { class: "fix" }, one.problem),
    one.last_error && element("p", { class: "fix" }, `${one.last_error}. ${fixes[one.last_error] ?? ""}`,
      one.next_attempt_at && [" Next attempt ", when(one.next_attempt_at), "."]),
    one.warnings?.length && element("p", { class: "fix mild" }, `Departures in the provider's last answer: ${one.warnings.join(", ")}`),
  ];
}

/** buttons acts on a connection or on one subject of it. fresh is a subject of which nothing is stored. */
function buttons(name, subject, { delegated, consentFirst, fresh } = {}) {
  const key = `${name}/${subject}`;
  const order = { connection: name, subject };
  const act = (label, run, attributes) => element("button", { ...attributes, onclick: async (event) => {
    event.target.disabled = true;
    try { await run(); } catch (problem) { fail(problem); }
    event.target.disabled = false;
  } }, label);
  const keep = (token) => { tokens.set(key, { token, at: Date.now() }); route(); };
  const consentButton = act("Start a consent", () => start(name, subject), { class: consentFirst ? "" : "quiet" });
  if (fresh) return element("div", { class: "buttons" }, consentButton);
  return element("div", { class: "buttons" },
    consentFirst && consentButton,
    act("Test", async () => { keep(await call("test", order)); say("The connection vends a token."); }, { class: consentFirst ? "quiet" : "" }),
    tokens.has(key) && act("Report as dead…", async () => {
      const id = tokens.get(key).token.token_id;
      if (await ask({ title: "Report the token as dead?", text: `Token ${id} is replaced for every caller. Do that when the resource server refuses it.`, yes: "Report" })) {
        keep(await call("reject", { ...order, token_id: id }));
        say("The service has another token.");
      }
    }, { class: "quiet" }),
    act("Forget the token…", async () => {
      if (await ask({ title: "Forget the stored token?", text: "The next caller gets a new one from the provider. The consent of a user stays.", yes: "Forget" })) {
        await call("forget", order);
        tokens.delete(key);
        route();
        say("The token is forgotten.");
      }
    }, { class: "quiet" }),
    delegated && !consentFirst && consentButton,
    delegated && act("Disconnect…", async () => {
      if (await ask({ title: `Disconnect ${name}?`, text: `The grant of subject ${subject} is revoked at the provider and deleted. Callers get no token until a user consents again.`, yes: "Disconnect", danger: true })) {
        await call("disconnect", order);
        tokens.delete(key);
        route();
        say("The grant is deleted.");
      }
    }, { class: "danger" }));
}

async function start(name, subject) {
  const started = await call("start", { connection: name, subject });
  consents.set(`${name}/${subject}`, { ...started, until: Date.now() + started.expires_in * 1000 });
  route();
}

/** consent is the open consent of a subject: a link, and a form for the code. */
function consent(name, subject) {
  const key = `${name}/${subject}`;
  const open = consents.get(key);
  if (!open || open.until < Date.now()) return undefined;
  const code = element("input", { name: "code", required: true, autocomplete: "off", spellcheck: "false" });
  return element("form", { onsubmit: async (event) => {
    event.preventDefault();
    const text = code.value.trim();
    const how = /^https?:/.test(text) ? { redirect_url: text } : { confirmation_code: text };
    try {
      await call("complete", { connection: name, subject, session_id: open.session_id, ...how });
      consents.delete(key);
      failure.hidden = true;
      say("The consent is complete.");
      route();
    } catch (problem) {
      if (problem.code === "session_expired") { consents.delete(key); route(); }
      fail(problem);
    }
  } },
  element("h2", {}, "Consent"),
  element("ol", { class: "steps" },
    element("li", {}, element("a", { href: open.consent_url, target: "_blank", rel: "noopener noreferrer" }, "Open the consent page"), ", or send the link to the user."),
    element("li", {}, "Sign in at the provider and allow the access."),
    element("li", {}, element("label", {}, "Enter the code that the last page shows, or the address at which the browser ended", code))),
  element("div", { class: "buttons" }, element("button", {}, "Complete")));
}

// The view of one connection.
async function connectionView(name, known) {
  const found = await pages(`connections/${encodeURIComponent(name)}`, "subjects", known);
  const one = found.answer;
  const delegated = one.grant_type === "authorization_code";
  const subjects = found.items;
  if (delegated && !known && !subjects.some((subject) => subject.subject === "default")) {
    subjects.unshift({ subject: "default", state: "authorization_required", fresh: true });
  }
  return page(name,
    element("p", {}, element("a", { href: "#/" }, "← All connections")),
    element("div", { class: "card" },
      element("div", { class: "title" }, element("h1", {}, name), pill(one.state)),
      element("dl", {},
        one.provider && [element("dt", {}, "provider"), element("dd", {}, one.provider)],
        one.grant_type && [element("dt", {}, "grant type"), element("dd", {}, one.grant_type)]),
      facts(one), !delegated && life(`${name}/default`),
      !delegated && one.state !== "misconfigured" && buttons(name, "default")),
    delegated && subjects.map((subject) => element("section", { class: "card", "aria-label": `Subject ${subject.subject}` },
      element("div", { class: "title" }, element("h2", {}, subject.subject), pill(subject.state)),
      element("dl", {},
        subject.consented_by && [element("dt", {}, "consented by"), element("dd", {}, subject.consented_by)],
        subject.consented_at && [element("dt", {}, "consented"), element("dd", {}, when(subject.consented_at))],
        subject.renew_by && [element("dt", {}, "consent again"), element("dd", {}, when(subject.renew_by))]),
      facts(subject), life(`${name}/${subject.subject}`), consent(name, subject.subject), buttons(name, subject.subject, {
        delegated: true, consentFirst: subject.state === "authorization_required", fresh: subject.fresh }))),
    delegated && element("div", { class: "buttons" }, element("button", { class: "quiet", onclick: async () => {
      const subject = await ask({ title: "Another subject", text: "One connection can have the consents of many users, each under a name of your choice.", yes: "Start a consent", field: "Name: lower-case letters, digits and hyphens" });
      if (subject) start(name, subject).catch((problem) => fail(problem));
    } }, "Add a subject…")),
    more(found, () => view(() => connectionView(name, found))));
}

const page = (title, ...content) => ({ title, content: content.flat(2).filter((child) => child instanceof Node) });

let shown = 0;
/** view shows what run returns, unless another view was asked for meanwhile. */
async function view(run) {
  const mine = ++shown;
  main.setAttribute("aria-busy", "true");
  try {
    const { title, content } = await run();
    if (mine !== shown) return;
    document.title = `${title} · tokenvend console`;
    main.replaceChildren(...content);
    failure.hidden = true;
  } catch (problem) {
    if (mine === shown) fail(problem, () => view(run));
  }
  if (mine === shown) main.removeAttribute("aria-busy");
}

function route() {
  const [, place, name] = location.hash.split("/");
  for (const link of document.querySelectorAll("nav a")) {
    const current = link.getAttribute("href") === (place === "grants" ? "#/grants" : "#/");
    if (current) link.setAttribute("aria-current", "page"); else link.removeAttribute("aria-current");
  }
  if (place === "connections" && name) return view(() => connectionView(decodeURIComponent(name)));
  return view(place === "grants" ? () => grantsView() : () => connectionsView());
}

addEventListener("hashchange", async () => { said.textContent = ""; await route(); main.focus({ preventScroll: true }); scrollTo(0, 0); });
call("service").then((service) => { document.getElementById("service").textContent = service.url; }).catch(() => {});
route();
