"""The official Anthropic client through the gateway: what an application of it relies on."""


import anthropic

from harness import CLOCK, PERSON, PIXEL, WEATHER, Place, case, check_person, check_unicode, check_weather, holds
from harness import kept, raises, same
from processes import KEY


@kept
def client(key=KEY):
    return anthropic.Anthropic(base_url=Place.gateway, api_key=key, max_retries=0, timeout=40)


def said(content):
    return [{"role": "user", "content": content}]


def ask(target, content, **more):
    more.setdefault("model", target.model(target.chat))
    more.setdefault("messages", said(content))
    more.setdefault("max_tokens", 4096)
    return client().messages.create(**more)


def streamed(target, content, **more):
    """The message that a stream amounts to, by the client's own helper."""
    more.setdefault("model", target.model(target.chat))
    more.setdefault("messages", said(content))
    more.setdefault("max_tokens", 4096)
    with client().messages.stream(**more) as stream:
        return stream.get_final_message()


def tools():
    return [
        {"name": "get_weather", "description": "Weather", "input_schema": WEATHER},
        {"name": "get_time", "description": "Time", "input_schema": CLOCK},
    ]


def text_of(message):
    return "".join(block.text for block in message.content if block.type == "text")


def calls(message):
    return [block for block in message.content if block.type == "tool_use"]


def results(message, content="fine"):
    return [{"type": "tool_result", "tool_use_id": call.id, "content": content} for call in calls(message)]


@case("anthropic")
def anthropic_message(target):
    answer = ask(target, "Hello there")
    holds('"Hello there"', text_of(answer))
    same((answer.stop_reason, answer.role, answer.type), ("end_turn", "assistant", "message"))
    assert answer.usage.input_tokens > 0 and answer.usage.output_tokens > 0, answer.usage
    assert answer._request_id and answer.id and answer.model, answer


@case("anthropic", cohere="its simulated model has no price in the catalogue, so its cost is unknown")
def anthropic_stream(target):
    events = list(ask(target, "Hello there", stream=True))
    kinds = [event.type for event in events if event.type != "ping"]
    same(kinds[:2], ["message_start", "content_block_start"])
    same(kinds[-3:], ["content_block_stop", "message_delta", "message_stop"])
    text = "".join(event.delta.text for event in events if event.type == "content_block_delta")
    holds('"Hello there"', text)
    told = [event.trunkline for event in events if getattr(event, "trunkline", None)]
    same([(cost["attempts"], cost["cost_confidence"]) for cost in told], [(1, "exact")])
    assert kinds.count("content_block_delta") > 5, "the answer came in one piece"


@case("anthropic")
def anthropic_stream_helper(target):
    plain = ask(target, "Hello there")
    message = streamed(target, "Hello there")
    same((text_of(message), message.stop_reason), (text_of(plain), "end_turn"))
    same(message.usage.output_tokens, plain.usage.output_tokens)
    # Only Anthropic's own stream knows the prompt's size at its start; the others tell it at the end.
    same(message.usage.input_tokens, plain.usage.input_tokens)


@case("anthropic")
def anthropic_system(target):
    holds('"Be brief"', text_of(ask(target, "Hello", system="Be brief")))
    blocks = [{"type": "text", "text": "Be brief", "cache_control": {"type": "ephemeral"}}]
    holds('"Be brief"', text_of(ask(target, "Hello", system=blocks)))


@case("anthropic")
def anthropic_multi_turn(target):
    answer = ask(target, "Hello there")
    messages = said("Hello there") + [{"role": "assistant", "content": answer.content}] + said("And again")
    again = ask(target, "", messages=messages)
    holds('"And again"', text_of(again))
    assert again.usage.input_tokens > answer.usage.input_tokens + 5, again.usage


@case("anthropic")
def anthropic_tools(target):
    for how in (ask, streamed):
        messages = said("Use get_weather and get_time")
        answer = how(target, "", messages=messages, tools=tools())
        same(answer.stop_reason, "tool_use")
        same([call.name for call in calls(answer)], ["get_weather", "get_time"])
        check_weather(calls(answer)[0].input)
        same(len({call.id for call in calls(answer)}), 2)
        turns = [{"role": "assistant", "content": answer.content}, {"role": "user", "content": results(answer)}]
        text = text_of(how(target, "", messages=messages + turns, tools=tools()))
        holds("get_time returned: fine", text.replace('{"result":"fine"}', "fine"))


@case("anthropic")
def anthropic_tool_error(target):
    messages = said("Use get_weather")
    answer = ask(target, "", messages=messages, tools=tools())
    failed = [{**result, "is_error": True} for result in results(answer, [{"type": "text", "text": "no sun"}])]
    turns = [{"role": "assistant", "content": answer.content}, {"role": "user", "content": failed}]
    holds("no sun", text_of(ask(target, "", messages=messages + turns, tools=tools())))


@case("anthropic")
def anthropic_tool_choice(target):
    def called(choice):
        return [call.name for call in calls(ask(target, "get_weather", tools=tools(), tool_choice=choice))]

    same(called({"type": "none"}), [])
    same(called({"type": "auto"}), ["get_weather"])
    same(called({"type": "any"}), ["get_weather"])
    same(called({"type": "tool", "name": "get_time"}), ["get_time"])


@case("anthropic", gemini="Gemini has no switch for parallel calls", cohere="Cohere has no switch for parallel calls")
def anthropic_one_tool_at_a_time(target):
    choice = {"type": "auto", "disable_parallel_tool_use": True}
    same(len(calls(ask(target, "get_weather get_time", tools=tools(), tool_choice=choice))), 1)


@case("anthropic")
def anthropic_json_schema(target):
    form = {"format": {"type": "json_schema", "schema": PERSON}}
    check_person(text_of(ask(target, "Someone", output_config=form)))
    check_person(text_of(streamed(target, "Someone", output_config=form)))


@case("anthropic")
def anthropic_image(target):
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}}
    answer = ask(target, [{"type": "text", "text": "What is this?"}, image])
    holds("I received 1 image.", text_of(answer))


THINKING = {"type": "enabled", "budget_tokens": 1024}


@case("anthropic", openai="OpenAI keeps its reasoning to itself")
def anthropic_thinking(target):
    for how in (ask, streamed):
        answer = how(target, "Think", model=target.model(target.thinking), thinking=THINKING)
        same([block.type for block in answer.content], ["thinking", "text"])
        assert answer.content[0].thinking, answer


@case("anthropic", openai="signed thoughts are Anthropic's own", gemini="signed thoughts are Anthropic's own", mistral="signed thoughts are Anthropic's own", cohere="signed thoughts are Anthropic's own")
def anthropic_signatures_over_two_turns(target):
    messages = said("Use get_weather")
    more = {"tools": tools(), "thinking": THINKING}
    for how in (ask, streamed):
        answer = how(target, "", messages=messages, **more)
        same([block.type for block in answer.content], ["thinking", "tool_use"])
        blocks = [block.model_dump(exclude_none=True) for block in answer.content]
        result = {"role": "user", "content": results(answer)}
        go_on = lambda: how(target, "", messages=messages + [{"role": "assistant", "content": blocks}, result], **more)
        holds("returned: fine", text_of(go_on()))
        # At its end: before it, a gateway may have written who made it.
        blocks[0]["signature"] = blocks[0]["signature"][:-4] + "AAAA"
        holds("signature", str(raises(anthropic.BadRequestError, go_on, 400)))
    redacted = ask(target, "[[sim: redacted]] Hi", thinking=THINKING)
    same(redacted.content[0].type, "redacted_thinking")


@case("anthropic", openai="Anthropic's own", gemini="Anthropic's own", mistral="Anthropic's own", cohere="Anthropic's own")
def anthropic_effort(target):
    model = target.model("anthropic.claude-opus-5" if target.provider == "bedrock" else "claude-opus-5")
    answer = ask(
        target, "Hi", model=model, thinking={"type": "adaptive"}, output_config={"effort": "high"}
    )
    same(answer.content[0].type, "thinking")


@case("anthropic")
def anthropic_stop(target):
    answer = ask(target, "Say it [[sim: stop]]", stop_sequences=["END"])
    assert "END" not in text_of(answer), answer
    # Only Claude says which sequence it was; elsewhere it is not known that it was one.
    expected = ("stop_sequence", "END") if target.provider in ("anthropic", "bedrock") else ("end_turn", None)
    same((answer.stop_reason, answer.stop_sequence), expected)


@case("anthropic")
def anthropic_length(target):
    for how in (ask, streamed):
        answer = how(target, "[[sim: words=400]]", max_tokens=60)
        same(answer.stop_reason, "max_tokens")
        assert answer.usage.output_tokens <= 60, answer.usage


@case("anthropic")
def anthropic_unicode(target):
    check_unicode(text_of(ask(target, "[[sim: unicode]]")))
    check_unicode(text_of(streamed(target, "[[sim: unicode]]")))


@case("anthropic")
def anthropic_empty_answer(target):
    for how in (ask, streamed):
        answer = how(target, "[[sim: empty]]")
        same((text_of(answer), answer.stop_reason), ("", "end_turn"))


@case("anthropic", mistral="Mistral refuses in words only", cohere="Cohere refuses in words only")
def anthropic_refusal(target):
    for how in (ask, streamed):
        same(how(target, "[[sim: refuse]]").stop_reason, "refusal")


@case("anthropic", mistral="the provider does not count tokens", cohere="the provider does not count tokens")
def anthropic_counting(target):
    count = client().messages.count_tokens(model=target.model(target.chat), messages=said("Hello there"))
    same(count.input_tokens, ask(target, "Hello there").usage.input_tokens)


@case("anthropic", openai="Anthropic's own", gemini="Anthropic's own", mistral="Anthropic's own", cohere="Anthropic's own")
def anthropic_prompt_cache(target):
    system = [{"type": "text", "text": "word " * 3000, "cache_control": {"type": "ephemeral"}}]
    first, second = (ask(target, "Hi", system=system).usage for _ in range(2))
    assert first.cache_creation_input_tokens >= 3000, first
    assert second.cache_read_input_tokens >= 3000 and not second.cache_creation_input_tokens, second
    same(first.input_tokens, second.input_tokens)


@case("anthropic")
def anthropic_models(target):
    name = target.model(target.chat)
    holds(name, {model.id for model in client().models.list()})
    same(client().models.retrieve(name).id, name)


@case(
    "anthropic",
    openai="only Bedrock signs its requests",
    anthropic="only Bedrock signs its requests",
    gemini="only Bedrock signs its requests", mistral="Bedrock's own", cohere="Bedrock's own")
def anthropic_signed_requests(target):
    for provider in ("signed", "profiled"):
        for how in (ask, streamed):
            holds('"Grüße 日本"', text_of(how(target, "Grüße 日本", model=f"{provider}/{target.chat}")))
