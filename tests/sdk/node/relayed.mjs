// The official OpenAI client for JavaScript at the endpoints beside conversations: texts continued and judged, pictures, sound.

import assert from "node:assert/strict";

import OpenAI, { toFile } from "openai";

import * as h from "./harness.mjs";
import { holds, none, raises, same } from "./harness.mjs";
import { client } from "./openai.mjs";

const declare = h.clientOf("openai-node", "openai");

const ONE_FORM = none(
  "the endpoint exists in OpenAI's form only, which this provider does not have",
  ...["anthropic", "gemini", "mistral", "bedrock", "cohere"],
);
const picture = () => toFile(Buffer.from("\x89PNG\r\n\x1a\nnot really", "latin1"), "a.png", { type: "image/png" });
const sound = () => toFile(Buffer.alloc(2048), "a.mp3", { type: "audio/mpeg" });

const continued = async (target, model) => {
  const more = { model, prompt: "Once upon a time", max_tokens: 400 };
  const { data: answer, response } = await client(target).completions.create(more).withResponse();
  same([answer.object, answer.choices[0].index], ["text_completion", 0]);
  assert.ok(answer.choices[0].text && answer.usage.completion_tokens > 0, JSON.stringify(answer));
  const chunks = await h.collect(await client(target).completions.create({ ...more, stream: true }));
  same(chunks.map((chunk) => chunk.choices[0]?.text ?? "").join(""), answer.choices[0].text);
  same(chunks.filter((chunk) => chunk.usage), []);
  same(chunks.at(-1).choices[0].finish_reason, "stop");
  return response;
};

declare("completions", ONE_FORM, (target) => continued(target, target.model("gpt-3.5-turbo-instruct")));

const NOBODY = { straight: "the provider itself has no such models at this endpoint" };
declare("completions_by_conversation", NOBODY, async (target) => {
  // Where the provider continues no texts, its conversations stand in.
  const response = await continued(target, target.model());
  holds("completions emulated", response.headers.get("x-trunkline-warnings"));
});

declare("moderations", ONE_FORM, async (target) => {
  const model = target.model("omni-moderation-latest");
  const answer = await client(target).moderations.create({ model, input: ["hello", "I will kill it"] });
  same(answer.results.map((result) => result.flagged), [false, true]);
  same(answer.results[1].categories.violence, true);
});

declare("images", ONE_FORM, async (target) => {
  const { images } = client(target);
  const asked = { model: target.model("gpt-image-2"), prompt: "a cat" };
  const answer = await images.generate({ ...asked, n: 2 });
  same(answer.data.length, 2);
  same(answer.usage.input_tokens_details.image_tokens, 0);
  assert.ok(answer.data[0].b64_json);
  const events = await h.collect(await images.generate({ ...asked, stream: true, partial_images: 1 }));
  same(events.map((event) => event.type), ["image_generation.partial_image", "image_generation.completed"]);
  assert.ok(events.at(-1).usage.output_tokens > 0);
});

declare("image_edits", ONE_FORM, async (target) => {
  const { images } = client(target);
  const asked = { model: target.model("gpt-image-2"), prompt: "brighter" };
  const edited = await images.edit({ ...asked, image: [await picture(), await picture()] });
  same(edited.usage.input_tokens_details.image_tokens, 2 * 272);
  const varied = await images.createVariation({ model: asked.model, image: await picture(), n: 2 });
  same(varied.data.length, 2);
  const events = await h.collect(await images.edit({ ...asked, image: await picture(), stream: true }));
  same(events.at(-1).type, "image_edit.completed");
});

declare("transcriptions", ONE_FORM, async (target) => {
  const { transcriptions, translations } = client(target).audio;
  const hear = async (name, more = {}) =>
    transcriptions.create({ model: target.model(name), file: await sound(), ...more });
  const heard = await hear("gpt-4o-transcribe");
  holds("quick brown fox", heard.text);
  same(heard.usage.type, "tokens");
  const more = { response_format: "verbose_json", timestamp_granularities: ["segment"] };
  const whisper = await hear("whisper-1", more);
  same([Number(whisper.duration), whisper.segments.length], [2, 1]);
  for (const [response_format, sign] of [
    ["text", "quick"],
    ["srt", "-->"],
    ["vtt", "WEBVTT"],
  ]) {
    const text = await hear("whisper-1", { response_format });
    same(typeof text, "string");
    holds(sign, text);
  }
  const events = await h.collect(await hear("gpt-4o-transcribe", { stream: true }));
  same(events.at(-1).type, "transcript.text.done");
  same(events.slice(0, -1).map((event) => event.delta).join(""), events.at(-1).text);
  holds("fox", (await translations.create({ model: target.model("whisper-1"), file: await sound() })).text);
});

declare("speech", ONE_FORM, async (target) => {
  const spoken = { model: target.model("gpt-4o-mini-tts"), voice: "alloy", input: "Hello there, you" };
  const speak = (more = {}) => client(target).audio.speech.create({ ...spoken, ...more });
  const whole = Buffer.from(await (await speak()).arrayBuffer());
  same(whole.length, 16 * 64);
  const wav = await speak({ response_format: "wav" });
  same(wav.headers.get("content-type"), "audio/wav");
  let length = 0;
  for await (const piece of wav.body) length += piece.length;
  same(length, whole.length);
  const lines = (await (await speak({ stream_format: "sse" })).text()).split("\n").filter((line) => line.startsWith("data: "));
  same(JSON.parse(lines.at(-1).slice(6)).type, "speech.audio.done");
});

declare("relayed_errors", ONE_FORM, (target) => {
  const asked = { model: target.model("gpt-image-2"), prompt: "a", n: 99 };
  return raises(OpenAI.BadRequestError, () => client(target).images.generate(asked), 400);
});

declare("cut_sound_raises", { ...ONE_FORM, ...h.NOBODY_BETWEEN }, async (target) => {
  const input = "[[sim: fault=cut-after-first-token]]".repeat(20);
  const asked = { model: target.model("tts-1"), voice: "alloy", input };
  // Which error depends on the runtime's own transport.
  await raises(Error, async () => (await client(target).audio.speech.create(asked)).arrayBuffer());
});
