"""The official OpenAI client's responses API through the gateway: what an application of it relies on.

Behind it is each provider of the run: one that speaks the API too, and those that do not.
"""

import json
import time

import openai
import pydantic

from harness import CLOCK, PERSON, PIXEL, WEATHER, Place, case, check_person, check_unicode, check_weather, holds
from harness import kept, raises, same
from processes import KEY
import openai_cases

NO_COUNT = "the provider does not count tokens"
NO_REASONING = "chat completions of this vendor show no reasoning"


@kept
def client(key=KEY):
    return openai.OpenAI(base_url=Place.gateway + "/v1", api_key=key, max_retries=0, timeout=40)


def create(target, content, **more):
    more.setdefault("model", target.model(target.chat))
    return client().responses.create(input=content, **more)


def thinking(target, content, **more):
    return create(target, content, model=target.model(target.thinking), **more)


def tools():
    functions = [("get_weather", WEATHER), ("get_time", CLOCK)]
    return [
        {"type": "function", "name": name, "description": f"Does {name}", "parameters": schema, "strict": True}
        for name, schema in functions
    ]


def calls(response):
    return [item for item in response.output if item.type == "function_call"]


def results(response):
    return [{"type": "function_call_output", "call_id": call.call_id, "output": f"fine {call.name}"} for call in calls(response)]


@case("responses")
def responses_create(target):
    response = create(target, "Hello there", instructions="Be kind.", metadata={"team": "a"})
    holds('"Hello there"', response.output_text)
    holds("Be kind.", response.output_text)
    same((response.object, response.status, response.error), ("response", "completed", None))
    same((response.metadata, response.instructions, response.tool_choice), ({"team": "a"}, "Be kind.", "auto"))
    assert response.id.startswith("resp_") and response.created_at > 1_600_000_000, response
    usage = response.usage
    same(usage.total_tokens, usage.input_tokens + usage.output_tokens)
    assert usage.input_tokens_details.cached_tokens >= 0 and usage.output_tokens_details.reasoning_tokens >= 0


@case("responses")
def responses_stream(target):
    events = list(create(target, "[[sim: unicode]]", stream=True))
    same([event.sequence_number for event in events], list(range(len(events))))
    same([event.type for event in events[:2]], ["response.created", "response.in_progress"])
    same(events[-1].type, "response.completed")
    # Every event is one the client has a type for.
    assert all(type(event).__name__.startswith("Response") for event in events), {type(event) for event in events}
    text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    check_unicode(text)
    same(text, events[-1].response.output_text)


@case("responses")
def responses_stream_helper(target):
    with client().responses.stream(model=target.model(target.chat), input="Use get_weather and get_time", tools=tools()) as stream:
        for _ in stream:
            pass
        response = stream.get_final_response()
    same([call.name for call in calls(response)], ["get_weather", "get_time"])


@case("responses")
def responses_messages(target):
    image = {"type": "input_image", "image_url": f"data:image/png;base64,{PIXEL}", "detail": "auto"}
    response = create(
        target,
        [
            {"role": "developer", "content": "Speak plainly."},
            {"role": "user", "content": "First"},
            {"role": "assistant", "content": "Answer"},
            {"role": "user", "content": [{"type": "input_text", "text": "What is this?"}, image]},
        ],
    )
    holds("What is this?", response.output_text)
    holds("1 image", response.output_text)


@case("responses")
def responses_tools_loop(target):
    items = [{"role": "user", "content": "Use get_weather and get_time"}]
    first = create(target, items, tools=tools(), store=False)
    same([call.name for call in calls(first)], ["get_weather", "get_time"])
    check_weather(json.loads(calls(first)[0].arguments))
    items += [item.to_dict() for item in first.output] + results(first)
    second = create(target, items, tools=tools(), store=False)
    holds("get_weather returned: fine get_weather", second.output_text)
    holds("get_time returned: fine get_time", second.output_text)


@case("responses")
def responses_streamed_tools(target):
    events = list(create(target, "Use get_weather", tools=tools(), stream=True))
    done = [event for event in events if event.type == "response.function_call_arguments.done"]
    same([event.name for event in done], ["get_weather"])
    pieces = "".join(event.delta for event in events if event.type == "response.function_call_arguments.delta")
    same(pieces, done[0].arguments)
    check_weather(json.loads(pieces))


@case("responses")
def responses_tool_choice(target):
    def called(choice, content="Hello"):
        return [call.name for call in calls(create(target, content, tools=tools(), tool_choice=choice))]

    same(called("required"), ["get_weather"])
    same(called("none", "Use get_weather"), [])
    same(called({"type": "function", "name": "get_time"}), ["get_time"])


@case("responses")
def responses_custom_tool(target):
    tool = {"type": "custom", "name": "write_note", "description": "Writes a note"}
    first = create(target, "Please write_note", tools=[tool])
    made = [item for item in first.output if item.type == "custom_tool_call"]
    same([call.name for call in made], ["write_note"])
    output = {"type": "custom_tool_call_output", "call_id": made[0].call_id, "output": "noted"}
    second = create(target, [output], tools=[tool], previous_response_id=first.id)
    holds("noted", second.output_text)


@case("responses", mistral="the provider seals no reasoning", **{"chat-only": NO_REASONING}, cohere="Cohere has no sealed reasoning")
def responses_reasoning_over_two_turns(target):
    items = [{"role": "user", "content": "Use get_weather"}]
    more = {"reasoning": {"effort": "medium", "summary": "auto"}, "include": ["reasoning.encrypted_content"], "store": False}
    first = thinking(target, items, tools=tools(), **more)
    reasoning = [item for item in first.output if item.type == "reasoning"]
    assert reasoning and any(item.encrypted_content for item in reasoning), first.output
    if target.provider != "bedrock":  # It counts reasoning as output.
        assert first.usage.output_tokens_details.reasoning_tokens > 0, first.usage
    items += [item.to_dict() for item in first.output] + results(first)
    # The simulators refuse state that was changed, moved or left out.
    second = thinking(target, items, tools=tools(), **more)
    holds("get_weather returned: fine get_weather", second.output_text)


@case("responses", **{"chat-only": NO_REASONING})
def responses_streamed_reasoning(target):
    events = list(thinking(target, "Hello", reasoning={"effort": "medium", "summary": "auto"}, stream=True))
    summary = "".join(event.delta for event in events if event.type == "response.reasoning_summary_text.delta")
    holds("The user says", summary)
    final = events[-1].response
    same([item.type for item in final.output], ["reasoning", "message"])
    same(final.output[0].summary[0].text, summary)


@case("responses")
def responses_structured_output(target):
    form = {"format": {"type": "json_schema", "name": "person", "schema": PERSON, "strict": True}}
    check_person(create(target, "Someone", text=form).output_text)


@case("responses")
def responses_parse(target):
    class Event(pydantic.BaseModel):
        name: str
        guests: list[str]

    response = client().responses.parse(model=target.model(target.chat), input="An event", text_format=Event)
    assert isinstance(response.output_parsed, Event), response


@case("responses")
def responses_limit(target):
    response = create(target, "[[sim: words=100]]", max_output_tokens=20)
    same((response.status, response.incomplete_details.reason), ("incomplete", "max_output_tokens"))
    events = list(create(target, "[[sim: words=100]]", max_output_tokens=20, stream=True))
    same(events[-1].type, "response.incomplete")


@case("responses", mistral="the provider declines in plain text", cohere="Cohere refuses in plain text")
def responses_refusal(target):
    response = create(target, "[[sim: refuse]]")
    parts = [part for item in response.output if item.type == "message" for part in item.content]
    assert response.status == "incomplete" or any(part.type == "refusal" for part in parts), response


@case("responses")
def responses_previous(target):
    first = create(target, "Use get_weather", tools=tools())
    second = create(target, results(first), tools=tools(), previous_response_id=first.id)
    holds("get_weather returned: fine get_weather", second.output_text)
    same(second.previous_response_id, first.id)
    third = create(target, "And now?", previous_response_id=second.id, stream=True)
    same(list(third)[-1].response.previous_response_id, second.id)
    error = raises(openai.BadRequestError, lambda: create(target, "x", previous_response_id="resp_none"), 400)
    same(error.param, "previous_response_id")


@case("responses")
def responses_retrieve_and_delete(target):
    made = create(target, "Hello there")
    same(client().responses.retrieve(made.id).to_dict(), made.to_dict())
    items = list(client().responses.input_items.list(made.id))
    same(items[0].content[0].text, "Hello there")
    events = list(client().responses.retrieve(made.id, stream=True))
    same(events[-1].response.to_dict(), made.to_dict())
    client().responses.delete(made.id)
    raises(openai.NotFoundError, lambda: client().responses.retrieve(made.id), 404)
    unkept = create(target, "Hello there", store=False)
    raises(openai.NotFoundError, lambda: client().responses.retrieve(unkept.id), 404)


@case("responses", mistral=NO_COUNT, cohere=NO_COUNT, **{"chat-only": NO_COUNT})
def responses_input_tokens(target):
    model = target.model(target.chat)
    count = client().responses.input_tokens.count(model=model, input="Hello there", instructions="Be kind.")
    same(count.object, "response.input_tokens")
    made = create(target, "Hello there", instructions="Be kind.")
    same(count.input_tokens, made.usage.input_tokens)
    longer = client().responses.input_tokens.count(model=model, input="Go on", previous_response_id=made.id)
    assert longer.input_tokens > count.input_tokens, (longer, count)


@case("responses")
def responses_conversations(target):
    kept = client().conversations.create(metadata={"topic": "demo"}, items=[{"role": "user", "content": "First"}])
    same((kept.object, kept.metadata), ("conversation", {"topic": "demo"}))
    made = create(target, "[[sim: echo]] Second", conversation=kept.id)
    same(made.conversation.id, kept.id)
    events = list(create(target, "Third", conversation=kept.id, stream=True))
    same(events[-1].response.conversation.id, kept.id)
    items = list(client().conversations.items.list(kept.id, order="asc"))
    texts = [item.content[0].text for item in items if item.type == "message" and item.role == "user"]
    same(texts, ["First", "[[sim: echo]] Second", "Third"])
    same(client().conversations.items.retrieve(items[0].id, conversation_id=kept.id).id, items[0].id)
    more = client().conversations.items.create(kept.id, items=[{"role": "user", "content": "Fourth"}])
    same(client().conversations.items.delete(more.first_id, conversation_id=kept.id).id, kept.id)
    same(client().conversations.update(kept.id, metadata={"topic": "other"}).metadata, {"topic": "other"})
    same(client().conversations.delete(kept.id).deleted, True)
    raises(openai.NotFoundError, lambda: client().conversations.retrieve(kept.id), 404)


@case("responses")
def responses_background(target):
    made = create(target, "Hello there", background=True)
    same((made.status, made.background), ("queued", True))
    deadline = time.monotonic() + 20
    while made.status in ("queued", "in_progress"):
        assert time.monotonic() < deadline, made
        made = client().responses.retrieve(made.id)
    same(made.status, "completed")
    holds("Hello there", made.output_text)
    events = list(create(target, "Hello there", background=True, stream=True))
    same(events[-1].type, "response.completed")
    left = list(client().responses.retrieve(events[0].response.id, stream=True, starting_after=3))
    same([event.sequence_number for event in left], [event.sequence_number for event in events][4:])


@case("responses")
def responses_cancel(target):
    made = create(target, "[[sim: fault=hang-before-headers]]", background=True)
    same(client().responses.cancel(made.id).status, "cancelled")
    same(client().responses.retrieve(made.id).status, "cancelled")
    done = create(target, "Hello")
    raises(openai.BadRequestError, lambda: client().responses.cancel(done.id), 400)


@case("responses")
def responses_errors(target):
    raises(openai.NotFoundError, lambda: create(target, "x", model="no-such-model"), 404)
    raises(openai.BadRequestError, lambda: create(target, [{"role": "robot", "content": "x"}]), 400)
    raises(openai.AuthenticationError, lambda: client("sk-wrong").responses.create(model="x", input="x"), 401)
    # The status is the provider's own: 422 at Mistral.
    refused = openai.UnprocessableEntityError if target.provider == "mistral" else openai.BadRequestError
    raises(refused, lambda: create(target, "[[sim: fault=bad-request]]"))
    raises(openai.InternalServerError, lambda: create(target, "[[sim: fault=server-error]]"), 502)
    raises(openai.RateLimitError, lambda: create(target, "[[sim: fault=rate-limited]]"), 429)


@case("responses")
def responses_broken_streams(target):
    for fault in ("cut-after-first-token", "malformed-event", "quota-mid-stream=2", "missing-end"):
        def read():
            return list(create(target, f"[[sim: words=40]] [[sim: fault={fault}]]", stream=True))

        raises(openai.APIError, read)


@case("responses", **openai_cases.NO_LOG_PROBABILITIES)
def responses_log_probabilities(target):
    more = {"include": ["message.output_text.logprobs"], "top_logprobs": 2}
    part = create(target, "Hi", **more).output[-1].content[0]
    same("".join(entry.token for entry in part.logprobs), part.text)
    same({len(entry.top_logprobs) for entry in part.logprobs}, {2})
    events = list(create(target, "Hi", stream=True, **more))
    for event in (event for event in events if event.type == "response.output_text.delta"):
        same("".join(entry.token for entry in event.logprobs), event.delta)
