// Vercel's AI SDK with its OpenAI, Anthropic, Google and OpenAI-compatible providers.
//
// One table of cases for all of them: the SDK hides the protocols, so what differs between its providers is what they ask of us.

import assert from "node:assert/strict";

import { createAnthropic } from "@ai-sdk/anthropic";
import { createGoogle } from "@ai-sdk/google";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { APICallError, Output, embedMany, generateText, isStepCount, jsonSchema, streamText, tool } from "ai";

import * as h from "./harness.mjs";
import { holds, none, raises, same } from "./harness.mjs";

globalThis.AI_SDK_LOG_WARNINGS = false;

const connect = (make, path) => (target, more) => make({ baseURL: target.base + path, apiKey: target.key, ...more });
const openai = connect(createOpenAI, "/v1");
const anthropic = connect(createAnthropic, "/v1");
const google = connect(createGoogle, "/v1beta");
const compatible = connect(
  (settings) =>
    createOpenAICompatible({ name: "gateway", includeUsage: true, supportsStructuredOutputs: true, ...settings }),
  "/v1",
);

// What each provider of the SDK is called here, whose dialect it speaks and how it names models.
const FLAVORS = [
  {
    client: "vercel-responses",
    dialect: "openai",
    model: (target, name) => openai(target).responses(name),
    embedding: (target, name) => openai(target).embeddingModel(name),
    thinking: { openai: { reasoningEffort: "high", reasoningSummary: "auto", forceReasoning: true } },
  },
  {
    client: "vercel-chat",
    dialect: "openai",
    model: (target, name) => openai(target).chat(name),
    thinking: { openai: { reasoningEffort: "high", forceReasoning: true } },
  },
  {
    client: "vercel-anthropic",
    dialect: "anthropic",
    model: (target, name) => anthropic(target)(name),
    thinking: { anthropic: { thinking: { type: "enabled", budgetTokens: 1024 } } },
  },
  {
    client: "vercel-google",
    dialect: "gemini",
    model: (target, name) => google(target)(name),
    embedding: (target, name) => google(target).embeddingModel(name),
    thinking: { google: { thinkingConfig: { includeThoughts: true, thinkingBudget: 1024 } } },
  },
  {
    client: "vercel-compatible",
    dialect: "openai",
    model: (target, name) => compatible(target).chatModel(name),
    embedding: (target, name) => compatible(target).embeddingModel(name),
    thinking: { gateway: { reasoningEffort: "high" } },
  },
];

const called = (result) => result.toolCalls.map((call) => call.toolName);

/// Everything a stream says; what it says of an error is thrown, as the SDK itself throws nothing.
async function streamed(settings) {
  const result = streamText({ ...settings, onError: () => {} });
  const parts = [];
  for await (const part of result.stream) {
    if (part.type === "error") throw part.error;
    parts.push(part);
  }
  const [text, finishReason, usage, toolCalls, steps] = await Promise.all(
    ["text", "finishReason", "usage", "toolCalls", "steps"].map((member) => result[member]),
  );
  return { text, finishReason, usage, toolCalls, steps, parts };
}

for (const flavor of FLAVORS) {
  const declare = h.clientOf(flavor.client, flavor.dialect);
  const settings = (target, prompt, more = {}) => ({
    model: flavor.model(target, target.model()),
    maxRetries: 0,
    ...(more.messages ? {} : { prompt }),
    ...more,
  });
  const ask = (target, prompt, more) => generateText(settings(target, prompt, more));
  const stream = (target, prompt, more) => streamed(settings(target, prompt, more));
  const tools = (execute) => ({
    get_weather: tool({ description: "Weather", inputSchema: jsonSchema(h.WEATHER), execute }),
    get_time: tool({ description: "Time", inputSchema: jsonSchema(h.CLOCK), execute }),
  });
  const isOpenAi = flavor.dialect === "openai";
  const isGoogle = flavor.dialect === "gemini";

  declare("plain", async (target) => {
    const answer = await ask(target, "Hello there");
    holds('"Hello there"', answer.text);
    same(answer.finishReason, "stop");
  });

  declare("stream", async (target) => {
    const answer = await stream(target, "[[sim: unicode]]");
    h.checkUnicode(answer.text);
    same(answer.finishReason, "stop");
    assert.ok(answer.parts.filter((part) => part.type === "text-delta").length > 5, "the answer came in one piece");
  });

  declare("usage", async (target) => {
    const plain = (await ask(target, "Hello there")).usage;
    const { usage } = await stream(target, "Hello there");
    assert.ok(plain.inputTokens > 0 && plain.outputTokens > 0, JSON.stringify(plain));
    same([usage.inputTokens, usage.outputTokens], [plain.inputTokens, plain.outputTokens]);
  });

  declare("instructions", async (target) => {
    holds('"Be brief"', (await ask(target, "Hello", { instructions: "Be brief" })).text);
  });

  declare("multi_turn", async (target) => {
    const messages = [{ role: "user", content: "Hello there" }];
    const first = await ask(target, "", { messages });
    messages.push(...first.responseMessages, { role: "user", content: "And again" });
    holds('"And again"', (await ask(target, "", { messages })).text);
  });

  declare("tool_loop", async (target) => {
    for (const how of [ask, stream]) {
      const given = [];
      const execute = (input) => {
        given.push(Object.keys(input).sort());
        return "fine";
      };
      const more = { tools: tools(execute), stopWhen: isStepCount(3) };
      const answer = await how(target, "Use get_weather and get_time", more);
      same(given, [["city", "unit"], ["zone"]]);
      same([answer.steps.length, answer.finishReason], [2, "stop"]);
      same(called(answer.steps[0]), ["get_weather", "get_time"]);
      holds("get_time returned", answer.text);
    }
  });

  declare("streamed_tool_input", async (target) => {
    const { parts } = await stream(target, "Use get_weather", { tools: tools() });
    const input = parts.filter((part) => part.type === "tool-input-delta").map((part) => part.delta ?? part.inputTextDelta);
    h.checkWeather(input.join(""));
  });

  declare("forced_and_forbidden_tools", async (target) => {
    const chosen = async (toolChoice) =>
      called(await ask(target, "get_weather get_time", { tools: tools(), toolChoice }));
    same(await chosen("none"), []);
    same(await chosen("auto"), ["get_weather", "get_time"]);
    same((await chosen("required"))[0], "get_weather");
    same(await chosen({ type: "tool", toolName: "get_time" }), ["get_time"]);
  });

  declare("json_schema", async (target) => {
    const output = Output.object({ schema: jsonSchema(h.PERSON) });
    h.checkPerson((await ask(target, "Someone", { output })).output);
    h.checkPerson((await stream(target, "Someone", { output })).text);
  });

  const seen = async (target, part, words, more = {}) => {
    const content = [{ type: "text", text: "What is this?" }, part];
    holds(words, (await ask(target, "", { messages: [{ role: "user", content }], ...more })).text);
  };

  declare("image_data", (target) =>
    seen(target, { type: "file", data: Buffer.from(h.PIXEL, "base64"), mediaType: "image/png" }, "1 image"),
  );

  // The SDK would download some of these itself, but never from this machine; an application may tell it to hand URLs on.
  declare("image_url", (target) =>
    h.namedByUrl(target, "image", isGoogle ? ["gemini"] : [], (url) =>
      seen(target, { type: "file", data: new URL(url), mediaType: "image/png" }, "1 image", {
        experimental_download: async (files) => files.map(() => null),
      }),
    ),
  );

  declare("document", h.NO_DOCUMENTS, (target) => {
    const data = Buffer.from(h.PDF, "base64");
    return seen(target, { type: "file", data, mediaType: "application/pdf", filename: "report.pdf" }, "1 document");
  });

  const HIDDEN = {
    ...none("OpenAI keeps its reasoning to itself", "openai", ...(isOpenAi ? ["straight"] : [])),
    ...(flavor.client === "vercel-responses" && { openai: undefined, straight: undefined }),
  };
  declare("reasoning_over_two_turns", HIDDEN, async (target) => {
    const model = flavor.model(target, target.model(target.thinking));
    const more = { model, providerOptions: flavor.thinking, tools: tools(() => "fine"), stopWhen: isStepCount(3) };
    for (const how of [ask, stream]) {
      const answer = await how(target, "Use get_weather", more);
      same(answer.steps.length, 2);
      holds("get_weather returned", answer.text);
    }
  });

  const everywhere = ["straight", "openai", "anthropic", "gemini", "mistral", "bedrock", "cohere"];
  const SIGNED = none("Gemini's own", ...everywhere.filter((name) => name !== "gemini"));
  if (flavor.dialect === "gemini") delete SIGNED.straight;
  declare("thought_signatures", SIGNED, async (target) => {
    const model = flavor.model(target, target.model("gemini-3.1-pro-preview"));
    for (const how of [ask, stream]) {
      const more = { model, tools: tools(() => "fine"), stopWhen: isStepCount(3) };
      holds("get_time returned", (await how(target, "Use get_weather and get_time", more)).text);
    }
  });

  declare("stop", none("the responses API has no stop sequences", ...(flavor.client === "vercel-responses" ? everywhere : [])), async (target) => {
    const answer = await ask(target, "Say it [[sim: stop]]", { stopSequences: ["END"] });
    same(answer.finishReason, "stop");
    assert.ok(!answer.text.includes("END"), answer.text);
  });

  declare("length", async (target) => {
    for (const how of [ask, stream]) {
      same((await how(target, "[[sim: words=400]]", { maxOutputTokens: 60 })).finishReason, "length");
    }
  });

  declare("long_output", async (target) => {
    const more = { maxOutputTokens: 8000 };
    for (const how of [ask, stream]) same((await how(target, "[[sim: words=3000]]", more)).text.split(" ").length, 3000);
  });

  declare("empty_answer", async (target) => {
    const answer = await ask(target, "[[sim: empty]]");
    same([answer.text, answer.finishReason], ["", "stop"]);
  });

  if (flavor.embedding) {
    declare("embeddings", none("has no embeddings", "anthropic"), async (target) => {
      const model = flavor.embedding(target, target.model(target.embedding));
      const { embeddings } = await embedMany({ model, values: ["one text", "another text"], maxRetries: 0 });
      same(embeddings.length, 2);
      assert.ok(embeddings[0].length > 100 && embeddings[0].some((value) => value !== embeddings[1][0]));
    });
  }

  const statusSeen = (fault, status, target) => {
    if (isOpenAi && target.provider === "mistral" && fault === "bad-request") return 422;
    if (flavor.dialect === "anthropic" && !target.straight && status === 503) return 529;
    const own = {
      anthropic: { "quota-exhausted": 402 },
      gemini: { unauthorized: 400 },
      openai: {},
    };
    return (target.straight && own[flavor.dialect][fault]) || status;
  };
  const status = (error) => error.statusCode;

  declare("typed_errors", (target) =>
    h.together(
      h.told(target, statusSeen).filter(([fault]) => !h.isAnAnswer(target, fault)).flatMap(([fault, expected]) =>
        h.MODES.map((mode) => [
          `${fault} ${mode}`,
          () => {
            const { model, text } = target.fault(flavor.client, "told", mode, fault);
            const how = mode === "stream" ? stream : ask;
            return raises(APICallError, () => how(target, text, { model: flavor.model(target, model) }), expected, status);
          },
        ]),
      ),
    ),
  );

  const IN_BODY = { straight: "Gemini says in the body when to come back, where the SDK does not look" };
  declare("retry_after", flavor.dialect === "gemini" ? IN_BODY : {}, async (target) => {
    const { model, text } = target.fault(flavor.client, "patient", "plain", "rate-limited-retry-after=3");
    const { seconds, error } = await h.timed(() =>
      raises(Error, () => ask(target, text, { model: flavor.model(target, model), maxRetries: 1 })),
    );
    same(error.lastError?.statusCode ?? error.statusCode, 429);
    assert.ok(seconds >= 2.8, `waited ${seconds} s`);
  });

  declare("timeout", async (target) => {
    const hang = "[[sim: fault=hang-before-headers]]";
    const error = await raises(undefined, () => ask(target, hang, { abortSignal: AbortSignal.timeout(700) }));
    assert.match(`${error.name} ${error.message}`, /abort|timed? ?out/i);
  });

  declare("broken_streams", h.BROKEN_STRAIGHT, (target) =>
    h.together(
      h.BROKEN.map((fault) => [
        fault,
        () => {
          const { model, text } = target.fault(flavor.client, "broken", "stream", fault);
          return raises(undefined, async () => {
            const answer = await stream(target, text, { model: flavor.model(target, model) });
            return answer.finishReason;
          });
        },
      ]),
    ),
  );

  declare("disconnect", h.NOBODY_BETWEEN, (target) =>
    h.leaves(target, async (model, text) => {
      const controller = new AbortController();
      const more = { model: flavor.model(target, model), abortSignal: controller.signal };
      const result = streamText({ ...settings(target, text, more), onError: () => {} });
      for await (const part of result.stream) {
        if (part.type === "text-delta") break;
      }
      controller.abort();
      return Date.now();
    }),
  );
}
