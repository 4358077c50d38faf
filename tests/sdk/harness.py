"""Cases, where they run, and what they assert with.

Owns the list of cases and their outcome. A case is a function of a `Target`: a provider behind the gateway, with the
models of it that the cases use. What a provider cannot do is said where the case is declared, with the reason, so that
"not applicable" is never a guess made at run time.
"""

import base64
import dataclasses
import functools
import json
import threading


@dataclasses.dataclass(frozen=True)
class Target:
    """A provider behind the gateway, by the dialect it speaks."""

    provider: str
    prefix: str
    chat: str
    thinking: str
    embedding: str | None

    @property
    def dialect(self):
        """The dialect of the simulators that play it."""
        return {"bedrock": "converse"}.get(self.provider, self.provider)

    def model(self, name):
        return f"{self.prefix}/{name}"


def fields(target):
    """A target as values of JSON."""
    return dataclasses.asdict(target)


OPENAI = Target("openai", "oa", "gpt-4.1-mini", "gpt-5-mini", "text-embedding-3-small")
ANTHROPIC = Target("anthropic", "an", "claude-sonnet-4-5", "claude-sonnet-4-5", None)
GEMINI = Target("gemini", "ge", "gemini-2.5-flash", "gemini-2.5-flash", "gemini-embedding-001")
MISTRAL = Target("mistral", "mi", "mistral-small-latest", "magistral-medium-latest", "mistral-embed")
COHERE = Target("cohere", "co", "command-a-plus-05-2026", "command-a-reasoning-08-2025", "embed-v4.0")
SONNET = "anthropic.claude-sonnet-4-5-20250929-v1:0"
BEDROCK = Target("bedrock", "be", SONNET, SONNET, "cohere.embed-v4:0")
TARGETS = (OPENAI, ANTHROPIC, GEMINI, MISTRAL, BEDROCK, COHERE)
# The same simulator as OPENAI, reached by chat completions only: for clients of the responses API.
CHAT_ONLY = Target("chat-only", "ch", "gpt-4.1-mini", "gpt-5-mini", None)


@dataclasses.dataclass(frozen=True)
class Case:
    """One behaviour seen through one official client."""

    client: str
    name: str
    run: object
    not_applicable: dict


CASES = []


def case(client, **not_applicable):
    """Declares a case of a client; keywords name the providers it does not apply to, each with the reason."""

    def declare(function):
        CASES.append(Case(client, function.__name__.removeprefix(client + "_"), function, not_applicable))
        return function

    return declare



class Place:
    """Where the servers of this run are."""

    gateway = ""
    watch = ""
    web = ""


def kept(make):
    """Makes each client once and keeps it: the Google client closes its connections under its own streams when collected."""
    lock, cached = threading.Lock(), functools.cache(make)

    @functools.wraps(make)
    def one(*arguments, **named):
        with lock:
            return cached(*arguments, **named)

    return one


def same(left, right):
    assert left == right, f"{left!r} is not {right!r}"


def holds(part, whole):
    assert part in whole, f"{part!r} is not in {whole!r}"


def raises(kind, action, status=None):
    """The exception that `action` raises, which must be of this kind and status."""
    try:
        result = action()
    except kind as error:
        if status is not None:
            same(getattr(error, "status_code", None) or getattr(error, "code", None), status)
        return error
    raise AssertionError(f"expected {kind.__name__}, got {result!r}")


PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
PDF = base64.b64encode(b"%PDF-1.4\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n").decode()


def closed(**properties):
    """A schema of an object with exactly these properties."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


WEATHER = closed(city={"type": "string"}, unit={"type": "string", "enum": ["celsius", "fahrenheit"]})
CLOCK = closed(zone={"type": "string"})
PERSON = closed(name={"type": "string"}, age={"type": "integer"})


def check_person(text):
    person = json.loads(text)
    same(sorted(person), ["age", "name"])
    assert isinstance(person["name"], str) and isinstance(person["age"], int), person


def check_weather(arguments):
    same(sorted(arguments), ["city", "unit"])
    assert arguments["unit"] in ("celsius", "fahrenheit"), arguments


# What the simulators answer to `[[sim: unicode]]`, in parts that a wrong split of the stream would break.
UNICODE = ("Grüße", "日本語のテキスト", "👩‍👩‍👧‍👦", "e\u0301 combined", '"quoted" \\ backslash\n\ttab')


def check_unicode(text):
    for part in UNICODE:
        holds(part, text)
