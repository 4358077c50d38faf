"""The official Google client through the gateway: what an application of it relies on."""

import base64

from google import genai
from google.genai import types

from harness import CLOCK, PERSON, PIXEL, WEATHER, Place, case, check_person, check_unicode, check_weather, holds
from harness import kept, same
from openai_cases import NO_LOG_PROBABILITIES
from processes import KEY


@kept
def client(key=KEY):
    return genai.Client(api_key=key, http_options={"base_url": Place.gateway, "api_version": "v1beta", "timeout": 40000})


def ask(target, contents, model=None, **config):
    name = model or target.model(target.chat)
    return client().models.generate_content(model=name, contents=contents, config=config or None)


def streamed(target, contents, model=None, **config):
    name = model or target.model(target.chat)
    return list(client().models.generate_content_stream(model=name, contents=contents, config=config or None))


def tools():
    declarations = [
        {"name": "get_weather", "description": "Weather", "parameters_json_schema": WEATHER},
        {"name": "get_time", "description": "Time", "parameters_json_schema": CLOCK},
    ]
    return {"tools": [{"function_declarations": declarations}], "automatic_function_calling": {"disable": True}}


def text_of(chunks):
    return "".join(chunk.text or "" for chunk in chunks)


@case("gemini")
def gemini_content(target):
    answer = ask(target, "Hello there", system_instruction="Be brief")
    holds('"Hello there"', answer.text)
    holds('"Be brief"', answer.text)
    same(answer.candidates[0].finish_reason.name, "STOP")
    usage = answer.usage_metadata
    total = usage.prompt_token_count + usage.candidates_token_count + (usage.thoughts_token_count or 0)
    same(usage.total_token_count, total)


@case("gemini", anthropic="Anthropic gives one answer", bedrock="one answer per request", cohere="one answer per request")
def gemini_candidates(target):
    answer = ask(target, "Hi", candidate_count=2)
    same([candidate.index or 0 for candidate in answer.candidates], [0, 1])
    ends = {}
    for chunk in streamed(target, "Hi", candidate_count=2):
        for candidate in chunk.candidates:
            if candidate.finish_reason:
                ends[candidate.index or 0] = candidate.finish_reason.name
    same(ends, {0: "STOP", 1: "STOP"})


@case("gemini")
def gemini_stream(target):
    chunks = streamed(target, "[[sim: unicode]]")
    check_unicode(text_of(chunks))
    assert len(chunks) > 5, "the answer came in one piece"
    same(chunks[-1].candidates[0].finish_reason.name, "STOP")
    assert chunks[-1].usage_metadata.candidates_token_count > 10, chunks[-1]


@case("gemini")
def gemini_tools(target):
    for how in (ask, streamed):
        question = types.Content(role="user", parts=[types.Part(text="Use get_weather and get_time")])
        answers = how(target, [question], **tools())
        answers = answers if isinstance(answers, list) else [answers]
        same(answers[-1].candidates[0].finish_reason.name, "STOP")
        parts = [part for answer in answers for part in answer.candidates[0].content.parts or [] if part.function_call]
        same([part.function_call.name for part in parts], ["get_weather", "get_time"])
        check_weather(parts[0].function_call.args)
        results = [
            types.Part(
                function_response=types.FunctionResponse(
                    id=part.function_call.id, name=part.function_call.name, response={"result": "fine"}
                )
            )
            for part in parts
        ]
        turns = [question, types.Content(role="model", parts=parts), types.Content(role="user", parts=results)]
        holds("get_time returned", ask(target, turns, **tools()).text)


@case("gemini", openai="Gemini's own", anthropic="Gemini's own", mistral="Gemini's own", cohere="Gemini's own", bedrock="Gemini's own")
def gemini_thought_signatures(target):
    model = target.model("gemini-3.1-pro-preview")
    question = types.Content(role="user", parts=[types.Part(text="Use get_weather")])
    parts = ask(target, [question], model=model, **tools()).candidates[0].content.parts
    call = next(part for part in parts if part.function_call)
    assert call.thought_signature, parts
    response = types.FunctionResponse(id=call.function_call.id, name=call.function_call.name, response={"result": "fine"})
    result = types.Content(role="user", parts=[types.Part(function_response=response)])
    answer = ask(target, [question, types.Content(role="model", parts=parts), result], model=model, **tools())
    holds("get_weather returned", answer.text)


@case("gemini")
def gemini_forced_tool(target):
    config = tools()
    config["tool_config"] = {"function_calling_config": {"mode": "ANY", "allowed_function_names": ["get_time"]}}
    same([call.name for call in ask(target, "get_weather", **config).function_calls], ["get_time"])


@case("gemini")
def gemini_json_schema(target):
    answer = ask(target, "Someone", response_mime_type="application/json", response_json_schema=PERSON)
    check_person(answer.text)


@case("gemini")
def gemini_image(target):
    image = types.Part.from_bytes(data=base64.b64decode(PIXEL), mime_type="image/png")
    holds("I received 1 image.", ask(target, ["What is this?", image]).text)


@case("gemini")
def gemini_limits(target):
    answer = ask(target, "[[sim: words=400]]", max_output_tokens=60)
    same(answer.candidates[0].finish_reason.name, "MAX_TOKENS")
    answer = ask(target, "[[sim: stop]]", stop_sequences=["END"])
    same(answer.candidates[0].finish_reason.name, "STOP")
    assert "END" not in answer.text


@case("gemini", **NO_LOG_PROBABILITIES)
def gemini_log_probabilities(target):
    more = {"response_logprobs": True, "logprobs": 2, "seed": 1}
    answer = ask(target, "Hi", **more)
    result = answer.candidates[0].logprobs_result
    same("".join(token.token for token in result.chosen_candidates), answer.text)
    same({len(step.candidates) for step in result.top_candidates}, {2})
    mean = sum(token.log_probability for token in result.chosen_candidates) / len(result.chosen_candidates)
    assert abs(answer.candidates[0].avg_logprobs - mean) < 1e-6, answer
    chunks = [chunk.candidates[0] for chunk in streamed(target, "Hi", **more)]
    seen = [token for chunk in chunks if chunk.logprobs_result for token in chunk.logprobs_result.chosen_candidates]
    same([token.token for token in seen], [token.token for token in result.chosen_candidates])


@case("gemini")
def gemini_refusal(target):
    answer = ask(target, "[[sim: refuse]]")
    # OpenAI, Mistral and Cohere refuse in words and calls it a normal end.
    expected = "STOP" if target.provider in ("openai", "mistral", "cohere") else "SAFETY"
    same(answer.candidates[0].finish_reason.name, expected)


@case("gemini", anthropic="the provider has no embeddings")
def gemini_embeddings(target):
    answer = client().models.embed_content(
        model=target.model(target.embedding), contents=["one", "two"], config={"output_dimensionality": 256}
    )
    same([len(item.values) for item in answer.embeddings], [256, 256])


@case("gemini")
def gemini_models(target):
    name = "models/" + target.model(target.chat)
    holds(name, {model.name for model in client().models.list()})
