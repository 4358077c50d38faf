"""The official OpenAI client through the gateway: what an application of it relies on."""

import json

import openai
import pydantic

from harness import CLOCK, PERSON, PIXEL, WEATHER, Place, case, check_person, check_unicode, check_weather, holds
from harness import kept, same
from processes import KEY

NO_EMBEDDINGS = "the provider has no embeddings"


@kept
def client(key=KEY):
    # Faults can take seconds; a client that gave up first would hide what the gateway does.
    return openai.OpenAI(base_url=Place.gateway + "/v1", api_key=key, max_retries=0, timeout=40)


def said(content):
    return [{"role": "user", "content": content}]


def chat(target, content, **more):
    more.setdefault("model", target.model(target.chat))
    more.setdefault("messages", said(content))
    return client().chat.completions.create(**more)


def tools():
    functions = [("get_weather", WEATHER), ("get_time", CLOCK)]
    return [
        {"type": "function", "function": {"name": name, "description": f"Does {name}", "parameters": schema}}
        for name, schema in functions
    ]


def text_of(chunks):
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


def names(message):
    return [call.function.name for call in message.tool_calls or []]


@case("openai")
def openai_chat(target):
    answer = chat(target, "Hello there")
    choice = answer.choices[0]
    holds('"Hello there"', choice.message.content)
    same((choice.finish_reason, choice.index, choice.message.role), ("stop", 0, "assistant"))
    same((answer.object, len(answer.choices)), ("chat.completion", 1))
    assert answer.id and answer.created > 1_600_000_000, answer
    usage = answer.usage
    assert usage.prompt_tokens > 0 and usage.completion_tokens > 0, usage
    same(usage.total_tokens, usage.prompt_tokens + usage.completion_tokens)


@case("openai")
def openai_stream(target):
    chunks = list(chat(target, "Hello there", stream=True))
    holds('"Hello there"', text_of(chunks))
    same(chunks[0].choices[0].delta.role, "assistant")
    assert len(chunks) > 5, "the answer came in one piece"
    same(len({chunk.id for chunk in chunks}), 1)
    same({chunk.object for chunk in chunks}, {"chat.completion.chunk"})
    reasons = [choice.finish_reason for chunk in chunks for choice in chunk.choices if choice.finish_reason]
    same(reasons, ["stop"])
    same([chunk for chunk in chunks if chunk.usage], [])


@case("openai")
def openai_stream_usage(target):
    plain = chat(target, "Hello there").usage
    chunks = list(chat(target, "Hello there", stream=True, stream_options={"include_usage": True}))
    same(chunks[-1].choices, [])
    usage = chunks[-1].usage
    same((usage.prompt_tokens, usage.completion_tokens), (plain.prompt_tokens, plain.completion_tokens))
    same([chunk.usage for chunk in chunks[:-1]], [None] * (len(chunks) - 1))


@case("openai")
def openai_stream_helper(target):
    with client().chat.completions.stream(
        model=target.model(target.chat), messages=said("get_weather and get_time please"), tools=tools()
    ) as stream:
        message = stream.get_final_completion().choices[0].message
    same(names(message), ["get_weather", "get_time"])
    holds("zone", json.loads(message.tool_calls[1].function.arguments))


@case("openai")
def openai_instructions(target):
    for role in ("system", "developer"):
        messages = [{"role": role, "content": "Be brief"}, *said("Hello")]
        holds('"Be brief"', chat(target, "", messages=messages).choices[0].message.content)


@case("openai")
def openai_multi_turn(target):
    first = said("Hello there")
    answer = chat(target, "", messages=first)
    messages = first + [answer.choices[0].message] + said("And again")
    again = chat(target, "", messages=messages)
    holds('"And again"', again.choices[0].message.content)
    assert again.usage.prompt_tokens > answer.usage.prompt_tokens + 5, again.usage


@case("openai")
def openai_text_parts(target):
    parts = [{"type": "text", "text": "Hello"}, {"type": "text", "text": "there"}]
    content = chat(target, parts).choices[0].message.content
    assert "Hello" in content and "there" in content, content


@case("openai")
def openai_tool(target):
    answer = chat(target, "Use get_weather", tools=tools())
    choice = answer.choices[0]
    same((choice.finish_reason, names(choice.message)), ("tool_calls", ["get_weather"]))
    check_weather(json.loads(choice.message.tool_calls[0].function.arguments))
    assert choice.message.tool_calls[0].id, choice


@case("openai")
def openai_tool_results(target):
    messages = said("Call get_weather and get_time for Oslo")
    message = chat(target, "", messages=messages, tools=tools()).choices[0].message
    same(names(message), ["get_weather", "get_time"])
    same(len({call.id for call in message.tool_calls}), 2)
    results = [
        {"role": "tool", "tool_call_id": call.id, "content": f"fine {number}"}
        for number, call in enumerate(message.tool_calls)
    ]
    answer = chat(target, "", messages=messages + [message] + results, tools=tools())
    content = answer.choices[0].message.content
    holds("get_weather returned: fine 0", content.replace('{"result":"fine 0"}', "fine 0"))
    holds("get_time returned: fine 1", content.replace('{"result":"fine 1"}', "fine 1"))
    same(answer.choices[0].finish_reason, "stop")


@case("openai")
def openai_streamed_tools(target):
    chunks = list(chat(target, "get_weather and get_time", tools=tools(), stream=True))
    calls = {}
    for chunk in chunks:
        for delta in chunk.choices[0].delta.tool_calls or []:
            call = calls.setdefault(delta.index, {"ids": [], "names": [], "arguments": ""})
            call["ids"] += [delta.id] if delta.id else []
            call["names"] += [delta.function.name] if delta.function and delta.function.name else []
            call["arguments"] += (delta.function.arguments or "") if delta.function else ""
    same(sorted(calls), [0, 1])
    same([call["names"] for call in calls.values()], [["get_weather"], ["get_time"]])
    same([len(call["ids"]) for call in calls.values()], [1, 1])
    check_weather(json.loads(calls[0]["arguments"]))
    same(chunks[-1].choices[0].finish_reason, "tool_calls")


@case("openai")
def openai_tool_choice(target):
    def called(choice, **more):
        answer = chat(target, "get_weather get_time", tools=tools(), tool_choice=choice, **more)
        return names(answer.choices[0].message)

    same(called("none"), [])
    same(called("auto"), ["get_weather", "get_time"])
    same(called("required")[:1], ["get_weather"])
    same(called({"type": "function", "function": {"name": "get_time"}}), ["get_time"])


@case("openai", gemini="Gemini has no switch for parallel calls", cohere="Cohere has no switch for parallel calls")
def openai_one_tool_at_a_time(target):
    answer = chat(target, "get_weather get_time", tools=tools(), parallel_tool_calls=False)
    same(names(answer.choices[0].message), ["get_weather"])


@case("openai")
def openai_json_schema(target):
    form = {"type": "json_schema", "json_schema": {"name": "person", "schema": PERSON, "strict": True}}
    check_person(chat(target, "Someone", response_format=form).choices[0].message.content)
    check_person(text_of(chat(target, "Someone", response_format=form, stream=True)))


@case("openai")
def openai_parse(target):
    class Event(pydantic.BaseModel):
        name: str
        guests: list[str]

    answer = client().chat.completions.parse(
        model=target.model(target.chat), messages=said("An event"), response_format=Event
    )
    assert isinstance(answer.choices[0].message.parsed, Event), answer


@case(
    "openai",
    anthropic="Anthropic has no mode for JSON without a schema",
    bedrock="Bedrock has no mode for JSON without a schema",
)
def openai_json_object(target):
    answer = chat(target, "As JSON please", response_format={"type": "json_object"})
    assert isinstance(json.loads(answer.choices[0].message.content), dict)


@case("openai")
def openai_image(target):
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + PIXEL}}
    content = [{"type": "text", "text": "What is this?"}, image]
    holds("I received 1 image.", chat(target, content).choices[0].message.content)


@case("openai", mistral="Mistral does not count thoughts apart from the answer", cohere="Cohere does not count thoughts apart from the answer", bedrock="Bedrock does not count reasoning apart")
def openai_reasoning(target):
    answer = chat(target, "Think", model=target.model(target.thinking), reasoning_effort="high")
    usage = answer.usage
    assert usage.completion_tokens_details.reasoning_tokens > 0, usage
    assert usage.completion_tokens_details.reasoning_tokens < usage.completion_tokens, usage
    same(usage.total_tokens, usage.prompt_tokens + usage.completion_tokens)


@case("openai", openai="OpenAI keeps its reasoning to itself", gemini="Gemini 2.5 asks for no signature back")
def openai_reasoning_over_two_turns(target):
    more = {"model": target.model(target.thinking), "reasoning_effort": "high", "tools": tools()}
    messages = said("Use get_weather")
    message = chat(target, "", messages=messages, **more).choices[0].message
    same(names(message), ["get_weather"])
    result = {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "fine"}
    answer = chat(target, "", messages=messages + [message, result], **more)
    holds("returned: fine", answer.choices[0].message.content)


@case("openai", openai="Gemini's own", anthropic="Gemini's own", mistral="Gemini's own", cohere="Gemini's own", bedrock="Gemini's own")
def openai_thought_signatures(target):
    more = {"model": target.model("gemini-3.1-pro-preview"), "tools": tools()}
    messages = said("Use get_weather and get_time")
    message = chat(target, "", messages=messages, **more).choices[0].message
    results = [{"role": "tool", "tool_call_id": call.id, "content": "fine"} for call in message.tool_calls]
    answer = chat(target, "", messages=messages + [message] + results, **more)
    holds("get_time returned", answer.choices[0].message.content)


@case("openai")
def openai_stop(target):
    for stop in ("END", ["END", "FIN"]):
        answer = chat(target, "Say it [[sim: stop]]", stop=stop)
        same(answer.choices[0].finish_reason, "stop")
        assert "END" not in answer.choices[0].message.content, answer


@case("openai")
def openai_length(target):
    for member in ("max_tokens", "max_completion_tokens"):
        # Gemini thinks first, and its limit counts thoughts.
        answer = chat(target, "[[sim: words=400]]", **{member: 60})
        same(answer.choices[0].finish_reason, "length")
        assert answer.usage.completion_tokens <= 60, answer.usage
    chunks = list(chat(target, "[[sim: words=400]]", max_tokens=60, stream=True))
    same(chunks[-1].choices[0].finish_reason, "length")


@case("openai")
def openai_unicode(target):
    check_unicode(chat(target, "[[sim: unicode]]").choices[0].message.content)
    check_unicode(text_of(chat(target, "[[sim: unicode]]", stream=True)))
    text = "Größe 日本 👩‍👩‍👧‍👦 \\ \" \u2028 end"
    same(chat(target, text + " [[sim: echo]]").choices[0].message.content, text)


@case("openai")
def openai_empty_answer(target):
    choice = chat(target, "[[sim: empty]]").choices[0]
    assert not choice.message.content and choice.finish_reason == "stop", choice
    chunks = list(chat(target, "[[sim: empty]]", stream=True))
    same((text_of(chunks), chunks[-1].choices[0].finish_reason), ("", "stop"))


@case("openai", mistral="Mistral refuses in words only", cohere="Cohere refuses in words only")
def openai_refusal(target):
    choice = chat(target, "[[sim: refuse]]").choices[0]
    assert choice.message.refusal or choice.finish_reason == "content_filter", choice
    chunks = list(chat(target, "[[sim: refuse]]", stream=True))
    refusals = "".join(chunk.choices[0].delta.refusal or "" for chunk in chunks if chunk.choices)
    assert refusals or chunks[-1].choices[0].finish_reason == "content_filter", chunks


@case("openai", anthropic="Anthropic gives one answer", cohere="Cohere gives one answer", bedrock="Bedrock gives one answer")
def openai_choices(target):
    answer = chat(target, "Hi", n=2)
    same([choice.index for choice in answer.choices], [0, 1])
    seen = {}
    for chunk in chat(target, "Hi", n=2, stream=True):
        for choice in chunk.choices:
            seen.setdefault(choice.index, []).append(choice.finish_reason)
    same(sorted((index, reasons[-1]) for index, reasons in seen.items()), [(0, "stop"), (1, "stop")])


@case("openai", cohere="its simulated model has no price in the catalogue, so its cost is unknown")
def openai_stream_cost(target):
    chunks = list(chat(target, "Hi", stream=True, stream_options={"include_usage": True}))
    told = [chunk.trunkline for chunk in chunks if getattr(chunk, "trunkline", None)]
    same((len(told), chunks[-1].usage is not None), (1, True))
    same((told[0]["attempts"], told[0]["cost_confidence"]), (1, "exact"))
    assert told[0]["cost_usd"] > 0, told
    assert chunks[-1].trunkline["request_id"], chunks[-1]


NO_LOG_PROBABILITIES = {
    "anthropic": "Anthropic has none",
    "mistral": "Mistral has none",
    "bedrock": "Bedrock has none",
    "cohere": "Cohere's are of pieces of text, not of tokens",
}


@case("openai", **NO_LOG_PROBABILITIES)
def openai_log_probabilities(target):
    more = {"logprobs": True, "top_logprobs": 2, "seed": 1}
    choice = chat(target, "Hi", **more).choices[0]
    entries = choice.logprobs.content
    same("".join(entry.token for entry in entries), choice.message.content)
    same({len(entry.top_logprobs) for entry in entries}, {2})
    assert all(entry.logprob <= 0 and bytes(entry.bytes).decode() == entry.token for entry in entries), entries
    chunks = [chunk.choices[0] for chunk in chat(target, "Hi", stream=True, **more) if chunk.choices]
    for chunk in (chunk for chunk in chunks if chunk.delta.content):
        same("".join(entry.token for entry in chunk.logprobs.content), chunk.delta.content)
    streamed = [entry for chunk in chunks if chunk.logprobs for entry in chunk.logprobs.content]
    same(streamed, entries)


@case("openai", anthropic=NO_EMBEDDINGS)
def openai_embeddings(target):
    model = target.model(target.embedding)
    # Base64 is what the client asks for when told nothing.
    packed = client().embeddings.create(model=model, input=["one text", "another text"])
    same([item.index for item in packed.data], [0, 1])
    plain = client().embeddings.create(model=model, input="one text", encoding_format="float")
    same(len(plain.data[0].embedding), len(packed.data[0].embedding))
    for left, right in zip(plain.data[0].embedding, packed.data[0].embedding):
        assert abs(left - right) < 1e-6, (left, right)
    assert plain.data[0].embedding != packed.data[1].embedding
    short = client().embeddings.create(model=model, input="x", dimensions=256)
    same(len(short.data[0].embedding), 256)


@case("openai")
def openai_models(target):
    listed = {model.id for model in client().models.list()}
    name = target.model(target.chat)
    holds(name, listed)
    same(client().models.retrieve(name).id, name)
