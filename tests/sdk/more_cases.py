"""What applications rely on beyond the shape of answers, through the official Python clients.

Owns the same few behaviours for all three: pictures by address, documents, seeds, long answers, waiting as told, the client's own
time limit, and leaving in the middle of a stream.
"""

import base64
import time
import urllib.request
import uuid

import anthropic
import openai
from google.genai import errors, types

import anthropic_cases
import gemini_cases
import openai_cases
from harness import PDF, Place, case, holds, raises, same
import responses_cases
from processes import KEY, route_name
from web import named_by_url

NO_DOCUMENTS = {"cohere": "takes no documents in messages"}
NO_SEED = dict.fromkeys(("anthropic", "bedrock"), "has no seed")
PATIENT = "rate-limited-retry-after=3"
LONG = "[[sim: words=3000]]"


# Providers that are given bytes where a client of Gemini names a file by URL.
IN_ITS_FORM = {"image": ("bedrock",), "document": ("openai", "bedrock")}
# The same for a client of the responses API, which reaches OpenAI by the responses API too.
BY_RESPONSES = {"image": ("gemini", "bedrock"), "document": ("gemini", "bedrock", "chat-only")}


def leaves(target, leave):
    """A client that leaves must free the provider at once; one of three tries may be as slow as the machine."""
    seen = []
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    for _ in range(3):
        marker = f"watch-{uuid.uuid4().hex[:16]}"
        left = leave(f"w-{target.prefix}/{target.chat}", f"{marker} [[sim: fault=stall=3 words=40]]")
        with opener.open(f"{Place.watch}/closed?marker={marker}", timeout=10) as answer:
            closed = answer.read().partition(b": ")[2].rstrip(b"}")
        assert closed != b"null", "the provider's connection stayed open"
        seen.append(float(closed) - left)
        if seen[-1] < 100:
            return
    raise AssertionError(f"the provider's connection closed only after {seen} ms")


def now():
    return time.time() * 1000


def waits(action):
    """The action waits as long as the provider said before it fails."""
    start = time.monotonic()
    action()
    assert time.monotonic() - start >= 2.8, f"waited {time.monotonic() - start} s"


@case("openai")
def openai_image_url(target):
    image = lambda url: {"type": "image_url", "image_url": {"url": url}}
    ask = lambda url: openai_cases.chat(target, [{"type": "text", "text": "What is this?"}, image(url)])
    answer = named_by_url(target, "image", ask)
    holds("I received 1 image.", answer.choices[0].message.content)


@case("openai", **NO_DOCUMENTS)
def openai_document(target):
    file = {"filename": "report.pdf", "file_data": "data:application/pdf;base64," + PDF}
    answer = openai_cases.chat(target, [{"type": "text", "text": "What is this?"}, {"type": "file", "file": file}])
    holds("1 document", answer.choices[0].message.content)


@case("openai", **NO_SEED)
def openai_seed(target):
    one, two = (openai_cases.chat(target, "Hello", seed=7).choices[0].message.content for _ in range(2))
    same(one, two)


@case("openai")
def openai_long_output(target):
    plain = openai_cases.chat(target, LONG, max_tokens=8000).choices[0].message.content
    pieces = openai_cases.text_of(list(openai_cases.chat(target, LONG, max_tokens=8000, stream=True)))
    same([len(text.split()) for text in (plain, pieces)], [3000, 3000])


@case("openai")
def openai_retry_after(target):
    patient = openai.OpenAI(base_url=Place.gateway + "/v1", api_key=KEY, max_retries=1, timeout=40)
    model = route_name("patient", target, "openai", "plain", PATIENT)
    ask = lambda: patient.chat.completions.create(model=model, messages=openai_cases.said("Hi"))
    waits(lambda: raises(openai.RateLimitError, ask, 429))


@case("openai")
def openai_timeout(target):
    hasty = openai_cases.client().with_options(timeout=0.7)
    messages = openai_cases.said("[[sim: fault=hang-before-headers]]")
    ask = lambda: hasty.chat.completions.create(model=target.model(target.chat), messages=messages)
    raises(openai.APITimeoutError, ask)


@case("openai")
def openai_disconnect(target):
    def leave(model, text):
        with openai_cases.chat(target, text, model=model, stream=True) as stream:
            next(chunk for chunk in stream if chunk.choices and chunk.choices[0].delta.content)
        return now()

    leaves(target, leave)


@case("anthropic")
def anthropic_image_url(target):
    image = lambda url: {"type": "image", "source": {"type": "url", "url": url}}
    ask = lambda url: anthropic_cases.ask(target, [{"type": "text", "text": "What is this?"}, image(url)])
    holds("I received 1 image.", anthropic_cases.text_of(named_by_url(target, "image", ask)))


@case("anthropic", **NO_DOCUMENTS)
def anthropic_document_url(target):
    document = lambda url: {"type": "document", "source": {"type": "url", "url": url}}
    ask = lambda url: anthropic_cases.ask(target, [{"type": "text", "text": "What is this?"}, document(url)])
    holds("1 document", anthropic_cases.text_of(named_by_url(target, "document", ask)))


@case("anthropic", **NO_DOCUMENTS)
def anthropic_document(target):
    source = {"type": "base64", "media_type": "application/pdf", "data": PDF}
    parts = [{"type": "text", "text": "What is this?"}, {"type": "document", "title": "report", "source": source}]
    holds("1 document", anthropic_cases.text_of(anthropic_cases.ask(target, parts)))


@case("anthropic")
def anthropic_long_output(target):
    for how in (anthropic_cases.ask, anthropic_cases.streamed):
        same(len(anthropic_cases.text_of(how(target, LONG, max_tokens=8000)).split()), 3000)


@case("anthropic")
def anthropic_retry_after(target):
    patient = anthropic.Anthropic(base_url=Place.gateway, api_key=KEY, max_retries=1, timeout=40)
    model = route_name("patient", target, "anthropic", "plain", PATIENT)
    ask = lambda: patient.messages.create(model=model, max_tokens=100, messages=anthropic_cases.said("Hi"))
    waits(lambda: raises(anthropic.RateLimitError, ask, 429))


@case("anthropic")
def anthropic_timeout(target):
    hasty = anthropic_cases.client().with_options(timeout=0.7)
    messages = anthropic_cases.said("[[sim: fault=hang-before-headers]]")
    more = {"model": target.model(target.chat), "max_tokens": 100, "messages": messages}
    raises(anthropic.APITimeoutError, lambda: hasty.messages.create(**more))


@case("anthropic")
def anthropic_disconnect(target):
    def leave(model, text):
        with anthropic_cases.ask(target, text, model=model, stream=True) as stream:
            next(event for event in stream if event.type == "content_block_delta")
        return now()

    leaves(target, leave)


@case("gemini")
def gemini_image_url(target):
    image = lambda url: types.Part.from_uri(file_uri=url, mime_type="image/png")
    ask = lambda url: gemini_cases.ask(target, ["What is this?", image(url)])
    # A request in Gemini's own form is not read further than it must be: the URL goes to Gemini as it came.
    holds("I received 1 image.", named_by_url(target, "image", ask, IN_ITS_FORM).text)


@case("gemini", **NO_DOCUMENTS)
def gemini_document_url(target):
    document = lambda url: types.Part.from_uri(file_uri=url, mime_type="application/pdf")
    ask = lambda url: gemini_cases.ask(target, ["What is this?", document(url)])
    holds("1 document", named_by_url(target, "document", ask, IN_ITS_FORM).text)


@case("gemini", **NO_DOCUMENTS)
def gemini_document(target):
    document = types.Part.from_bytes(data=base64.b64decode(PDF), mime_type="application/pdf")
    holds("1 document", gemini_cases.ask(target, ["What is this?", document]).text)


@case("gemini", **NO_SEED)
def gemini_seed(target):
    one, two = (gemini_cases.ask(target, "Hello", seed=7).text for _ in range(2))
    same(one, two)


@case("gemini")
def gemini_long_output(target):
    plain = gemini_cases.ask(target, LONG, max_output_tokens=8000).text
    pieces = gemini_cases.text_of(gemini_cases.streamed(target, LONG, max_output_tokens=8000))
    same([len(text.split()) for text in (plain, pieces)], [3000, 3000])


@case("gemini")
def gemini_timeout(target):
    hang = "[[sim: fault=hang-before-headers]]"
    try:
        gemini_cases.ask(target, hang, http_options={"timeout": 700})
    except errors.APIError as error:
        raise AssertionError(f"an answer came: {error}") from error
    except Exception as error:  # noqa: BLE001 - the client passes on what its transport raises
        holds("timeout", f"{type(error).__name__} {error}".lower())
    else:
        raise AssertionError("nothing was raised")


@case("responses")
def responses_image_url(target):
    image = lambda url: {"type": "input_image", "image_url": url, "detail": "auto"}
    said = lambda url: [{"role": "user", "content": [{"type": "input_text", "text": "What is this?"}, image(url)]}]
    answer = named_by_url(target, "image", lambda url: responses_cases.create(target, said(url)), BY_RESPONSES)
    holds("I received 1 image.", answer.output_text)


@case("responses", **NO_DOCUMENTS)
def responses_document_url(target):
    file = lambda url: {"type": "input_file", "file_url": url}
    said = lambda url: [{"role": "user", "content": [{"type": "input_text", "text": "What is this?"}, file(url)]}]
    answer = named_by_url(target, "document", lambda url: responses_cases.create(target, said(url)), BY_RESPONSES)
    holds("1 document", answer.output_text)
