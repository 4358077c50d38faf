// The official OpenAI client for JavaScript, by the responses API.

import assert from "node:assert/strict";

import OpenAI from "openai";

import * as h from "./harness.mjs";
import { holds, kindOf, none, raises, same } from "./harness.mjs";
import { client, ownStatus } from "./openai.mjs";

const CLIENT = "responses-node";
const declare = h.clientOf(CLIENT, "openai");

const create = (target, input, more = {}) =>
  client(target).responses.create({ model: target.model(), input, ...more });

const tools = () =>
  [
    ["get_weather", h.WEATHER],
    ["get_time", h.CLOCK],
  ].map(([name, parameters]) => ({ type: "function", name, description: `Does ${name}`, parameters, strict: true }));

const calls = (response) => response.output.filter((item) => item.type === "function_call");
const results = (response) =>
  calls(response).map(({ call_id, name }) => ({ type: "function_call_output", call_id, output: `fine ${name}` }));

declare("plain", async (target) => {
  const response = await create(target, "Hello there", { instructions: "Be kind.", metadata: { team: "a" } });
  holds('"Hello there"', response.output_text);
  holds("Be kind.", response.output_text);
  same([response.object, response.status, response.error], ["response", "completed", null]);
  same(response.metadata, { team: "a" });
});

declare("input_tokens", none("does not count tokens", "mistral", "cohere"), async (target) => {
  const count = await client(target).responses.inputTokens.count({ model: target.model(), input: "Hello there" });
  same(count.object, "response.input_tokens");
  same(count.input_tokens, (await create(target, "Hello there")).usage.input_tokens);
});

declare("conversations", none("the simulator keeps no conversations", "straight"), async (target) => {
  const { conversations } = client(target);
  const kept = await conversations.create({ items: [{ role: "user", content: "First" }] });
  same((await create(target, "Second", { conversation: kept.id })).conversation.id, kept.id);
  const items = await h.collect(conversations.items.list(kept.id, { order: "asc" }));
  const texts = items.filter((item) => item.role === "user").map((item) => item.content[0].text);
  same(texts, ["First", "Second"]);
  same((await conversations.delete(kept.id)).deleted, true);
  await raises(OpenAI.NotFoundError, () => conversations.retrieve(kept.id), 404);
});

declare("usage", async (target) => {
  const { usage } = await create(target, "Hello there");
  same(usage.total_tokens, usage.input_tokens + usage.output_tokens);
  assert.ok(usage.input_tokens_details.cached_tokens >= 0 && usage.output_tokens_details.reasoning_tokens >= 0);
});

declare("stream", async (target) => {
  const events = await h.collect(await create(target, "[[sim: unicode]]", { stream: true }));
  same(events.map((event) => event.sequence_number), [...events.keys()]);
  same(events.slice(0, 2).map((event) => event.type), ["response.created", "response.in_progress"]);
  same(events.at(-1).type, "response.completed");
  const text = events.map((event) => (event.type === "response.output_text.delta" ? event.delta : "")).join("");
  h.checkUnicode(text);
  const [message] = events.at(-1).response.output.filter((item) => item.type === "message");
  same(text, message.content[0].text);
});

declare("streamed_tools", async (target) => {
  const stream = client(target).responses.stream({
    model: target.model(),
    input: "Use get_weather and get_time",
    tools: tools(),
  });
  const response = await stream.finalResponse();
  same(calls(response).map((call) => call.name), ["get_weather", "get_time"]);
  h.checkWeather(calls(response)[0].arguments);
});

declare("tool_results", async (target) => {
  const input = [{ role: "user", content: "Use get_weather and get_time" }];
  const first = await create(target, input, { tools: tools(), store: false });
  const second = await create(target, [...input, ...first.output, ...results(first)], { tools: tools(), store: false });
  holds("get_weather returned: fine get_weather", second.output_text);
  holds("get_time returned: fine get_time", second.output_text);
});

declare("previous_response", async (target) => {
  const first = await create(target, "Use get_weather", { tools: tools() });
  const more = { tools: tools(), previous_response_id: first.id };
  const second = await create(target, results(first), more);
  holds("get_weather returned: fine get_weather", second.output_text);
  same(second.previous_response_id, first.id);
});

declare("retrieve_and_delete", async (target) => {
  const made = await create(target, "Hello there");
  same((await client(target).responses.retrieve(made.id)).output_text, made.output_text);
  await client(target).responses.delete(made.id);
  await raises(OpenAI.NotFoundError, () => client(target).responses.retrieve(made.id), 404);
});

declare("forced_and_forbidden_tools", async (target) => {
  const called = async (tool_choice) =>
    calls(await create(target, "get_weather get_time", { tools: tools(), tool_choice })).map((call) => call.name);
  same(await called("none"), []);
  same((await called("required"))[0], "get_weather");
  same(await called({ type: "function", name: "get_time" }), ["get_time"]);
});

declare("json_schema", async (target) => {
  const text = { format: { type: "json_schema", name: "person", schema: h.PERSON, strict: true } };
  h.checkPerson((await create(target, "Someone", { text })).output_text);
});

declare("image_data", async (target) => {
  const image = { type: "input_image", image_url: `data:image/png;base64,${h.PIXEL}`, detail: "auto" };
  const content = [{ type: "input_text", text: "What is this?" }, image];
  holds("1 image", (await create(target, [{ role: "user", content }])).output_text);
});

const NAMED = [
  ["image", {}, (image_url) => ({ type: "input_image", image_url, detail: "auto" }), "1 image"],
  ["document", h.NO_DOCUMENTS, (file_url) => ({ type: "input_file", file_url }), "1 document"],
];
for (const [kind, notApplicable, part, words] of NAMED) {
  declare(`${kind}_url`, notApplicable, (target) =>
    h.namedByUrl(target, kind, ["openai"], async (url) => {
      const content = [{ type: "input_text", text: "What is this?" }, part(url)];
      holds(words, (await create(target, [{ role: "user", content }])).output_text);
    }),
  );
}

declare("document", h.NO_DOCUMENTS, async (target) => {
  const file = { type: "input_file", filename: "report.pdf", file_data: `data:application/pdf;base64,${h.PDF}` };
  const content = [{ type: "input_text", text: "What is this?" }, file];
  holds("1 document", (await create(target, [{ role: "user", content }])).output_text);
});

const HIDDEN = { gemini: "Gemini 2.5 asks for no signature back", cohere: "thoughts of Cohere carry no signature" };
declare("reasoning_over_two_turns", HIDDEN, async (target) => {
  const more = { model: target.model(target.thinking), tools: tools(), store: false };
  more.reasoning = { effort: "low", summary: "auto" };
  more.include = ["reasoning.encrypted_content"];
  const input = [{ role: "user", content: "Use get_weather" }];
  const first = await create(target, input, more);
  same(first.output.map((item) => item.type), ["reasoning", "function_call"]);
  const second = await create(target, [...input, ...first.output, ...results(first)], more);
  holds("returned: fine get_weather", second.output_text);
});

declare("limit", async (target) => {
  const response = await create(target, "[[sim: words=400]]", { max_output_tokens: 60 });
  same([response.status, response.incomplete_details.reason], ["incomplete", "max_output_tokens"]);
});

declare("typed_errors", (target) =>
  h.together(
    h.told(target, ownStatus).flatMap(([fault, status]) =>
      h.MODES.map((mode) => [
        `${fault} ${mode}`,
        () => {
          const { model, text } = target.fault(CLIENT, "told", mode, fault);
          const ask = () => create(target, text, { model, stream: mode === "stream" });
          return raises(kindOf(OpenAI, status), ask, status);
        },
      ]),
    ),
  ),
);

declare("broken_streams", h.BROKEN_STRAIGHT, (target) =>
  h.together(
    h.BROKEN.map((fault) => [
      fault,
      () => {
        const { model, text } = target.fault(CLIENT, "broken", "stream", fault);
        return raises(OpenAI.APIError, async () => h.collect(await create(target, text, { model, stream: true })));
      },
    ]),
  ),
);

declare("disconnect", h.NOBODY_BETWEEN, (target) =>
  h.leaves(target, async (model, text) => {
    const stream = await create(target, text, { model, stream: true });
    for await (const event of stream) {
      if (event.type === "response.output_text.delta") break;
    }
    stream.controller.abort();
    return Date.now();
  }),
);
