"""Points the official Python SDKs straight at simulators and checks what they make of the answers.

Usage: straight.py OPENAI_URL ANTHROPIC_URL GEMINI_URL MISTRAL_URL BEDROCK_URL COHERE_URL   (as `trunkline-sim` prints
them; any may be "-")

Each simulator must accept the key "sim-key" and refuse others; the Bedrock one must also accept the signing key
"AKIDSIM:sim-secret". Prints one line per failure and `N passed, N failed`. Needs the packages of requirements.txt.
"""

import base64
import json
import sys
import traceback
import warnings

from harness import kept

KEY = "sim-key"
PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
WEATHER = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "unit": {"enum": ["celsius", "fahrenheit"]}},
    "required": ["city", "unit"],
    "additionalProperties": False,
}
CLOCK = {
    "type": "object",
    "properties": {"zone": {"type": "string"}},
    "required": ["zone"],
    "additionalProperties": False,
}
PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer", "minimum": 0}},
    "required": ["name", "age"],
    "additionalProperties": False,
}
CASES = []


def case(function):
    CASES.append(function)
    return function


def same(left, right):
    assert left == right, f"{left!r} is not {right!r}"


def raises(kind, action, status=None):
    try:
        action()
    except kind as error:
        if status is not None:
            code = getattr(error, "status_code", None) or getattr(error, "code", None)
            same(code, status)
        return error
    raise AssertionError(f"expected {kind.__name__}, nothing was raised")


def check_person(text):
    person = json.loads(text)
    assert isinstance(person["name"], str) and isinstance(person["age"], int), person


# ---------------------------------------------------------------- OpenAI


def openai_client(url, key=KEY):
    import openai

    return openai.OpenAI(base_url=url + "/v1", api_key=key, max_retries=0, timeout=10)


def openai_tools():
    functions = [("get_weather", WEATHER), ("get_time", CLOCK)]
    return [
        {"type": "function", "function": {"name": name, "parameters": schema, "strict": True}}
        for name, schema in functions
    ]


def said(content):
    return [{"role": "user", "content": content}]


@case
def openai_plain(url):
    answer = openai_client(url).chat.completions.with_raw_response.create(model="gpt-4o", messages=said("Hello there"))
    assert answer.headers["x-request-id"].startswith("req_")
    assert answer.headers["x-ratelimit-remaining-requests"].isdigit()
    answer = answer.parse()
    assert "Hello there" in answer.choices[0].message.content
    same(answer.choices[0].finish_reason, "stop")
    same(answer.usage.total_tokens, answer.usage.prompt_tokens + answer.usage.completion_tokens)


@case
def openai_stream(url):
    stream = openai_client(url).chat.completions.create(
        model="gpt-4o",
        messages=said("[[sim: unicode]]"),
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = list(stream)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert "👩‍👩‍👧‍👦" in text and "日本語" in text, text
    same(chunks[-1].choices, [])
    assert chunks[-1].usage.completion_tokens > 10
    same(chunks[0].choices[0].delta.role, "assistant")
    same([chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1], "stop")


@case
def openai_parallel_tools(url):
    client = openai_client(url)
    messages = said("Call get_weather and get_time for Oslo")
    answer = client.chat.completions.create(model="gpt-4o", messages=messages, tools=openai_tools())
    message = answer.choices[0].message
    same(answer.choices[0].finish_reason, "tool_calls")
    same([call.function.name for call in message.tool_calls], ["get_weather", "get_time"])
    assert json.loads(message.tool_calls[0].function.arguments)["unit"] in ("celsius", "fahrenheit")
    results = [{"role": "tool", "tool_call_id": call.id, "content": "fine"} for call in message.tool_calls]
    answer = client.chat.completions.create(
        model="gpt-4o", messages=messages + [message] + results, tools=openai_tools()
    )
    assert "get_weather returned: fine" in answer.choices[0].message.content
    missing = messages + [message] + results[:1]
    import openai

    raises(openai.BadRequestError, lambda: client.chat.completions.create(model="gpt-4o", messages=missing, tools=openai_tools()))


@case
def openai_streamed_tools(url):
    with openai_client(url).chat.completions.stream(
        model="gpt-4o", messages=said("get_weather and get_time please"), tools=openai_tools()
    ) as stream:
        completion = stream.get_final_completion()
    calls = completion.choices[0].message.tool_calls
    same([call.function.name for call in calls], ["get_weather", "get_time"])
    assert "zone" in json.loads(calls[1].function.arguments)


@case
def openai_forced_and_forbidden_tools(url):
    def called(choice):
        answer = openai_client(url).chat.completions.create(
            model="gpt-4o", messages=said("get_weather"), tools=openai_tools(), tool_choice=choice
        )
        return [call.function.name for call in answer.choices[0].message.tool_calls or []]

    same(called("none"), [])
    same(called("required"), ["get_weather"])
    same(called({"type": "function", "function": {"name": "get_time"}}), ["get_time"])


@case
def openai_json_schema(url):
    form = {"type": "json_schema", "json_schema": {"name": "person", "schema": PERSON, "strict": True}}
    answer = openai_client(url).chat.completions.create(
        model="gpt-4o", messages=said("Someone"), response_format=form
    )
    check_person(answer.choices[0].message.content)


@case
def openai_parse(url):
    import pydantic

    class Event(pydantic.BaseModel):
        name: str
        guests: list[str]

    answer = openai_client(url).chat.completions.parse(
        model="gpt-4o", messages=said("An event"), response_format=Event
    )
    assert isinstance(answer.choices[0].message.parsed, Event)


@case
def openai_image(url):
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + PIXEL}}
    answer = openai_client(url).chat.completions.create(
        model="gpt-4o", messages=said([{"type": "text", "text": "What is this?"}, image])
    )
    assert "1 image" in answer.choices[0].message.content


@case
def openai_reasoning(url):
    import openai

    client = openai_client(url)
    answer = client.chat.completions.create(model="gpt-5", messages=said("Think"), reasoning_effort="high")
    assert answer.usage.completion_tokens_details.reasoning_tokens > 0
    error = raises(
        openai.BadRequestError,
        lambda: client.chat.completions.create(model="gpt-5", messages=said("x"), max_tokens=5),
    )
    same(error.code, "unsupported_parameter")
    raises(
        openai.BadRequestError,
        lambda: client.chat.completions.create(model="o3", messages=said("x"), temperature=0.2),
    )


@case
def openai_limits(url):
    client = openai_client(url)
    answer = client.chat.completions.create(
        model="gpt-4o", messages=said("[[sim: words=100]]"), max_completion_tokens=10
    )
    same((answer.choices[0].finish_reason, answer.usage.completion_tokens), ("length", 10))
    answer = client.chat.completions.create(model="gpt-4o", messages=said("[[sim: stop]]"), stop=["END"])
    assert "END" not in answer.choices[0].message.content
    answer = client.chat.completions.create(
        model="gpt-4o", messages=said("Hi"), n=2, logprobs=True, top_logprobs=2, seed=1
    )
    same(len(answer.choices), 2)
    same(len(answer.choices[0].logprobs.content[0].top_logprobs), 2)
    assert answer.system_fingerprint.startswith("fp_")
    same(client.chat.completions.create(model="gpt-4o", messages=said("[[sim: empty]]")).choices[0].message.content, "")
    assert client.chat.completions.create(model="gpt-4o", messages=said("[[sim: refuse]]")).choices[0].message.refusal


@case
def openai_responses(url):
    import openai

    client = openai_client(url)
    made = client.responses.create(model="gpt-4o", input="Hello there", instructions="Be kind.")
    assert "Hello there" in made.output_text and "Be kind." in made.output_text
    same(client.responses.retrieve(made.id).to_dict(), made.to_dict())
    same(client.responses.input_items.list(made.id).data[0].content[0].text, "Hello there")
    count = client.responses.input_tokens.count(model="gpt-4o", input="Hello there", instructions="Be kind.")
    same((count.object, count.input_tokens), ("response.input_tokens", made.usage.input_tokens))
    second = client.responses.create(model="gpt-4o", input="Go on", previous_response_id=made.id)
    same(second.previous_response_id, made.id)
    client.responses.delete(made.id)
    raises(openai.NotFoundError, lambda: client.responses.retrieve(made.id), 404)
    raises(openai.BadRequestError, lambda: client.responses.create(model="gpt-4o", input="x", previous_response_id=made.id), 400)
    raises(openai.BadRequestError, lambda: client.responses.create(model="gpt-4o", input="x", max_output_tokens=1), 400)


@case
def openai_responses_stream(url):
    events = list(openai_client(url).responses.create(model="gpt-4o", input="[[sim: unicode]]", stream=True))
    same([event.sequence_number for event in events], list(range(len(events))))
    same(events[-1].type, "response.completed")
    text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    same(text, events[-1].response.output_text)
    form = {"format": {"type": "json_schema", "name": "person", "schema": PERSON, "strict": True}}
    check_person(openai_client(url).responses.create(model="gpt-4o", input="Someone", text=form).output_text)


@case
def openai_responses_tools_and_reasoning(url):
    import openai

    tools = [{"type": "function", "name": "get_weather", "parameters": WEATHER, "strict": True}]
    items = [{"role": "user", "content": "get_weather please"}]
    more = {"model": "gpt-5", "tools": tools, "store": False, "reasoning": {"effort": "low", "summary": "auto"}}
    with openai_client(url).responses.stream(input=items, **more) as stream:
        for _ in stream:
            pass
        first = stream.get_final_response()
    same([item.type for item in first.output], ["reasoning", "function_call"])
    call = first.output[1]
    items += [item.to_dict() for item in first.output]
    missing = list(items)
    items.append({"type": "function_call_output", "call_id": call.call_id, "output": "fine"})
    second = openai_client(url).responses.create(input=items, **more)
    assert "get_weather returned: fine" in second.output_text
    raises(openai.BadRequestError, lambda: openai_client(url).responses.create(input=missing, **more))
    items[1]["encrypted_content"] = "gAAAA" + items[1]["encrypted_content"][5:]
    error = raises(openai.BadRequestError, lambda: openai_client(url).responses.create(input=items, **more))
    same(error.code, "invalid_encrypted_content")


@case
def openai_embeddings(url):
    client = openai_client(url)
    answer = client.embeddings.create(model="text-embedding-3-small", input=["one text", "another text"])
    same([len(item.embedding) for item in answer.data], [1536, 1536])
    plain = client.embeddings.create(model="text-embedding-3-small", input="one text", encoding_format="float")
    for left, right in zip(plain.data[0].embedding, answer.data[0].embedding):
        assert abs(left - right) < 1e-6
    short = client.embeddings.create(model="text-embedding-3-large", input="x", dimensions=16)
    same(len(short.data[0].embedding), 16)


@case
def openai_models(url):
    client = openai_client(url)
    names = [model.id for model in client.models.list()]
    same(client.models.retrieve(names[0]).id, names[0])


@case
def openai_errors(url):
    import openai

    raises(openai.AuthenticationError, lambda: openai_client(url, "wrong").models.list(), 401)
    expected = [
        ("bad-request", openai.BadRequestError, 400),
        ("forbidden", openai.PermissionDeniedError, 403),
        ("not-found", openai.NotFoundError, 404),
        ("rate-limited-retry-after=2", openai.RateLimitError, 429),
        ("quota-exhausted", openai.RateLimitError, 429),
        ("server-error", openai.InternalServerError, 500),
        ("unavailable", openai.InternalServerError, 503),
        ("context-too-long", openai.BadRequestError, 400),
        ("cut-before-headers", openai.APIConnectionError, None),
    ]
    for fault, kind, status in expected:
        for stream in (False, True):
            ask = lambda: openai_client(url).chat.completions.create(
                model="gpt-4o", messages=said(f"[[sim: fault={fault}]]"), stream=stream
            )
            error = raises(kind, ask, status)
            if fault.startswith("rate-limited"):
                same((error.response.headers["retry-after"], error.code), ("2", "rate_limit_exceeded"))
            if fault == "context-too-long":
                same(error.code, "context_length_exceeded")
    stream = openai_client(url).chat.completions.create(
        model="gpt-4o", messages=said("[[sim: fault=quota-mid-stream]]"), stream=True
    )
    raises(openai.APIError, lambda: list(stream))


# ---------------------------------------------------------------- Anthropic


def anthropic_client(url, key=KEY):
    import anthropic

    return anthropic.Anthropic(base_url=url, api_key=key, max_retries=0, timeout=10)


def claude(url, content, model="claude-sonnet-4-5", **more):
    more.setdefault("max_tokens", 4096)
    messages = more.pop("messages", said(content))
    return anthropic_client(url).messages.create(model=model, messages=messages, **more)


def anthropic_tools():
    return [{"name": "get_weather", "input_schema": WEATHER}, {"name": "get_time", "input_schema": CLOCK}]


@case
def anthropic_plain(url):
    answer = claude(url, "Hello there", system="Be brief")
    assert "Hello there" in answer.content[0].text and "Be brief" in answer.content[0].text
    same(answer.stop_reason, "end_turn")
    assert answer._request_id.startswith("req_")
    assert answer.usage.input_tokens > 0 and answer.usage.output_tokens > 0


@case
def anthropic_stream(url):
    client = anthropic_client(url)
    with client.messages.stream(
        model="claude-sonnet-4-5", max_tokens=500, messages=said("[[sim: unicode]]")
    ) as stream:
        text = "".join(stream.text_stream)
        message = stream.get_final_message()
    assert "日本語" in text and message.content[0].text == text
    same(message.stop_reason, "end_turn")
    events = [
        event.type
        for event in client.messages.create(
            model="claude-sonnet-4-5", max_tokens=500, messages=said("Hi"), stream=True
        )
    ]
    same(events[0], "message_start")
    same(events[1], "content_block_start")
    same(events[-3:], ["content_block_stop", "message_delta", "message_stop"])


@case
def anthropic_parallel_tools(url):
    messages = said("Use get_weather and get_time")
    for streamed in (False, True):
        if streamed:
            with anthropic_client(url).messages.stream(
                model="claude-sonnet-4-5", max_tokens=500, messages=messages, tools=anthropic_tools()
            ) as stream:
                answer = stream.get_final_message()
        else:
            answer = claude(url, "", messages=messages, tools=anthropic_tools())
        same(answer.stop_reason, "tool_use")
        same([block.name for block in answer.content], ["get_weather", "get_time"])
        assert set(answer.content[0].input) == {"city", "unit"}
    results = [{"type": "tool_result", "tool_use_id": block.id, "content": "fine"} for block in answer.content]
    rest = [{"role": "assistant", "content": answer.content}, {"role": "user", "content": results}]
    answer = claude(url, "", messages=messages + rest, tools=anthropic_tools())
    assert "get_time returned: fine" in answer.content[0].text
    import anthropic

    rest[1]["content"] = results[:1]
    raises(anthropic.BadRequestError, lambda: claude(url, "", messages=messages + rest, tools=anthropic_tools()))
    single = claude(
        url, "get_weather get_time", tools=anthropic_tools(), tool_choice={"type": "any", "disable_parallel_tool_use": True}
    )
    same(len(single.content), 1)


@case
def anthropic_thinking(url):
    import anthropic

    thinking = {"type": "enabled", "budget_tokens": 1024}
    messages = said("Use get_weather")
    with anthropic_client(url).messages.stream(
        model="claude-sonnet-4-5", max_tokens=4096, messages=messages, tools=anthropic_tools(), thinking=thinking
    ) as stream:
        answer = stream.get_final_message()
    same([block.type for block in answer.content], ["thinking", "tool_use"])
    assert answer.content[0].signature
    result = {"type": "tool_result", "tool_use_id": answer.content[1].id, "content": "fine"}

    def go_on(blocks):
        rest = [{"role": "assistant", "content": blocks}, {"role": "user", "content": [result]}]
        return claude(url, "", messages=messages + rest, tools=anthropic_tools(), thinking=thinking)

    blocks = [block.model_dump(exclude_none=True) for block in answer.content]
    same(go_on(blocks).content[-1].type, "text")
    raises(anthropic.BadRequestError, lambda: go_on(blocks[1:]))
    blocks[0]["signature"] = "A" + blocks[0]["signature"][1:-1] + "A"
    assert "signature" in str(raises(anthropic.BadRequestError, lambda: go_on(blocks)))
    redacted = claude(url, "[[sim: redacted]] Hi", thinking=thinking)
    same(redacted.content[0].type, "redacted_thinking")
    adaptive = claude(url, "Hi", model="claude-opus-5", thinking={"type": "adaptive"}, output_config={"effort": "high"})
    same(adaptive.content[0].type, "thinking")
    assert adaptive.usage.output_tokens_details.thinking_tokens > 0
    raises(anthropic.BadRequestError, lambda: claude(url, "Hi", model="claude-opus-5", thinking=thinking))


@case
def anthropic_json_schema(url):
    form = {"format": {"type": "json_schema", "schema": PERSON}}
    check_person(claude(url, "Someone", output_config=form).content[0].text)


@case
def anthropic_attachments(url):
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}}
    linked = {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}}
    pdf = base64.b64encode(b"%PDF-1.4").decode()
    document = {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": pdf}}
    answer = claude(url, [{"type": "text", "text": "What is this?"}, image, linked, document])
    assert "2 images" in answer.content[0].text and "1 document" in answer.content[0].text


@case
def anthropic_cache(url):
    system = [{"type": "text", "text": "word " * 3000, "cache_control": {"type": "ephemeral"}}]
    first, second = (claude(url, "Hi", system=system).usage for _ in range(2))
    assert first.cache_creation_input_tokens >= 3000 or first.cache_read_input_tokens >= 3000
    assert second.cache_read_input_tokens >= 3000 and second.cache_creation_input_tokens == 0
    total = lambda usage: usage.input_tokens + usage.cache_creation_input_tokens + usage.cache_read_input_tokens
    same(total(first), total(second))


@case
def anthropic_limits(url):
    answer = claude(url, "[[sim: words=100]]", max_tokens=10)
    same((answer.stop_reason, answer.usage.output_tokens), ("max_tokens", 10))
    answer = claude(url, "[[sim: stop]]", stop_sequences=["END"])
    same((answer.stop_reason, answer.stop_sequence), ("stop_sequence", "END"))
    same(claude(url, "[[sim: refuse]]").stop_reason, "refusal")
    same(claude(url, "[[sim: empty]]").content, [])


@case
def anthropic_counting_and_models(url):
    client = anthropic_client(url)
    count = client.messages.count_tokens(model="claude-sonnet-4-5", messages=said("Hello there"))
    same(count.input_tokens, claude(url, "Hello there").usage.input_tokens)
    names = [model.id for model in client.models.list()]
    same(client.models.retrieve(names[0]).id, names[0])


@case
def anthropic_errors(url):
    import anthropic

    raises(anthropic.AuthenticationError, lambda: anthropic_client(url, "wrong").models.list(), 401)
    raises(anthropic.BadRequestError, lambda: claude(url, [{"type": "text", "text": ""}]), 400)
    expected = [
        ("bad-request", anthropic.BadRequestError, 400),
        ("forbidden", anthropic.PermissionDeniedError, 403),
        ("not-found", anthropic.NotFoundError, 404),
        ("rate-limited-retry-after=2", anthropic.RateLimitError, 429),
        ("server-error", anthropic.InternalServerError, 500),
        ("overloaded", anthropic.InternalServerError, 529),
        ("cut-before-headers", anthropic.APIConnectionError, None),
    ]
    for fault, kind, status in expected:
        for stream in (False, True):
            error = raises(kind, lambda: claude(url, f"[[sim: fault={fault}]]", stream=stream), status)
            if fault.startswith("rate-limited"):
                same(error.response.headers["retry-after"], "2")
                same(error.body["error"]["type"], "rate_limit_error")
    for fault in ("quota-before-first-token", "quota-mid-stream"):
        stream = claude(url, f"[[sim: fault={fault}]]", stream=True)
        raises(anthropic.APIStatusError, lambda: list(stream))


# ---------------------------------------------------------------- Gemini


@kept
def gemini_client(url, key=KEY, version=None):
    from google import genai

    options = {"base_url": url}
    if version:
        options["api_version"] = version
    return genai.Client(api_key=key, http_options=options)


def gemini(url, contents, model="gemini-2.5-flash", **config):
    return gemini_client(url).models.generate_content(model=model, contents=contents, config=config or None)


def gemini_tools():
    declarations = [
        {"name": "get_weather", "description": "Weather", "parameters_json_schema": WEATHER},
        {"name": "get_time", "description": "Time", "parameters_json_schema": CLOCK},
    ]
    return {"tools": [{"function_declarations": declarations}], "automatic_function_calling": {"disable": True}}


@case
def gemini_plain(url):
    for version in ("v1", "v1beta"):
        answer = gemini_client(url, version=version).models.generate_content(
            model="gemini-2.5-flash", contents="Hello there", config={"system_instruction": "Be brief"}
        )
        assert "Hello there" in answer.text and "Be brief" in answer.text
        same(answer.candidates[0].finish_reason.name, "STOP")
        usage = answer.usage_metadata
        total = usage.prompt_token_count + usage.candidates_token_count + usage.thoughts_token_count
        same(usage.total_token_count, total)


@case
def gemini_stream(url):
    chunks = list(
        gemini_client(url).models.generate_content_stream(model="gemini-2.5-flash", contents="[[sim: unicode]]")
    )
    text = "".join(chunk.text or "" for chunk in chunks)
    assert "日本語" in text and "👩‍👩‍👧‍👦" in text
    same(chunks[-1].candidates[0].finish_reason.name, "STOP")
    assert chunks[-1].usage_metadata.candidates_token_count > 10


@case
def gemini_tool_turns(url):
    from google.genai import errors, types

    for model in ("gemini-2.5-flash", "gemini-3-pro-preview"):
        for streamed in (False, True):
            question = types.Content(role="user", parts=[types.Part(text="Use get_weather and get_time")])
            models = gemini_client(url).models
            if streamed:
                chunks = models.generate_content_stream(model=model, contents=[question], config=gemini_tools())
                parts = [part for chunk in chunks for part in chunk.candidates[0].content.parts]
                parts = [part for part in parts if part.function_call]
            else:
                answer = models.generate_content(model=model, contents=[question], config=gemini_tools())
                same(answer.candidates[0].finish_reason.name, "STOP")
                parts = answer.candidates[0].content.parts
            same([part.function_call.name for part in parts], ["get_weather", "get_time"])
            assert set(parts[0].function_call.args) == {"city", "unit"}
            results = [
                types.Part(
                    function_response=types.FunctionResponse(
                        id=part.function_call.id, name=part.function_call.name, response={"result": "fine"}
                    )
                )
                for part in parts
            ]
            turns = [question, types.Content(role="model", parts=parts), types.Content(role="user", parts=results)]
            answer = models.generate_content(model=model, contents=turns, config=gemini_tools())
            assert "get_time returned: fine" in answer.text
            if model.startswith("gemini-3"):
                parts[0].thought_signature = None
                error = raises(
                    errors.ClientError,
                    lambda: models.generate_content(model=model, contents=turns, config=gemini_tools()),
                    400,
                )
                assert "thought_signature" in str(error)


@case
def gemini_forced_tool(url):
    config = gemini_tools()
    config["tool_config"] = {"function_calling_config": {"mode": "ANY", "allowed_function_names": ["get_time"]}}
    answer = gemini(url, "get_weather", **config)
    same([call.name for call in answer.function_calls], ["get_time"])


@case
def gemini_json_schema(url):
    check_person(gemini(url, "Someone", response_mime_type="application/json", response_json_schema=PERSON).text)
    subset = {"type": "OBJECT", "properties": {"name": {"type": "STRING"}, "age": {"type": "INTEGER"}}}
    check_person(gemini(url, "Someone", response_mime_type="application/json", response_schema=subset).text)


@case
def gemini_image_and_thoughts(url):
    from google.genai import types

    image = types.Part.from_bytes(data=base64.b64decode(PIXEL), mime_type="image/png")
    assert "1 image" in gemini(url, ["What is this?", image]).text
    answer = gemini(url, "Think", thinking_config={"include_thoughts": True})
    assert answer.candidates[0].content.parts[0].thought
    answer = gemini(url, "Think", thinking_config={"thinking_budget": 0})
    assert not answer.usage_metadata.thoughts_token_count


@case
def gemini_limits(url):
    answer = gemini(url, "[[sim: words=100]]", max_output_tokens=30)
    same(answer.candidates[0].finish_reason.name, "MAX_TOKENS")
    answer = gemini(url, "[[sim: refuse]]")
    same(answer.candidates[0].finish_reason.name, "SAFETY")
    answer = gemini(url, "[[sim: fault=content-filtered]]")
    same(answer.prompt_feedback.block_reason.name, "PROHIBITED_CONTENT")
    assert not answer.candidates
    same(len(gemini(url, "Hi", candidate_count=2).candidates), 2)
    stream = gemini_client(url).models.generate_content_stream
    chunks = stream(model="gemini-2.5-flash", contents="Hi", config={"candidate_count": 2})
    same({candidate.index or 0 for chunk in chunks for candidate in chunk.candidates}, {0, 1})


@case
def gemini_embeddings_counting_models(url):
    client = gemini_client(url)
    answer = client.models.embed_content(
        model="gemini-embedding-001", contents=["one", "two"], config={"output_dimensionality": 8}
    )
    same([len(item.values) for item in answer.embeddings], [8, 8])
    count = client.models.count_tokens(model="gemini-2.5-flash", contents="Hello there")
    assert count.total_tokens > 0
    names = [model.name for model in client.models.list()]
    assert "models/gemini-2.5-flash" in names
    same(client.models.get(model="gemini-2.5-flash").name, "models/gemini-2.5-flash")


@case
def gemini_errors(url):
    from google.genai import errors

    refused = raises(
        errors.ClientError,
        lambda: gemini_client(url, "wrong").models.generate_content(model="gemini-2.5-flash", contents="x"),
        400,
    )
    assert "API_KEY_INVALID" in str(refused)
    expected = [
        ("bad-request", errors.ClientError, 400),
        ("forbidden", errors.ClientError, 403),
        ("not-found", errors.ClientError, 404),
        ("rate-limited-retry-after=33", errors.ClientError, 429),
        ("server-error", errors.ServerError, 500),
        ("unavailable", errors.ServerError, 503),
    ]
    for fault, kind, status in expected:
        error = raises(kind, lambda: gemini(url, f"[[sim: fault={fault}]]"), status)
        if fault.startswith("rate-limited"):
            assert '33s' in str(error) and error.status == "RESOURCE_EXHAUSTED", error
        stream = lambda: list(
            gemini_client(url).models.generate_content_stream(
                model="gemini-2.5-flash", contents=f"[[sim: fault={fault}]]"
            )
        )
        raises(kind, stream, status)
    for fault in ("quota-before-first-token", "quota-mid-stream"):
        stream = lambda: list(
            gemini_client(url).models.generate_content_stream(
                model="gemini-2.5-flash", contents=f"[[sim: fault={fault}]]"
            )
        )
        raises(errors.ClientError, stream, 429)


# ---------------------------------------------------------------- Mistral


def mistral_client(url, key=KEY):
    from mistralai.client import Mistral

    return Mistral(api_key=key, server_url=url, timeout_ms=10_000)


def mistral(url, content, **more):
    more.setdefault("model", "mistral-large-latest")
    messages = more.pop("messages", None) or said(content)
    return mistral_client(url).chat.complete(messages=messages, **more)


def mistral_tools():
    functions = [("get_weather", WEATHER), ("get_time", CLOCK)]
    return [{"type": "function", "function": {"name": name, "parameters": schema}} for name, schema in functions]


@case
def mistral_plain(url):
    answer = mistral(url, "Hello there", temperature=0.2, random_seed=3, safe_prompt=True)
    assert "Hello there" in answer.choices[0].message.content
    same(answer.choices[0].finish_reason, "stop")
    same(answer.usage.total_tokens, answer.usage.prompt_tokens + answer.usage.completion_tokens)


@case
def mistral_stream(url):
    stream = mistral_client(url).chat.stream(model="mistral-large-latest", messages=said("[[sim: unicode]]"))
    chunks = [event.data for event in stream]
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert "👩‍👩‍👧‍👦" in text and "日本語" in text, text
    assert chunks[-1].usage.completion_tokens > 10
    same(chunks[-1].choices[0].finish_reason, "stop")


@case
def mistral_parallel_tools(url):
    messages = said("get_weather and get_time for Oslo")
    answer = mistral(url, "", messages=messages, tools=mistral_tools())
    message = answer.choices[0].message
    same(answer.choices[0].finish_reason, "tool_calls")
    same([call.function.name for call in message.tool_calls], ["get_weather", "get_time"])
    results = [
        {"role": "tool", "tool_call_id": call.id, "name": call.function.name, "content": "fine"}
        for call in message.tool_calls
    ]
    answer = mistral(url, "", messages=messages + [message] + results, tools=mistral_tools())
    assert "get_weather returned: fine" in answer.choices[0].message.content


@case
def mistral_streamed_tools(url):
    stream = mistral_client(url).chat.stream(
        model="mistral-large-latest", messages=said("get_weather and get_time"), tools=mistral_tools()
    )
    calls = [call for event in stream for call in event.data.choices[0].delta.tool_calls or []]
    same([call.function.name for call in calls], ["get_weather", "get_time"])
    assert "zone" in json.loads(calls[1].function.arguments)


@case
def mistral_forced_and_forbidden_tools(url):
    def called(choice):
        answer = mistral(url, "get_weather", tools=mistral_tools(), tool_choice=choice)
        return [call.function.name for call in answer.choices[0].message.tool_calls or []]

    same(called("none"), [])
    same(called("any"), ["get_weather"])
    same(called({"type": "function", "function": {"name": "get_time"}}), ["get_time"])


@case
def mistral_json_schema(url):
    form = {"type": "json_schema", "json_schema": {"name": "person", "schema": PERSON, "strict": True}}
    check_person(mistral(url, "Someone", response_format=form).choices[0].message.content)


@case
def mistral_media(url):
    image = {"type": "image_url", "image_url": "data:image/png;base64," + PIXEL}
    document = {"type": "document_url", "document_url": "https://example.com/a.pdf", "document_name": "a"}
    answer = mistral(url, [{"type": "text", "text": "What is this?"}, image, document])
    assert "1 image" in answer.choices[0].message.content, answer


@case
def mistral_thinking(url):
    message = mistral(url, "Think", model="magistral-medium-latest").choices[0].message
    same([chunk.type for chunk in message.content], ["thinking", "text"])
    assert message.content[0].thinking[0].text
    again = mistral(url, "", model="magistral-medium-latest", messages=said("Think") + [message] + said("Go on"))
    same(again.choices[0].finish_reason, "stop")


@case
def mistral_prefix(url):
    begun = {"role": "assistant", "content": "Once", "prefix": True}
    same(mistral(url, "", messages=said("Tell") + [begun]).choices[0].finish_reason, "stop")


@case
def mistral_embeddings(url):
    answer = mistral_client(url).embeddings.create(model="mistral-embed", inputs=["one", "two"])
    same([len(item.embedding) for item in answer.data], [1024, 1024])


@case
def mistral_models(url):
    names = [model.id for model in mistral_client(url).models.list().data]
    assert "mistral-large-latest" in names, names


@case
def mistral_errors(url):
    from mistralai.client import errors

    refused = raises(errors.SDKError, lambda: mistral_client(url, "wrong").chat.complete(model="m", messages=said("x")))
    same(refused.status_code, 401)
    wrong = raises(errors.HTTPValidationError, lambda: mistral(url, "x", temperature=1.6))
    same((wrong.status_code, wrong.data.detail[0].loc), (422, ["body", "temperature"]))
    for fault, status in [("rate-limited", 429), ("server-error", 500), ("context-too-long", 400)]:
        error = raises(errors.SDKError, lambda: mistral(url, f"[[sim: fault={fault}]]"))
        same(error.status_code, status)


# ---------------------------------------------------------------- Cohere


def cohere_client(url, key=KEY):
    import cohere as library

    return library.ClientV2(api_key=key, base_url=url, timeout=10)


def cohere(url, content, **more):
    messages = more.pop("messages", None) or said(content)
    more.setdefault("model", "command-a-03-2025")
    return cohere_client(url).chat(messages=messages, **more)


@case
def cohere_plain(url):
    answer = cohere(url, "Hello there", temperature=0.3, k=5, p=0.9, seed=1)
    assert "Hello there" in answer.message.content[0].text
    same(answer.finish_reason, "COMPLETE")
    assert answer.usage.tokens.input_tokens > answer.usage.billed_units.input_tokens > 0, answer.usage


@case
def cohere_stream(url):
    events = list(cohere_client(url).chat_stream(model="command-a-03-2025", messages=said("[[sim: unicode]]")))
    same([events[0].type, events[-1].type], ["message-start", "message-end"])
    text = "".join(event.delta.message.content.text or "" for event in events if event.type == "content-delta")
    assert "👩‍👩‍👧‍👦" in text and "日本語" in text, text
    same(events[-1].delta.finish_reason, "COMPLETE")
    assert events[-1].delta.usage.tokens.output_tokens > 10


@case
def cohere_parallel_tools(url):
    messages = said("get_weather and get_time for Oslo")
    message = cohere(url, "", messages=messages, tools=mistral_tools()).message
    assert message.tool_plan
    same([call.function.name for call in message.tool_calls], ["get_weather", "get_time"])
    results = [{"role": "tool", "tool_call_id": call.id, "content": "fine"} for call in message.tool_calls]
    answer = cohere(url, "", messages=messages + [message] + results, tools=mistral_tools())
    assert "get_weather returned: fine" in answer.message.content[0].text


@case
def cohere_streamed_tools(url):
    stream = cohere_client(url).chat_stream(
        model="command-a-03-2025", messages=said("get_weather and get_time"), tools=mistral_tools()
    )
    names, arguments = [], []
    for event in stream:
        if event.type == "tool-call-start":
            names.append(event.delta.message.tool_calls.function.name)
            arguments.append("")
        elif event.type == "tool-call-delta":
            arguments[-1] += event.delta.message.tool_calls.function.arguments
    same(names, ["get_weather", "get_time"])
    assert "zone" in json.loads(arguments[1])


@case
def cohere_forced_and_forbidden_tools(url):
    def called(choice):
        message = cohere(url, "get_weather", tools=mistral_tools(), tool_choice=choice).message
        return [call.function.name for call in message.tool_calls or []]

    same(called("NONE"), [])
    same(called("REQUIRED"), ["get_weather"])


@case
def cohere_json_schema(url):
    answer = cohere(url, "Someone", response_format={"type": "json_object", "json_schema": PERSON})
    check_person(answer.message.content[0].text)


@case
def cohere_thinking(url):
    answer = cohere(url, "Think", thinking={"type": "enabled", "token_budget": 20})
    same([block.type for block in answer.message.content], ["thinking", "text"])


@case
def cohere_image(url):
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + PIXEL}}
    answer = cohere(url, [{"type": "text", "text": "What is this?"}, image])
    assert "1 image" in answer.message.content[0].text, answer


@case
def cohere_embeddings(url):
    answer = cohere_client(url).embed(
        model="embed-v4.0", texts=["one", "two"], input_type="search_document", embedding_types=["float", "base64"]
    )
    same([len(vector) for vector in answer.embeddings.float_], [1536, 1536])
    same(len(base64.b64decode(answer.embeddings.base64[0])), 4 * 1536)


@case
def cohere_rerank(url):
    documents = ["the weather in Oslo", "how to bake bread", "Oslo weather today"]
    answer = cohere_client(url).rerank(model="rerank-v3.5", query="weather in Oslo", documents=documents, top_n=2)
    same([result.index for result in answer.results], [0, 2])
    assert answer.results[0].relevance_score >= answer.results[1].relevance_score
    same(answer.meta.billed_units.search_units, 1)


@case
def cohere_errors(url):
    from cohere import errors

    raises(errors.UnauthorizedError, lambda: cohere_client(url, "wrong").chat(model="m", messages=said("x")), 401)
    raises(errors.BadRequestError, lambda: cohere(url, "x", temperature=1.6), 400)
    raises(errors.NotFoundError, lambda: cohere(url, "x", model="no-such-model"), 404)
    options = {"request_options": {"max_retries": 0}}
    raises(errors.TooManyRequestsError, lambda: cohere(url, "[[sim: fault=rate-limited]]", **options), 429)
    raises(errors.InternalServerError, lambda: cohere(url, "[[sim: fault=server-error]]", **options), 500)


# ---------------------------------------------------------------- Bedrock


CLAUDE = "anthropic.claude-sonnet-4-5-20250929-v1:0"
NOVA = "amazon.nova-pro-v1:0"


def bedrock_client(url, secret="sim-secret", key="AKIDSIM", token=None, service="bedrock-runtime"):
    import boto3
    from botocore.config import Config

    # A session of its own: the usual one is not safe to make clients with from several threads.
    session = boto3.session.Session(
        aws_access_key_id=key, aws_secret_access_key=secret, aws_session_token=token, region_name="us-east-1"
    )
    config = Config(retries={"max_attempts": 1, "mode": "standard"}, read_timeout=10, proxies={})
    return session.client(service, endpoint_url=url, config=config)


def bedrock_said(text, *more):
    return [{"role": "user", "content": [{"text": text}, *more]}]


def bedrock_tools():
    tools = [("get_weather", WEATHER), ("get_time", CLOCK)]
    specs = [{"toolSpec": {"name": name, "inputSchema": {"json": schema}}} for name, schema in tools]
    return {"tools": specs}


def bedrock_error(code, action, status):
    from botocore.exceptions import ClientError

    error = raises(ClientError, action)
    same(error.response["Error"]["Code"], code)
    same(error.response["ResponseMetadata"]["HTTPStatusCode"], status)
    return error


@case
def bedrock_plain(url):
    answer = bedrock_client(url).converse(modelId=NOVA, messages=bedrock_said("Hello there"))
    assert "Hello there" in answer["output"]["message"]["content"][0]["text"], answer
    same(answer["stopReason"], "end_turn")
    usage = answer["usage"]
    same(usage["totalTokens"], usage["inputTokens"] + usage["outputTokens"])
    assert answer["ResponseMetadata"]["RequestId"]


@case
def bedrock_stream(url):
    events = list(bedrock_client(url).converse_stream(modelId=NOVA, messages=bedrock_said("[[sim: unicode]]"))["stream"])
    deltas = [event["contentBlockDelta"]["delta"] for event in events if "contentBlockDelta" in event]
    text = "".join(delta["text"] for delta in deltas)
    assert "👩‍👩‍👧‍👦" in text and "日本語" in text, text
    same([next(iter(event)) for event in (events[0], events[-2], events[-1])], ["messageStart", "messageStop", "metadata"])
    assert events[-1]["metadata"]["usage"]["outputTokens"] > 10


@case
def bedrock_tools_and_results(url):
    client = bedrock_client(url)
    messages = bedrock_said("Call get_weather and get_time for Oslo")
    answer = client.converse(modelId=NOVA, messages=messages, toolConfig=bedrock_tools())
    same(answer["stopReason"], "tool_use")
    message = answer["output"]["message"]
    calls = [block["toolUse"] for block in message["content"] if "toolUse" in block]
    same([call["name"] for call in calls], ["get_weather", "get_time"])
    results = [
        {"toolResult": {"toolUseId": call["toolUseId"], "content": [{"text": "fine"}], "status": "success"}}
        for call in calls
    ]
    messages += [message, {"role": "user", "content": results}]
    text = client.converse(modelId=NOVA, messages=messages, toolConfig=bedrock_tools())
    assert "get_weather returned: fine" in text["output"]["message"]["content"][0]["text"], text
    bedrock_error(
        "ValidationException",
        lambda: client.converse(modelId=NOVA, messages=messages[:2] + bedrock_said("well?"), toolConfig=bedrock_tools()),
        400,
    )


@case
def bedrock_streamed_tool(url):
    stream = bedrock_client(url).converse_stream(
        modelId=NOVA, messages=bedrock_said("get_weather"), toolConfig=bedrock_tools()
    )
    events = list(stream["stream"])
    starts = [event["contentBlockStart"]["start"]["toolUse"]["name"] for event in events if "contentBlockStart" in event]
    same(starts, ["get_weather"])
    pieces = [
        event["contentBlockDelta"]["delta"]["toolUse"]["input"]
        for event in events
        if "toolUse" in event.get("contentBlockDelta", {}).get("delta", {})
    ]
    same(sorted(json.loads("".join(pieces))), ["city", "unit"])


@case
def bedrock_reasoning(url):
    client = bedrock_client(url)
    more = {
        "modelId": CLAUDE,
        "toolConfig": bedrock_tools(),
        "inferenceConfig": {"maxTokens": 4000},
        "additionalModelRequestFields": {"thinking": {"type": "enabled", "budget_tokens": 1024}},
    }
    messages = bedrock_said("get_weather")
    message = client.converse(messages=messages, **more)["output"]["message"]
    reasoning = message["content"][0]["reasoningContent"]["reasoningText"]
    assert reasoning["text"] and reasoning["signature"], message
    call = message["content"][1]["toolUse"]
    result = {"toolResult": {"toolUseId": call["toolUseId"], "content": [{"json": {"t": 1}}]}}
    messages += [message, {"role": "user", "content": [result]}]
    same(client.converse(messages=messages, **more)["stopReason"], "end_turn")
    reasoning["signature"] = "x" + reasoning["signature"][1:]
    bedrock_error("ValidationException", lambda: client.converse(messages=messages, **more), 400)
    redacted = client.converse(messages=bedrock_said("[[sim: redacted]]"), **more)["output"]["message"]
    assert isinstance(redacted["content"][0]["reasoningContent"]["redactedContent"], bytes), redacted


@case
def bedrock_media_and_schema(url):
    client = bedrock_client(url)
    parts = [
        {"image": {"format": "png", "source": {"bytes": base64.b64decode(PIXEL)}}},
        {"document": {"format": "pdf", "name": "report", "source": {"bytes": b"%PDF-1.4"}}},
    ]
    answer = client.converse(modelId=CLAUDE, messages=bedrock_said("What is it?", *parts))
    text = answer["output"]["message"]["content"][0]["text"]
    assert "1 image" in text and "1 document" in text, text
    format = {"type": "json_schema", "structure": {"jsonSchema": {"schema": json.dumps(PERSON)}}}
    answer = client.converse(modelId=CLAUDE, messages=bedrock_said("Who?"), outputConfig={"textFormat": format})
    check_person(answer["output"]["message"]["content"][0]["text"])


@case
def bedrock_count_and_embeddings(url):
    client = bedrock_client(url)
    count = client.count_tokens(modelId=CLAUDE, input={"converse": {"messages": bedrock_said("Hello")}})
    usage = client.converse(modelId=CLAUDE, messages=bedrock_said("Hello"))["usage"]
    same(count["inputTokens"], usage["inputTokens"])
    body = json.dumps({"inputText": "Hello", "dimensions": 256})
    answer = json.loads(client.invoke_model(modelId="amazon.titan-embed-text-v2:0", body=body)["body"].read())
    same(len(answer["embedding"]), 256)


def bedrock_ranking(url, secret="sim-secret", arn="arn:aws:bedrock:us-east-1::foundation-model/amazon.rerank-v1:0", wanted=2):
    documents = ["the weather in Oslo", "how to bake bread", "Oslo weather today"]
    source = lambda text: {"type": "INLINE", "inlineDocumentSource": {"type": "TEXT", "textDocument": {"text": text}}}
    ranking = {"modelConfiguration": {"modelArn": arn}, "numberOfResults": wanted}
    return bedrock_client(url, secret, service="bedrock-agent-runtime").rerank(
        queries=[{"type": "TEXT", "textQuery": {"text": "weather in Oslo"}}],
        sources=[source(text) for text in documents],
        rerankingConfiguration={"type": "BEDROCK_RERANKING_MODEL", "bedrockRerankingConfiguration": ranking},
    )


@case
def bedrock_rerank(url):
    results = bedrock_ranking(url)["results"]
    same([result["index"] for result in results], [0, 2])
    assert 0 < results[1]["relevanceScore"] <= results[0]["relevanceScore"] <= 1, results
    elsewhere = "arn:aws:bedrock:eu-west-3::foundation-model/amazon.rerank-v1:0"
    bedrock_error("ValidationException", lambda: bedrock_ranking(url, arn=elsewhere), 400)
    bedrock_error("InvalidSignatureException", lambda: bedrock_ranking(url, secret="other"), 403)


@case
def bedrock_signatures(url):
    arn = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc123"
    for client in (bedrock_client(url), bedrock_client(url, token="session-token")):
        for model in (NOVA, arn):
            same(client.converse(modelId=model, messages=bedrock_said("é漢"))["stopReason"], "end_turn")
    ask = lambda client: lambda: client.converse(modelId=NOVA, messages=bedrock_said("Hello"))
    bedrock_error("InvalidSignatureException", ask(bedrock_client(url, secret="other")), 403)
    bedrock_error("UnrecognizedClientException", ask(bedrock_client(url, key="AKIDOTHER")), 403)


@case
def bedrock_errors(url):
    from botocore.exceptions import EventStreamError

    client = bedrock_client(url)
    ask = lambda text: lambda: client.converse(modelId=NOVA, messages=bedrock_said(text))
    bedrock_error("ThrottlingException", ask("[[sim: fault=rate-limited]]"), 429)
    bedrock_error("InternalServerException", ask("[[sim: fault=server-error]]"), 500)
    bedrock_error("AccessDeniedException", ask("[[sim: fault=forbidden]]"), 403)
    bedrock_error("ValidationException", ask("[[sim: fault=context-too-long]]"), 400)
    assert isinstance(raises(client.exceptions.ThrottlingException, ask("[[sim: fault=rate-limited]]")), Exception)
    broken = client.converse_stream(modelId=NOVA, messages=bedrock_said("[[sim: fault=quota-mid-stream=2 words=30]]"))
    error = raises(EventStreamError, lambda: list(broken["stream"]))
    same(error.response["Error"]["Code"], "throttlingException")


CLIENTS = ("openai", "anthropic", "gemini", "mistral", "bedrock", "cohere")


def main():
    # Names of deprecated models are used on purpose: they differ in what they support.
    warnings.simplefilter("ignore")
    urls = dict(zip(CLIENTS, sys.argv[1:]))
    passed = failed = 0
    for run in CASES:
        url = urls.get(run.__name__.split("_")[0], "-")
        if url == "-":
            continue
        try:
            run(url)
            passed += 1
        except Exception as error:  # noqa: BLE001 - every failure is reported, none ends the run
            failed += 1
            place = traceback.extract_tb(error.__traceback__)
            own = [frame for frame in place if frame.filename == __file__]
            print(f"FAILED {run.__name__} (line {own[-1].lineno}): {type(error).__name__}: {str(error)[:600]}")
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
