// The official Anthropic client for JavaScript: what an application of it relies on.

import assert from "node:assert/strict";

import Anthropic from "@anthropic-ai/sdk";

import * as h from "./harness.mjs";
import { holds, kindOf, none, raises, same } from "./harness.mjs";

const CLIENT = "anthropic-node";
const declare = h.clientOf(CLIENT, "anthropic");

export const client = (target, more = {}) =>
  new Anthropic({ baseURL: target.base, apiKey: target.key, maxRetries: 0, timeout: 40_000, ...more });

const said = (content) => [{ role: "user", content }];
const request = (target, content, more) => ({
  model: target.model(),
  messages: said(content),
  max_tokens: 4096,
  ...more,
});
const ask = (target, content, more = {}) => client(target).messages.create(request(target, content, more));
/// The message that a stream amounts to, by the client's own helper.
const streamed = (target, content, more = {}) =>
  client(target).messages.stream(request(target, content, more)).finalMessage();

const tools = () => [
  { name: "get_weather", description: "Weather", input_schema: h.WEATHER },
  { name: "get_time", description: "Time", input_schema: h.CLOCK },
];
const ofType = (message, type) => message.content.filter((block) => block.type === type);
const textOf = (message) => ofType(message, "text").map((block) => block.text).join("");
const results = (message, content = "fine") =>
  ofType(message, "tool_use").map((call) => ({ type: "tool_result", tool_use_id: call.id, content }));

declare("plain", async (target) => {
  const answer = await ask(target, "Hello there");
  holds('"Hello there"', textOf(answer));
  same([answer.stop_reason, answer.role, answer.type], ["end_turn", "assistant", "message"]);
  assert.ok(answer._request_id && answer.id && answer.model);
});

declare("stream", async (target) => {
  const events = await h.collect(await ask(target, "Hello there", { stream: true }));
  const kinds = events.map((event) => event.type).filter((type) => type !== "ping");
  same(kinds.slice(0, 2), ["message_start", "content_block_start"]);
  same(kinds.slice(-3), ["content_block_stop", "message_delta", "message_stop"]);
  assert.ok(kinds.filter((kind) => kind === "content_block_delta").length > 5, "the answer came in one piece");
});

declare("usage", async (target) => {
  const plain = await ask(target, "Hello there");
  const message = await streamed(target, "Hello there");
  assert.ok(plain.usage.input_tokens > 0 && plain.usage.output_tokens > 0, JSON.stringify(plain.usage));
  same(message.usage.output_tokens, plain.usage.output_tokens);
});

declare("system", async (target) => {
  holds('"Be brief"', textOf(await ask(target, "Hello", { system: "Be brief" })));
  const system = [{ type: "text", text: "Be brief", cache_control: { type: "ephemeral" } }];
  holds('"Be brief"', textOf(await ask(target, "Hello", { system })));
});

declare("multi_turn", async (target) => {
  const first = await ask(target, "Hello there");
  const messages = [...said("Hello there"), { role: "assistant", content: first.content }, ...said("And again")];
  holds('"And again"', textOf(await ask(target, "", { messages })));
});

declare("parallel_tool_results", async (target) => {
  for (const how of [ask, streamed]) {
    const messages = said("Use get_weather and get_time");
    const answer = await how(target, "", { messages, tools: tools() });
    same(answer.stop_reason, "tool_use");
    same(ofType(answer, "tool_use").map((call) => call.name), ["get_weather", "get_time"]);
    h.checkWeather(ofType(answer, "tool_use")[0].input);
    messages.push({ role: "assistant", content: answer.content }, { role: "user", content: results(answer) });
    const text = textOf(await how(target, "", { messages, tools: tools() }));
    holds("get_time returned: fine", text.replaceAll('{"result":"fine"}', "fine"));
  }
});

declare("tool_error", async (target) => {
  const messages = said("Use get_weather");
  const answer = await ask(target, "", { messages, tools: tools() });
  const failed = results(answer, [{ type: "text", text: "no sun" }]).map((result) => ({ ...result, is_error: true }));
  messages.push({ role: "assistant", content: answer.content }, { role: "user", content: failed });
  holds("no sun", textOf(await ask(target, "", { messages, tools: tools() })));
});

declare("forced_and_forbidden_tools", async (target) => {
  const called = async (tool_choice) =>
    ofType(await ask(target, "get_weather", { tools: tools(), tool_choice }), "tool_use").map((call) => call.name);
  same(await called({ type: "none" }), []);
  same(await called({ type: "auto" }), ["get_weather"]);
  same(await called({ type: "any" }), ["get_weather"]);
  same(await called({ type: "tool", name: "get_time" }), ["get_time"]);
});

declare("one_tool_at_a_time", none("has no switch for parallel calls", "gemini", "cohere"), async (target) => {
  const tool_choice = { type: "auto", disable_parallel_tool_use: true };
  same(ofType(await ask(target, "get_weather get_time", { tools: tools(), tool_choice }), "tool_use").length, 1);
});

declare("json_schema", async (target) => {
  const output_config = { format: { type: "json_schema", schema: h.PERSON } };
  h.checkPerson(textOf(await ask(target, "Someone", { output_config })));
  h.checkPerson(textOf(await streamed(target, "Someone", { output_config })));
});

const seen = async (target, part, words) =>
  holds(words, textOf(await ask(target, [{ type: "text", text: "What is this?" }, part])));

declare("image_data", (target) => {
  const source = { type: "base64", media_type: "image/png", data: h.PIXEL };
  return seen(target, { type: "image", source }, "I received 1 image.");
});

declare("image_url", (target) =>
  h.namedByUrl(target, "image", [], (url) =>
    seen(target, { type: "image", source: { type: "url", url } }, "I received 1 image."),
  ),
);

declare("document_url", h.NO_DOCUMENTS, (target) =>
  h.namedByUrl(target, "document", [], (url) =>
    seen(target, { type: "document", source: { type: "url", url } }, "1 document"),
  ),
);

declare("document", h.NO_DOCUMENTS, (target) => {
  const source = { type: "base64", media_type: "application/pdf", data: h.PDF };
  return seen(target, { type: "document", title: "report", source }, "1 document");
});

const THINKING = { type: "enabled", budget_tokens: 1024 };
declare("reasoning", none("OpenAI keeps its reasoning to itself", "openai"), async (target) => {
  for (const how of [ask, streamed]) {
    const answer = await how(target, "Think", { model: target.model(target.thinking), thinking: THINKING });
    same(answer.content.map((block) => block.type), ["thinking", "text"]);
    assert.ok(answer.content[0].thinking);
  }
});

const SIGNED = none("signed thoughts are Anthropic's own", "openai", "gemini", "mistral", "cohere");
declare("reasoning_over_two_turns", SIGNED, async (target) => {
  const more = { tools: tools(), thinking: THINKING };
  for (const how of [ask, streamed]) {
    const messages = said("Use get_weather");
    const answer = await how(target, "", { ...more, messages });
    same(answer.content.map((block) => block.type), ["thinking", "tool_use"]);
    const blocks = structuredClone(answer.content);
    const turns = [...messages, { role: "assistant", content: blocks }, { role: "user", content: results(answer) }];
    holds("returned: fine", textOf(await how(target, "", { ...more, messages: turns })));
    // At its end: before it, a gateway may have written who made it.
    blocks[0].signature = `${blocks[0].signature.slice(0, -4)}AAAA`;
    const error = await raises(Anthropic.BadRequestError, () => how(target, "", { ...more, messages: turns }), 400);
    holds("signature", error.message);
  }
});

declare("stop", async (target) => {
  const answer = await ask(target, "Say it [[sim: stop]]", { stop_sequences: ["END"] });
  assert.ok(!textOf(answer).includes("END"), textOf(answer));
  // Only Claude says which sequence it was; elsewhere it is not known that it was one.
  const claude = ["anthropic", "bedrock"].includes(target.provider);
  same([answer.stop_reason, answer.stop_sequence], claude ? ["stop_sequence", "END"] : ["end_turn", null]);
});

declare("length", async (target) => {
  for (const how of [ask, streamed]) {
    const answer = await how(target, "[[sim: words=400]]", { max_tokens: 60 });
    same(answer.stop_reason, "max_tokens");
    assert.ok(answer.usage.output_tokens <= 60);
  }
});

declare("long_output", async (target) => {
  const more = { max_tokens: 8000 };
  for (const how of [ask, streamed]) {
    same(textOf(await how(target, "[[sim: words=3000]]", more)).split(" ").length, 3000);
  }
});

declare("unicode", async (target) => {
  h.checkUnicode(textOf(await ask(target, "[[sim: unicode]]")));
  h.checkUnicode(textOf(await streamed(target, "[[sim: unicode]]")));
});

declare("empty_answer", async (target) => {
  for (const how of [ask, streamed]) {
    const answer = await how(target, "[[sim: empty]]");
    same([textOf(answer), answer.stop_reason], ["", "end_turn"]);
  }
});

declare("refusal", none("refuses in words only", "mistral", "cohere"), async (target) => {
  for (const how of [ask, streamed]) same((await how(target, "[[sim: refuse]]")).stop_reason, "refusal");
});

declare("counting", none("does not count tokens", "mistral", "cohere"), async (target) => {
  const asked = { model: target.model(), messages: said("Hello there") };
  const count = await client(target).messages.countTokens(asked);
  same(count.input_tokens, (await ask(target, "Hello there")).usage.input_tokens);
});

declare("models", async (target) => {
  const listed = await h.collect(client(target).models.list());
  holds(target.model(), listed.map((model) => model.id));
});

const statusSeen = (fault, status, target) => {
  // The status by which Anthropic's clients know overload, and Anthropic's own of an empty account.
  if (!target.straight && status === 503) return 529;
  return target.straight && fault === "quota-exhausted" ? 402 : status;
};

declare("typed_errors", (target) =>
  h.together(
    h.told(target, statusSeen).flatMap(([fault, status]) =>
      h.MODES.map((mode) => [
        `${fault} ${mode}`,
        async () => {
          const { model, text } = target.fault(CLIENT, "told", mode, fault);
          const answer = () => ask(target, text, { model, stream: mode === "stream" });
          const error = await raises(kindOf(Anthropic, status), answer, status);
          same(error.error.type, "error");
          assert.ok(error.requestID, "no request id");
        },
      ]),
    ),
  ),
);

declare("wrong_key", async (target) => {
  const wrong = client(target, { apiKey: "sk-wrong-0123456789" });
  await raises(Anthropic.AuthenticationError, () => wrong.messages.create(request(target, "x")), 401);
});

declare("retry_after", async (target) => {
  const { model, text } = target.fault(CLIENT, "patient", "plain", "rate-limited-retry-after=3");
  const patient = client(target, { maxRetries: 1 });
  const { seconds } = await h.timed(() =>
    raises(Anthropic.RateLimitError, () => patient.messages.create(request(target, text, { model })), 429),
  );
  assert.ok(seconds >= 2.8, `waited ${seconds} s`);
});

declare("timeout", async (target) => {
  const hasty = client(target, { timeout: 700 });
  const hang = request(target, "[[sim: fault=hang-before-headers]]");
  await raises(Anthropic.APIConnectionTimeoutError, () => hasty.messages.create(hang));
});

declare("broken_streams", h.BROKEN_STRAIGHT, (target) =>
  h.together(
    h.BROKEN.flatMap((fault) => [
      [
        fault,
        () => {
          const { model, text } = target.fault(CLIENT, "broken", "stream", fault);
          return raises(Anthropic.AnthropicError, () => streamed(target, text, { model }));
        },
      ],
    ]),
  ),
);

declare("disconnect", h.NOBODY_BETWEEN, (target) =>
  h.leaves(target, async (model, text) => {
    const stream = await ask(target, text, { model, stream: true });
    for await (const event of stream) {
      if (event.type === "content_block_delta") break;
    }
    stream.controller.abort();
    return Date.now();
  }),
);
