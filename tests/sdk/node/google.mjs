// The official Google client for JavaScript: what an application of it relies on.

import assert from "node:assert/strict";

import { ApiError, GoogleGenAI } from "@google/genai";

import * as h from "./harness.mjs";
import { holds, none, raises, same } from "./harness.mjs";

const CLIENT = "google-node";
const declare = h.clientOf(CLIENT, "gemini");

// The version is the client's own choice, as it is in applications.
const client = (target, more = {}, apiKey = target.key) =>
  new GoogleGenAI({ apiKey, httpOptions: { baseUrl: target.base, timeout: 40_000, ...more } });

const request = (target, contents, config, model) => ({ model: model ?? target.model(), contents, config });
const ask = (target, contents, config, model) =>
  client(target).models.generateContent(request(target, contents, config, model));
const streamed = async (target, contents, config, model) =>
  h.collect(await client(target).models.generateContentStream(request(target, contents, config, model)));

const tools = (mode, allowedFunctionNames) => ({
  tools: [
    {
      functionDeclarations: [
        { name: "get_weather", description: "Weather", parametersJsonSchema: h.WEATHER },
        { name: "get_time", description: "Time", parametersJsonSchema: h.CLOCK },
      ],
    },
  ],
  ...(mode && { toolConfig: { functionCallingConfig: { mode, allowedFunctionNames } } }),
});
const textOf = (chunks) => chunks.map((chunk) => chunk.text ?? "").join("");
const partsOf = (answers) => answers.flatMap((answer) => answer.candidates?.[0]?.content?.parts ?? []);
const end = (answer) => answer.candidates[0].finishReason;

declare("plain", async (target) => {
  const answer = await ask(target, "Hello there", { systemInstruction: "Be brief" });
  holds('"Hello there"', answer.text);
  holds('"Be brief"', answer.text);
  same(end(answer), "STOP");
});

declare("usage", async (target) => {
  const { usageMetadata: usage } = await ask(target, "Hello there");
  const parts = usage.promptTokenCount + usage.candidatesTokenCount + (usage.thoughtsTokenCount ?? 0);
  same(usage.totalTokenCount, parts);
});

declare("stream", async (target) => {
  const chunks = await streamed(target, "[[sim: unicode]]");
  h.checkUnicode(textOf(chunks));
  assert.ok(chunks.length > 5, "the answer came in one piece");
  same(end(chunks.at(-1)), "STOP");
  assert.ok(chunks.at(-1).usageMetadata.candidatesTokenCount > 10);
});

declare("chat", async (target) => {
  const chat = client(target).chats.create({ model: target.model() });
  holds('"Hello there"', (await chat.sendMessage({ message: "Hello there" })).text);
  holds('"And again"', (await chat.sendMessage({ message: "And again" })).text);
  same(chat.getHistory().map((turn) => turn.role), ["user", "model", "user", "model"]);
});

declare("parallel_tool_results", async (target) => {
  for (const how of [async (...given) => [await ask(...given)], streamed]) {
    const question = { role: "user", parts: [{ text: "Use get_weather and get_time" }] };
    const answers = await how(target, [question], tools());
    same(end(answers.at(-1)), "STOP");
    const parts = partsOf(answers).filter((part) => part.functionCall);
    same(parts.map((part) => part.functionCall.name), ["get_weather", "get_time"]);
    h.checkWeather(parts[0].functionCall.args);
    const results = parts.map(({ functionCall: { id, name } }) => ({
      functionResponse: { id, name, response: { result: "fine" } },
    }));
    const turns = [question, { role: "model", parts }, { role: "user", parts: results }];
    holds("get_time returned", (await ask(target, turns, tools())).text);
  }
});

declare("forced_and_forbidden_tools", async (target) => {
  const called = async (...how) =>
    ((await ask(target, "get_weather get_time", tools(...how))).functionCalls ?? []).map((call) => call.name);
  same(await called("NONE"), []);
  same(await called("AUTO"), ["get_weather", "get_time"]);
  same(await called("ANY", ["get_time"]), ["get_time"]);
});

declare("json_schema", async (target) => {
  const config = { responseMimeType: "application/json", responseJsonSchema: h.PERSON };
  h.checkPerson((await ask(target, "Someone", config)).text);
  h.checkPerson(textOf(await streamed(target, "Someone", config)));
});

const seen = async (target, part, words) => holds(words, (await ask(target, [{ text: "What is this?" }, part])).text);

declare("log_probabilities", h.NO_LOG_PROBABILITIES, async (target) => {
  const config = { responseLogprobs: true, logprobs: 2, seed: 1 };
  const answer = await ask(target, "Hi", config);
  const tokens = (candidate) => candidate.logprobsResult?.chosenCandidates?.map((one) => one.token) ?? [];
  same(tokens(answer.candidates[0]).join(""), answer.text);
  same(new Set(answer.candidates[0].logprobsResult.topCandidates.map((step) => step.candidates.length)), new Set([2]));
  const chunks = await streamed(target, "Hi", config);
  same(chunks.flatMap((chunk) => tokens(chunk.candidates[0])), tokens(answer.candidates[0]));
});

declare("image_data", (target) =>
  seen(target, { inlineData: { data: h.PIXEL, mimeType: "image/png" } }, "I received 1 image."),
);

declare("image_url", (target) =>
  h.namedByUrl(target, "image", ["gemini"], (fileUri) =>
    seen(target, { fileData: { fileUri, mimeType: "image/png" } }, "I received 1 image."),
  ),
);

declare("document_url", h.NO_DOCUMENTS, (target) =>
  h.namedByUrl(target, "document", ["gemini"], (fileUri) =>
    seen(target, { fileData: { fileUri, mimeType: "application/pdf" } }, "1 document"),
  ),
);

declare("document", h.NO_DOCUMENTS, (target) =>
  seen(target, { inlineData: { data: h.PDF, mimeType: "application/pdf" } }, "1 document"),
);

const HIDDEN = none("OpenAI keeps its reasoning to itself", "openai");
declare("reasoning", HIDDEN, async (target) => {
  const config = { thinkingConfig: { includeThoughts: true, thinkingBudget: 1024 } };
  const model = target.model(target.thinking);
  for (const answers of [[await ask(target, "Think", config, model)], await streamed(target, "Think", config, model)]) {
    assert.ok(partsOf(answers).some((part) => part.thought && part.text), "no thoughts");
  }
});

const OWN = none("Gemini's own", "openai", "anthropic", "mistral", "bedrock", "cohere");
declare("thought_signatures", OWN, async (target) => {
  const model = target.model("gemini-3.1-pro-preview");
  for (const how of [async (...given) => [await ask(...given)], streamed]) {
    const question = { role: "user", parts: [{ text: "Use get_weather" }] };
    const parts = partsOf(await how(target, [question], tools(), model));
    const call = parts.find((part) => part.functionCall);
    assert.ok(call.thoughtSignature, JSON.stringify(parts));
    const { id, name } = call.functionCall;
    const result = { role: "user", parts: [{ functionResponse: { id, name, response: { result: "fine" } } }] };
    const turns = [question, { role: "model", parts }, result];
    holds("get_weather returned", textOf(await how(target, turns, tools(), model)));
    delete call.thoughtSignature;
    await raises(ApiError, () => how(target, turns, tools(), model), 400);
  }
});

declare("stop", async (target) => {
  const answer = await ask(target, "[[sim: stop]]", { stopSequences: ["END"] });
  same(end(answer), "STOP");
  assert.ok(!answer.text.includes("END"), answer.text);
});

declare("seed", none("has no seed", "anthropic", "bedrock"), async (target) => {
  same((await ask(target, "Hello", { seed: 7 })).text, (await ask(target, "Hello", { seed: 7 })).text);
});

declare("candidates", none("gives one answer", "anthropic", "bedrock", "cohere"), async (target) => {
  const answer = await ask(target, "Hi", { candidateCount: 2 });
  same(answer.candidates.map((candidate) => candidate.index ?? 0), [0, 1]);
});

declare("length", async (target) => {
  same(end(await ask(target, "[[sim: words=400]]", { maxOutputTokens: 60 })), "MAX_TOKENS");
});

declare("long_output", async (target) => {
  const config = { maxOutputTokens: 8000 };
  const plain = (await ask(target, "[[sim: words=3000]]", config)).text;
  const pieces = textOf(await streamed(target, "[[sim: words=3000]]", config));
  for (const text of [plain, pieces]) same(text.split(" ").length, 3000);
});

declare("empty_answer", async (target) => {
  const answer = await ask(target, "[[sim: empty]]");
  same([answer.text ?? "", end(answer)], ["", "STOP"]);
});

declare("refusal", async (target) => {
  // OpenAI, Mistral and Cohere refuse in words and call it a normal end.
  const expected = ["openai", "mistral", "cohere"].includes(target.provider) ? "STOP" : "SAFETY";
  same(end(await ask(target, "[[sim: refuse]]")), expected);
});

declare("counting", none("does not count tokens", "mistral", "cohere"), async (target) => {
  const count = await client(target).models.countTokens({ model: target.model(), contents: "Hello there" });
  same(count.totalTokens, (await ask(target, "Hello there")).usageMetadata.promptTokenCount);
});

declare("embeddings", none("has no embeddings", "anthropic"), async (target) => {
  const answer = await client(target).models.embedContent({
    model: target.model(target.embedding),
    contents: ["one", "two"],
    config: { outputDimensionality: 256 },
  });
  same(answer.embeddings.map((item) => item.values.length), [256, 256]);
});

declare("models", async (target) => {
  const listed = await h.collect(await client(target).models.list());
  holds(`models/${target.model()}`, listed.map((model) => model.name));
});

const statusSeen = (fault, status, target) => {
  // Gemini's own status of a wrong key.
  if (!target.straight) return status;
  return { unauthorized: 400 }[fault] ?? status;
};

declare("typed_errors", (target) =>
  h.together(
    h.told(target, statusSeen).filter(([fault]) => !h.isAnAnswer(target, fault)).flatMap(([fault, status]) =>
      h.MODES.map((mode) => [
        `${fault} ${mode}`,
        () => {
          const { model, text } = target.fault(CLIENT, "told", mode, fault);
          const how = mode === "stream" ? streamed : ask;
          return raises(ApiError, () => how(target, text, undefined, model), status);
        },
      ]),
    ),
  ),
);

declare("wrong_key", async (target) => {
  const wrong = client(target, {}, "sk-wrong-0123456789");
  // Gemini's own status of a wrong key is 400, and the gateway's is that of every other protocol.
  await raises(ApiError, () => wrong.models.generateContent(request(target, "x")), target.straight ? 400 : 401);
});

declare("timeout", async (target) => {
  const hang = request(target, "[[sim: fault=hang-before-headers]]");
  const error = await raises(Error, () => client(target, { timeout: 700 }).models.generateContent(hang));
  assert.match(`${error.name} ${error.message}`, /abort|timed? ?out/i);
});

declare("broken_streams", h.BROKEN_STRAIGHT, (target) =>
  h.together(
    h.BROKEN.map((fault) => [
      fault,
      () => {
        const { model, text } = target.fault(CLIENT, "broken", "stream", fault);
        return raises(Error, () => streamed(target, text, undefined, model));
      },
    ]),
  ),
);

declare("disconnect", h.NOBODY_BETWEEN, (target) =>
  h.leaves(target, async (model, text) => {
    const controller = new AbortController();
    const config = { abortSignal: controller.signal };
    const stream = await client(target).models.generateContentStream(request(target, text, config, model));
    for await (const chunk of stream) {
      if (chunk.text) break;
    }
    controller.abort();
    return Date.now();
  }),
);
