// Files and batches through the official JavaScript clients: straight to the simulators, and through the gateway over any provider.

import assert from "node:assert/strict";
import { setTimeout as pause } from "node:timers/promises";

import Anthropic from "@anthropic-ai/sdk";
import OpenAI, { toFile } from "openai";

import * as h from "./harness.mjs";
import { holds, raises, same } from "./harness.mjs";
import { client as anthropic } from "./anthropic.mjs";
import { client as openai } from "./openai.mjs";

const declareOpenAi = h.clientOf("openai-node", "openai");
const declareAnthropic = h.clientOf("anthropic-node", "anthropic");

// Far longer than a batch of a few lines takes on a busy machine.
const PATIENCE_MS = 60_000;

/// Looks until it is over.
async function until(look, isOver) {
  const end = performance.now() + PATIENCE_MS;
  for (;;) {
    const found = await look();
    if (isOver(found)) return found;
    assert.ok(performance.now() < end, JSON.stringify(found));
    await pause(50);
  }
}

const OVER = ["completed", "failed", "expired", "cancelled"];
const line = (url, custom_id, body) => `${JSON.stringify({ custom_id, method: "POST", url, body })}\n`;

/// A batch from its file to its end.
async function run(client, url, requests, more = {}) {
  const content = Object.entries(requests).map(([name, body]) => line(url, name, body)).join("");
  const file = await client.files.create({ file: await toFile(Buffer.from(content), "requests.jsonl"), purpose: "batch" });
  const asked = { input_file_id: file.id, endpoint: url, completion_window: "24h", ...more };
  const { id } = await client.batches.create(asked);
  return until(() => client.batches.retrieve(id), (batch) => OVER.includes(batch.status));
}

async function results(client, file) {
  const text = await (await client.files.content(file)).text();
  const lines = text.trim().split("\n").map((one) => JSON.parse(one));
  return new Map(lines.map((one) => [one.custom_id, one]));
}

declareOpenAi("files", async (target) => {
  const { files } = openai(target);
  const content = Buffer.from(`${'{"a": 1}\n'.repeat(50_000)}Grüße\n`);
  const file = await files.create({ file: await toFile(content, "data é.jsonl"), purpose: "batch" });
  same([file.object, file.bytes, file.purpose, file.filename], ["file", content.length, "batch", "data é.jsonl"]);
  same((await files.retrieve(file.id)).id, file.id);
  same(Buffer.compare(Buffer.from(await (await files.content(file.id)).arrayBuffer()), content), 0);
  holds(file.id, (await h.collect(files.list({ purpose: "batch" }))).map((found) => found.id));
  same((await files.delete(file.id)).deleted, true);
  await raises(OpenAI.NotFoundError, () => files.retrieve(file.id), 404);
});

declareOpenAi("batches", async (target) => {
  const client = openai(target);
  const said = (text) => ({ model: target.model(), messages: [{ role: "user", content: text }] });
  const names = [0, 1, 2, 3, 4].map((number) => `line ${number}`);
  const requests = Object.fromEntries(names.map((name) => [name, said(`Hello ${name}`)]));
  requests.wrong = { model: target.model(), messages: "nonsense" };
  const batch = await run(client, "/v1/chat/completions", requests, { metadata: { job: "nightly" } });
  same([batch.status, batch.metadata, batch.object], ["completed", { job: "nightly" }, "batch"]);
  same(batch.request_counts, { total: 6, completed: 5, failed: 1 });
  const found = await results(client, batch.output_file_id);
  same([...found.keys()].sort(), names);
  for (const name of names) {
    const { response } = found.get(name);
    same(response.status_code, 200);
    holds(`Hello ${name}`, response.body.choices[0].message.content);
  }
  const failed = (await results(client, batch.error_file_id)).get("wrong").response;
  same(failed.status_code, 400);
  assert.ok(failed.body.error.message, JSON.stringify(failed));
  const listed = [];
  for await (const one of client.batches.list({ limit: 5 })) {
    listed.push(one.id);
    if (one.id === batch.id) break;
  }
  holds(batch.id, listed);
});

declareOpenAi("batch_mistakes", async (target) => {
  const { batches, files } = openai(target);
  const chats = "/v1/chat/completions";
  const body = { model: target.model(), messages: [{ role: "user", content: "Hello" }] };
  const lines = [line(chats, "a", body), line(chats, "a", body), "nonsense\n", line("/v1/embeddings", "b", body)];
  const file = await files.create({ file: await toFile(Buffer.from(lines.join("")), "wrong.jsonl"), purpose: "batch" });
  const create = (more = {}) =>
    batches.create({ input_file_id: file.id, endpoint: chats, completion_window: "24h", ...more });
  const { id } = await create();
  const batch = await until(() => batches.retrieve(id), (found) => found.status === "failed");
  same(batch.errors.data.map((error) => [error.line, error.code]), [
    [2, "duplicate_custom_id"],
    [3, "invalid_json_line"],
    [4, "mismatched_endpoint"],
  ]);
  await raises(OpenAI.BadRequestError, () => create({ endpoint: "/v1/nothing" }), 400);
  await raises(OpenAI.BadRequestError, () => create({ completion_window: "soon" }), 400);
  await raises(OpenAI.NotFoundError, () => create({ input_file_id: "file-none" }), 404);
  await raises(OpenAI.NotFoundError, () => batches.retrieve("batch_none"), 404);
});

declareAnthropic("batches", async (target) => {
  const { batches } = anthropic(target).messages;
  const params = (text) => ({ model: target.model(), max_tokens: 500, messages: [{ role: "user", content: text }] });
  const numbers = [0, 1, 2, 3, 4];
  const requests = numbers.map((number) => ({ custom_id: `line-${number}`, params: params(`Hello ${number}`) }));
  requests.push({ custom_id: "wrong", params: { ...params(""), messages: "nonsense" } });
  const batch = await batches.create({ requests });
  same([batch.type, batch.processing_status], ["message_batch", "in_progress"]);
  const look = () => batches.retrieve(batch.id);
  const over = await until(look, (found) => found.processing_status === "ended");
  const { processing, succeeded, errored } = over.request_counts;
  same([processing, succeeded, errored], [0, 5, 1]);
  const lines = await h.collect(await batches.results(batch.id));
  const found = new Map(lines.map((one) => [one.custom_id, one.result]));
  for (const number of numbers) {
    const result = found.get(`line-${number}`);
    same(result.type, "succeeded");
    holds(`Hello ${number}`, result.message.content[0].text);
  }
  same([found.get("wrong").type, found.get("wrong").error.error.type], ["errored", "invalid_request_error"]);
  same((await batches.delete(batch.id)).type, "message_batch_deleted");
  await raises(Anthropic.NotFoundError, look, 404);
  const twice = [requests[0], requests[0]];
  await raises(Anthropic.BadRequestError, () => batches.create({ requests: twice }), 400);
});
