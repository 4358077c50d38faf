// Cases, where they run, and what they assert with.
//
// Owns the list of cases. A row is a client, a case and a provider: each case runs straight against the simulator of the
// client's own dialect and, through the gateway, against every provider. What a provider cannot do is said where the case is
// declared, with the reason, so that "not applicable" is never a guess made at run time.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";

export const cases = [];
export const MODES = ["plain", "stream"];

/// A declarer of one client's cases: `declare(name, run)` or `declare(name, {provider: reason}, run)`.
export function clientOf(client, dialect) {
  return (name, ...rest) => {
    const run = rest.pop();
    cases.push({ client, dialect, name, run, notApplicable: rest[0] ?? {} });
  };
}

/// The same reason for each of several columns.
export const none = (reason, ...columns) => Object.fromEntries(columns.map((column) => [column, reason]));

/// A provider behind the gateway, or, `straight`, the simulator itself.
export class Target {
  constructor(place, facts, straight) {
    Object.assign(this, facts);
    this.straight = straight;
    this.column = straight ? "straight" : facts.provider;
    this.base = straight ? facts.straight_url : place.gateway;
    this.key = straight ? place.straight_key : place.key;
    this.watch = place.watch;
    this.web = place.web;
  }

  model(name = this.chat) {
    return this.straight ? name : `${this.prefix}/${name}`;
  }

  /// The model and the words that meet a fault: by the words themselves, or by a route of this client alone.
  fault(client, kind, mode, fault) {
    if (this.straight) return { model: this.chat, text: `Where does this go? [[sim: fault=${fault} words=40]]` };
    const model = `${kind}-${this.prefix}-${client}-${mode}-${fault.replace("=", "-")}`;
    return { model, text: "Where does this go?" };
  }
}

export const same = (left, right) => assert.deepEqual(left, right);

export function holds(part, whole) {
  assert.ok(String(whole).includes(part), `${JSON.stringify(part)} is not in ${JSON.stringify(whole)}`);
}

/// The error that `action` throws, which must be of this class and status.
export async function raises(kind, action, status, statusOf = (error) => error.status) {
  let result;
  try {
    result = await action();
  } catch (error) {
    const shown = `${error?.constructor?.name} ${statusOf(error)} ${String(error?.message).slice(0, 200)}`;
    assert.ok(!kind || error instanceof kind, `expected ${kind?.name}, got ${shown}`);
    if (status !== undefined) assert.equal(statusOf(error), status, shown);
    return error;
  }
  throw new assert.AssertionError({
    message: `expected ${kind?.name ?? "an error"}, got ${JSON.stringify(result)?.slice(0, 300)}`,
  });
}

/// Runs many checks and fails with everything that went wrong.
export async function together(checks) {
  const wrong = [];
  for (const [label, check] of checks) {
    try {
      await check();
    } catch (error) {
      wrong.push(`${label}: ${error?.constructor?.name}: ${String(error?.message).slice(0, 200)}`);
    }
  }
  assert.equal(wrong.length, 0, wrong.join("; "));
}

/// The class that an exception of this status has in clients of this make.
export function kindOf(library, status) {
  const kinds = {
    400: library.BadRequestError,
    401: library.AuthenticationError,
    403: library.PermissionDeniedError,
    404: library.NotFoundError,
    422: library.UnprocessableEntityError,
    429: library.RateLimitError,
  };
  return kinds[status] ?? (status >= 500 ? library.InternalServerError : library.APIError);
}

export async function collect(stream) {
  const items = [];
  for await (const item of stream) items.push(item);
  return items;
}

/// How long an action takes, in seconds, and the error it ends with.
export async function timed(action) {
  const start = performance.now();
  const error = await action();
  return { seconds: (performance.now() - start) / 1000, error };
}

/// A client that leaves must free the provider at once: `leave(model, text)` reads the first piece of a stream that then
/// stalls, goes away and returns when it did. One of three tries may be as slow as the machine.
export async function leaves(target, leave) {
  const seen = [];
  for (let attempt = 0; attempt < 3; attempt += 1) {
    const marker = `watch-${randomUUID().replaceAll("-", "").slice(0, 16)}`;
    const left = await leave(`w-${target.prefix}/${target.chat}`, `${marker} [[sim: fault=stall=3 words=40]]`);
    const answer = await (await fetch(`${target.watch}/closed?marker=${marker}`)).json();
    assert.ok(answer.closed_ms, "the provider's connection stayed open");
    seen.push(answer.closed_ms - left);
    if (seen.at(-1) < 100) return;
  }
  assert.fail(`the provider's connection closed only after ${seen.map(Math.round).join(", ")} ms`);
}

export const PIXEL =
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";
export const PDF = Buffer.from("%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n").toString("base64");

// Providers behind the gateway that are given bytes where a client names a file by URL; the others read the URL themselves.
const FETCHED = { image: ["gemini", "bedrock"], document: ["openai", "gemini", "bedrock"] };
const FILES = { image: "one.png", document: "report.pdf" };

/// Asks with the URL of a file of this run's web: it must have been fetched once for providers that take bytes, and not for
/// `own`, which have a form of the client's protocol that takes URLs.
export async function namedByUrl(target, kind, own, ask) {
  const path = `/${randomUUID()}/${FILES[kind]}`;
  const answer = await ask(target.web + path);
  const { count } = await (await fetch(`${target.web}/count${path}`)).json();
  const isFetched = FETCHED[kind].includes(target.column) && !own.includes(target.column);
  same(count, isFetched ? 1 : 0);
  return answer;
}

/// A schema of an object with exactly these properties.
const closed = (properties) => ({
  type: "object",
  properties,
  required: Object.keys(properties),
  additionalProperties: false,
});
export const WEATHER = closed({ city: { type: "string" }, unit: { type: "string", enum: ["celsius", "fahrenheit"] } });
export const CLOCK = closed({ zone: { type: "string" } });
export const PERSON = closed({ name: { type: "string" }, age: { type: "integer" } });

export function checkPerson(person) {
  const value = typeof person === "string" ? JSON.parse(person) : person;
  same(Object.keys(value).sort(), ["age", "name"]);
  assert.ok(typeof value.name === "string" && Number.isInteger(value.age), JSON.stringify(value));
}

export function checkWeather(given) {
  const value = typeof given === "string" ? JSON.parse(given) : given;
  same(Object.keys(value).sort(), ["city", "unit"]);
  assert.ok(["celsius", "fahrenheit"].includes(value.unit), JSON.stringify(value));
}

// What the simulators answer to `[[sim: unicode]]`, in parts that a wrong split of the stream would break.
const UNICODE = ["Grüße", "日本語のテキスト", "👩‍👩‍👧‍👦", "e\u0301 combined", '"quoted" \\ backslash\n\ttab'];

export function checkUnicode(text) {
  for (const part of UNICODE) holds(part, text);
}

// Faults that are told, with nobody to fail over to: the status through the gateway and straight from each vendor.
export const TOLD = {
  "bad-request": { gateway: 400, straight: 400 },
  // Our own credentials are at fault, not the application's: 401 or 403 would send it looking in the wrong place.
  unauthorized: { gateway: 502, straight: 401 },
  forbidden: { gateway: 502, straight: 403 },
  "not-found": { gateway: 502, straight: 404 },
  "rate-limited-retry-after=30": { gateway: 429, straight: 429 },
  "quota-exhausted": { gateway: 429, straight: 429 },
  "server-error": { gateway: 502, straight: 500 },
  unavailable: { gateway: 503, straight: 503 },
  overloaded: { gateway: 503, straight: 529 },
  "context-too-long": { gateway: 400, straight: 400 },
  "content-filtered": { gateway: 400, straight: 400 },
};
// Those of the gateway alone: straight, the connection is lost or the client's own time ends.
export const TOLD_BY_US = { "cut-before-headers": 502, "hang-before-headers": 504 };
// Faults after the first token of a stream, which must raise.
export const BROKEN = [
  "stall=2",
  "cut-after-first-token",
  "reset-after-first-token",
  "malformed-event",
  "quota-mid-stream=2",
  "missing-end",
];
export const BROKEN_STRAIGHT = { straight: "clients alone do not notice every broken stream: the gateway makes them raise" };

export const NOBODY_BETWEEN = { straight: "nobody is between client and provider" };
export const NO_LOG_PROBABILITIES = {
  ...none("has none", "anthropic", "mistral", "bedrock"),
  cohere: "has them of pieces of text, not of tokens",
};
export const NO_DOCUMENTS = none("takes no documents in messages", "cohere");

/// Gemini answers a filtered prompt with an answer, 200, that says so.
export const isAnAnswer = (target, fault) =>
  target.straight && target.provider === "gemini" && fault === "content-filtered";

/// Every told fault with the status to expect, for a client that knows statuses by `adjusted(fault, status, target)`.
export function told(target, adjusted = (_fault, status) => status) {
  const ours = Object.entries(TOLD_BY_US).filter(() => !target.straight);
  const all = Object.entries(TOLD).map(([fault, seen]) => [fault, target.straight ? seen.straight : seen.gateway]);
  return [...all, ...ours].map(([fault, status]) => [fault, adjusted(fault, status, target)]);
}
