// The official OpenAI client for JavaScript, by chat completions: what an application of it relies on.

import assert from "node:assert/strict";

import OpenAI from "openai";
import { zodResponseFormat } from "openai/helpers/zod";
import { z } from "zod";

import * as h from "./harness.mjs";
import { holds, kindOf, none, raises, same } from "./harness.mjs";

const CLIENT = "openai-node";
const declare = h.clientOf(CLIENT, "openai");

export const client = (target, more = {}) =>
  new OpenAI({ baseURL: `${target.base}/v1`, apiKey: target.key, maxRetries: 0, timeout: 40_000, ...more });

const said = (content) => [{ role: "user", content }];

export function chat(target, content, more = {}) {
  return client(target).chat.completions.create({ model: target.model(), messages: said(content), ...more });
}

export const tools = () =>
  [
    ["get_weather", h.WEATHER],
    ["get_time", h.CLOCK],
  ].map(([name, parameters]) => ({ type: "function", function: { name, description: `Does ${name}`, parameters } }));

const textOf = (chunks) => chunks.map((chunk) => chunk.choices[0]?.delta.content ?? "").join("");
const names = (message) => (message.tool_calls ?? []).map((call) => call.function.name);

declare("plain", async (target) => {
  const answer = await chat(target, "Hello there");
  const [choice] = answer.choices;
  holds('"Hello there"', choice.message.content);
  same([choice.finish_reason, choice.index, choice.message.role], ["stop", 0, "assistant"]);
  same(answer.object, "chat.completion");
  assert.ok(answer.id && answer.created > 1_600_000_000 && answer._request_id, JSON.stringify(answer));
});

declare("stream", async (target) => {
  const chunks = await h.collect(await chat(target, "Hello there", { stream: true }));
  holds('"Hello there"', textOf(chunks));
  same(chunks[0].choices[0].delta.role, "assistant");
  assert.ok(chunks.length > 5, "the answer came in one piece");
  same(chunks.flatMap((chunk) => chunk.choices.map((choice) => choice.finish_reason)).filter(Boolean), ["stop"]);
});

declare("usage", async (target) => {
  const { usage } = await chat(target, "Hello there");
  same(usage.total_tokens, usage.prompt_tokens + usage.completion_tokens);
  const asked = { stream: true, stream_options: { include_usage: true } };
  const chunks = await h.collect(await chat(target, "Hello there", asked));
  const last = chunks.at(-1);
  same(last.choices, []);
  same([last.usage.prompt_tokens, last.usage.completion_tokens], [usage.prompt_tokens, usage.completion_tokens]);
  const unasked = await h.collect(await chat(target, "Hello there", { stream: true }));
  same(unasked.filter((chunk) => chunk.usage), []);
});

declare("system_and_developer", async (target) => {
  for (const role of ["system", "developer"]) {
    const answer = await chat(target, "", { messages: [{ role, content: "Be brief" }, ...said("Hello")] });
    holds('"Be brief"', answer.choices[0].message.content);
  }
});

declare("multi_turn", async (target) => {
  const first = await chat(target, "Hello there");
  const messages = [...said("Hello there"), first.choices[0].message, ...said("And again")];
  const again = await chat(target, "", { messages });
  holds('"And again"', again.choices[0].message.content);
  assert.ok(again.usage.prompt_tokens > first.usage.prompt_tokens + 5, JSON.stringify(again.usage));
});

declare("tool", async (target) => {
  const { choices } = await chat(target, "Use get_weather", { tools: tools() });
  same([choices[0].finish_reason, names(choices[0].message)], ["tool_calls", ["get_weather"]]);
  h.checkWeather(choices[0].message.tool_calls[0].function.arguments);
});

declare("parallel_tool_results", async (target) => {
  const messages = said("Call get_weather and get_time for Oslo");
  const { message } = (await chat(target, "", { messages, tools: tools() })).choices[0];
  same(names(message), ["get_weather", "get_time"]);
  same(new Set(message.tool_calls.map((call) => call.id)).size, 2);
  const results = message.tool_calls.map((call, number) => ({
    role: "tool",
    tool_call_id: call.id,
    content: `fine ${number}`,
  }));
  const answer = await chat(target, "", { messages: [...messages, message, ...results], tools: tools() });
  const said_ = answer.choices[0].message.content.replace(/\{"result":"(fine \d)"\}/g, "$1");
  holds("get_weather returned: fine 0", said_);
  holds("get_time returned: fine 1", said_);
});

declare("streamed_tools", async (target) => {
  const stream = client(target).chat.completions.stream({
    model: target.model(),
    messages: said("get_weather and get_time please"),
    tools: tools(),
  });
  const { message, finish_reason } = (await stream.finalChatCompletion()).choices[0];
  same([names(message), finish_reason], [["get_weather", "get_time"], "tool_calls"]);
  h.checkWeather(message.tool_calls[0].function.arguments);
  assert.ok("zone" in JSON.parse(message.tool_calls[1].function.arguments));
});

declare("tool_runner", async (target) => {
  for (const stream of [false, true]) {
    const called = [];
    const runnable = (name, parameters) => ({
      type: "function",
      function: {
        name,
        parameters,
        description: name,
        parse: JSON.parse,
        function: (given) => {
          called.push([name, Object.keys(given).sort()]);
          return `fine ${name}`;
        },
      },
    });
    const runner = client(target).chat.completions.runTools({
      model: target.model(),
      stream,
      messages: said("Use get_weather and get_time"),
      tools: [runnable("get_weather", h.WEATHER), runnable("get_time", h.CLOCK)],
    });
    holds("fine get_time", await runner.finalContent());
    same(called, [
      ["get_weather", ["city", "unit"]],
      ["get_time", ["zone"]],
    ]);
  }
});

declare("forced_and_forbidden_tools", async (target) => {
  const called = async (tool_choice) =>
    names((await chat(target, "get_weather get_time", { tools: tools(), tool_choice })).choices[0].message);
  same(await called("none"), []);
  same(await called("auto"), ["get_weather", "get_time"]);
  same((await called("required"))[0], "get_weather");
  same(await called({ type: "function", function: { name: "get_time" } }), ["get_time"]);
});

declare("one_tool_at_a_time", none("has no switch for parallel calls", "gemini", "cohere"), async (target) => {
  const answer = await chat(target, "get_weather get_time", { tools: tools(), parallel_tool_calls: false });
  same(names(answer.choices[0].message), ["get_weather"]);
});

declare("json_schema", async (target) => {
  const response_format = { type: "json_schema", json_schema: { name: "person", schema: h.PERSON, strict: true } };
  h.checkPerson((await chat(target, "Someone", { response_format })).choices[0].message.content);
  h.checkPerson(textOf(await h.collect(await chat(target, "Someone", { response_format, stream: true }))));
});

declare("parse", async (target) => {
  const Event = z.object({ name: z.string(), guests: z.array(z.string()) });
  const answer = await client(target).chat.completions.parse({
    model: target.model(),
    messages: said("An event"),
    response_format: zodResponseFormat(Event, "event"),
  });
  Event.parse(answer.choices[0].message.parsed);
});

const seen = async (target, part, words) => {
  const answer = await chat(target, [{ type: "text", text: "What is this?" }, part]);
  holds(words, answer.choices[0].message.content);
};

declare("image_data", (target) =>
  seen(target, { type: "image_url", image_url: { url: `data:image/png;base64,${h.PIXEL}` } }, "I received 1 image."),
);

declare("image_url", (target) =>
  h.namedByUrl(target, "image", [], (url) =>
    seen(target, { type: "image_url", image_url: { url } }, "I received 1 image."),
  ),
);

declare("document", h.NO_DOCUMENTS, (target) => {
  const file = { filename: "report.pdf", file_data: `data:application/pdf;base64,${h.PDF}` };
  return seen(target, { type: "file", file }, "1 document");
});

const UNCOUNTED = "does not count thoughts apart from the answer";
declare("reasoning", none(UNCOUNTED, "mistral", "cohere", "bedrock"), async (target) => {
  const more = { model: target.model(target.thinking), reasoning_effort: "high" };
  const { usage } = await chat(target, "Think", more);
  const { reasoning_tokens } = usage.completion_tokens_details;
  assert.ok(reasoning_tokens > 0 && reasoning_tokens < usage.completion_tokens, JSON.stringify(usage));
});

const NO_SIGNATURES = {
  ...none("OpenAI keeps its reasoning to itself", "openai", "straight"),
  gemini: "Gemini 2.5 asks for no signature back",
};
declare("reasoning_over_two_turns", NO_SIGNATURES, async (target) => {
  const more = { model: target.model(target.thinking), reasoning_effort: "high", tools: tools() };
  const messages = said("Use get_weather");
  const { message } = (await chat(target, "", { ...more, messages })).choices[0];
  same(names(message), ["get_weather"]);
  const result = { role: "tool", tool_call_id: message.tool_calls[0].id, content: "fine" };
  const answer = await chat(target, "", { ...more, messages: [...messages, message, result] });
  holds("returned: fine", answer.choices[0].message.content);
});

const OWN = none("Gemini's own", "straight", "openai", "anthropic", "mistral", "bedrock", "cohere");
declare("thought_signatures", OWN, async (target) => {
  const more = { model: target.model("gemini-3.1-pro-preview"), tools: tools() };
  const messages = said("Use get_weather and get_time");
  const { message } = (await chat(target, "", { ...more, messages })).choices[0];
  const results = message.tool_calls.map((call) => ({ role: "tool", tool_call_id: call.id, content: "fine" }));
  const answer = await chat(target, "", { ...more, messages: [...messages, message, ...results] });
  holds("get_time returned", answer.choices[0].message.content);
});

declare("stop", async (target) => {
  for (const stop of ["END", ["END", "FIN"]]) {
    const [choice] = (await chat(target, "Say it [[sim: stop]]", { stop })).choices;
    same(choice.finish_reason, "stop");
    assert.ok(!choice.message.content.includes("END"), choice.message.content);
  }
});

declare("seed", none("has no seed", "anthropic", "bedrock"), async (target) => {
  const ask = async () => (await chat(target, "Hello", { seed: 7 })).choices[0].message.content;
  same(await ask(), await ask());
});

const FEW = none("gives one answer", "anthropic", "bedrock", "cohere");
declare("choices", FEW, async (target) => {
  const answer = await chat(target, "Hi", { n: 2 });
  same(answer.choices.map((choice) => choice.index), [0, 1]);
  const ends = new Map();
  for await (const chunk of await chat(target, "Hi", { n: 2, stream: true })) {
    for (const choice of chunk.choices) ends.set(choice.index, choice.finish_reason);
  }
  same([...ends].sort(), [
    [0, "stop"],
    [1, "stop"],
  ]);
});

declare("log_probabilities", h.NO_LOG_PROBABILITIES, async (target) => {
  const more = { logprobs: true, top_logprobs: 2, seed: 1 };
  const [{ logprobs, message }] = (await chat(target, "Hi", more)).choices;
  same(logprobs.content.map((entry) => entry.token).join(""), message.content);
  same(new Set(logprobs.content.map((entry) => entry.top_logprobs.length)), new Set([2]));
  const chunks = await h.collect(await chat(target, "Hi", { ...more, stream: true }));
  same(chunks.flatMap((chunk) => chunk.choices[0]?.logprobs?.content ?? []), logprobs.content);
});

declare("long_output", async (target) => {
  const chunks = await h.collect(await chat(target, "[[sim: words=3000]]", { stream: true, max_tokens: 8000 }));
  const plain = (await chat(target, "[[sim: words=3000]]", { max_tokens: 8000 })).choices[0].message.content;
  for (const text of [plain, textOf(chunks)]) same(text.split(" ").length, 3000);
});

declare("length", async (target) => {
  for (const member of ["max_tokens", "max_completion_tokens"]) {
    const answer = await chat(target, "[[sim: words=400]]", { [member]: 60 });
    same(answer.choices[0].finish_reason, "length");
    assert.ok(answer.usage.completion_tokens <= 60, JSON.stringify(answer.usage));
  }
});

declare("unicode", async (target) => {
  h.checkUnicode((await chat(target, "[[sim: unicode]]")).choices[0].message.content);
  h.checkUnicode(textOf(await h.collect(await chat(target, "[[sim: unicode]]", { stream: true }))));
});

declare("empty_answer", async (target) => {
  const [choice] = (await chat(target, "[[sim: empty]]")).choices;
  assert.ok(!choice.message.content && choice.finish_reason === "stop", JSON.stringify(choice));
  const chunks = await h.collect(await chat(target, "[[sim: empty]]", { stream: true }));
  same([textOf(chunks), chunks.at(-1).choices[0].finish_reason], ["", "stop"]);
});

declare("refusal", none("refuses in words only", "mistral", "cohere"), async (target) => {
  const [choice] = (await chat(target, "[[sim: refuse]]")).choices;
  assert.ok(choice.message.refusal || choice.finish_reason === "content_filter", JSON.stringify(choice));
});

declare("embeddings", none("has no embeddings", "anthropic"), async (target) => {
  const model = target.model(target.embedding);
  // Base64 is what the client asks for when told nothing.
  const packed = await client(target).embeddings.create({ model, input: ["one text", "another text"] });
  const plain = await client(target).embeddings.create({ model, input: "one text", encoding_format: "float" });
  same(packed.data.map((item) => item.index), [0, 1]);
  same(packed.data[0].embedding.length, plain.data[0].embedding.length);
  plain.data[0].embedding.forEach((value, index) => {
    assert.ok(Math.abs(value - packed.data[0].embedding[index]) < 1e-6, `${index}`);
  });
});

declare("models", async (target) => {
  const listed = await h.collect(client(target).models.list());
  holds(target.model(), listed.map((model) => model.id));
  same((await client(target).models.retrieve(target.model())).id, target.model());
});

export const ownStatus = (fault, status, target) => {
  // Mistral's own status, which OpenAI's clients know too.
  return target.provider === "mistral" && fault === "bad-request" ? 422 : status;
};

declare("typed_errors", (target) =>
  h.together(
    h.told(target, ownStatus).flatMap(([fault, status]) =>
      h.MODES.map((mode) => [
        `${fault} ${mode}`,
        async () => {
          const { model, text } = target.fault(CLIENT, "told", mode, fault);
          const error = await raises(
            kindOf(OpenAI, status),
            () => chat(target, text, { model, stream: mode === "stream" }),
            status,
          );
          if (fault.startsWith("rate-limited")) {
            const seconds = Number(error.headers.get("retry-after"));
            assert.ok(seconds >= 28 && seconds <= 30, `${seconds}`);
          }
          assert.ok(error.requestID, "no request id");
        },
      ]),
    ),
  ),
);

declare("wrong_key", async (target) => {
  const wrong = client(target, { apiKey: "sk-wrong-0123456789" });
  const ask = () => wrong.chat.completions.create({ model: target.model(), messages: said("x") });
  await raises(OpenAI.AuthenticationError, ask, 401);
});

declare("retry_after", async (target) => {
  const { model, text } = target.fault(CLIENT, "patient", "plain", "rate-limited-retry-after=3");
  const patient = client(target, { maxRetries: 1 });
  const { seconds } = await h.timed(() =>
    raises(OpenAI.RateLimitError, () => patient.chat.completions.create({ model, messages: said(text) }), 429),
  );
  assert.ok(seconds >= 2.8, `waited ${seconds} s`);
});

declare("timeout", async (target) => {
  const hasty = client(target, { timeout: 700 });
  const messages = said("[[sim: fault=hang-before-headers]]");
  await raises(OpenAI.APIConnectionTimeoutError, () =>
    hasty.chat.completions.create({ model: target.model(), messages }),
  );
});

declare("broken_streams", h.BROKEN_STRAIGHT, (target) =>
  h.together(
    h.BROKEN.map((fault) => [
      fault,
      () => {
        const { model, text } = target.fault(CLIENT, "broken", "stream", fault);
        return raises(OpenAI.APIError, async () => h.collect(await chat(target, text, { model, stream: true })));
      },
    ]),
  ),
);

declare("disconnect", h.NOBODY_BETWEEN, (target) =>
  h.leaves(target, async (model, text) => {
    const stream = await chat(target, text, { model, stream: true });
    for await (const chunk of stream) {
      if (chunk.choices[0]?.delta.content) break;
    }
    stream.controller.abort();
    return Date.now();
  }),
);
