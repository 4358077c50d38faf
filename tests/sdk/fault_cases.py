"""What applications see when providers fail, through each official client.

Three kinds of case, after the route they use: `hidden` faults, which come before the first token and which a healthy second
deployment must hide; `told` faults, with nobody to fail over to, which must be the client's own typed exception; `broken`
streams, which must raise and never look finished.
"""

import anthropic
import openai
from google.genai import errors

import anthropic_cases
import gemini_cases
import openai_cases
from harness import Place, Target, case, holds, raises, same
from processes import BROKEN, HIDDEN, KEY, MODES, NARROW, REVOKED, SLOW, TOLD, route_name

QUESTION = "Where does this go?"


class OpenAi:
    """The OpenAI client, as far as faults are concerned."""

    name = "openai"
    base = openai.APIError
    kinds = openai

    @staticmethod
    def ask(model, mode, key=KEY, **more):
        chat = openai_cases.client(key).chat.completions.with_raw_response
        answer = chat.create(model=model, messages=openai_cases.said(QUESTION), stream=mode == "stream", **more)
        value = answer.parse()
        text = openai_cases.text_of(list(value)) if mode == "stream" else value.choices[0].message.content
        return text, answer.headers


class Anthropic:
    """The Anthropic client, as far as faults are concerned."""

    name = "anthropic"
    base = anthropic.APIError
    kinds = anthropic

    @staticmethod
    def ask(model, mode, key=KEY, **more):
        messages = anthropic_cases.client(key).messages.with_raw_response
        more.setdefault("max_tokens", 500)
        answer = messages.create(
            model=model, messages=anthropic_cases.said(QUESTION), stream=mode == "stream", **more
        )
        value = answer.parse()
        if mode == "plain":
            return anthropic_cases.text_of(value), answer.headers
        deltas = (event.delta for event in value if event.type == "content_block_delta")
        return "".join(delta.text for delta in deltas if delta.type == "text_delta"), answer.headers


class Gemini:
    """The Google client, as far as faults are concerned."""

    name = "gemini"
    base = errors.APIError

    @staticmethod
    def ask(model, mode, key=KEY):
        models = gemini_cases.client(key).models
        if mode == "plain":
            answer = models.generate_content(model=model, contents=QUESTION)
            return answer.text, answer.sdk_http_response.headers
        chunks = list(models.generate_content_stream(model=model, contents=QUESTION))
        return gemini_cases.text_of(chunks), chunks[0].sdk_http_response.headers


# Per fault: the status that applications see and the exception of the two clients that have one per status.
SEEN = {
    "bad-request": (400, "BadRequestError"),
    # Our own credentials are at fault, not the application's: 401 or 403 would send it looking in the wrong place.
    "unauthorized": (502, "InternalServerError"),
    "forbidden": (502, "InternalServerError"),
    "not-found": (502, "InternalServerError"),
    "rate-limited-retry-after=30": (429, "RateLimitError"),
    "quota-exhausted": (429, "RateLimitError"),
    "server-error": (502, "InternalServerError"),
    "unavailable": (503, "InternalServerError"),
    "overloaded": (503, "InternalServerError"),
    "context-too-long": (400, "BadRequestError"),
    "content-filtered": (400, "BadRequestError"),
    "cut-before-headers": (502, "InternalServerError"),
    "hang-before-headers": (504, "InternalServerError"),
}


def gathered(failures):
    assert not failures, "; ".join(failures)


def attempt(failures, label, action):
    """Runs one of many checks and keeps what went wrong."""
    try:
        action()
    except Exception as error:  # noqa: BLE001 - reported with its place, together with the others
        failures.append(f"{label}: {type(error).__name__}: {str(error)[:200]}")


def hidden(client, target, mode):
    failures = []
    for fault in HIDDEN:

        def check(fault=fault):
            text, headers = client.ask(route_name("hidden", target, client.name, mode, fault), mode)
            holds(QUESTION, text)
            assert int(headers["x-trunkline-attempts"]) >= 2, dict(headers)
            assert headers["x-trunkline-provider"] != target.prefix, dict(headers)

        attempt(failures, fault, check)
    gathered(failures)


def told(client, target):
    failures = []
    for fault in TOLD:
        status, kind = SEEN[fault]
        if client is OpenAi and (target.provider, fault) == ("mistral", "bad-request"):
            # Mistral's own status, which OpenAI's clients know too.
            status, kind = 422, "UnprocessableEntityError"
        if client is Anthropic and status == 503:
            # The status by which Anthropic's clients know overload.
            status = 529
        for mode in MODES:

            def check(fault=fault, mode=mode, status=status):
                exception = getattr(client.kinds, kind) if client is not Gemini else errors.APIError
                model = route_name("told", target, client.name, mode, fault)
                error = raises(exception, lambda: client.ask(model, mode)[0], status)
                if fault.startswith("rate-limited") and client is not Gemini:
                    assert 28 <= int(error.response.headers["retry-after"]) <= 30, error.response.headers
                if client is not Gemini:
                    assert error.response.headers["x-trunkline-request-id"], error.response.headers

            attempt(failures, f"{fault} {mode}", check)
    gathered(failures)


def broken(client, target):
    failures = []
    for fault in BROKEN:
        model = route_name("broken", target, client.name, "stream", fault)
        attempt(failures, fault, lambda model=model: raises(client.base, lambda: client.ask(model, "stream")[0]))
    gathered(failures)


def declare(client):
    """Declares the fault cases of one client."""

    def failover_plain(target):
        hidden(client, target, "plain")

    def failover_streamed(target):
        hidden(client, target, "stream")

    def typed_errors(target):
        told(client, target)

    def broken_streams(target):
        broken(client, target)

    for function in (failover_plain, failover_streamed, typed_errors, broken_streams):
        case(client.name)(function)


for _client in (OpenAi, Anthropic, Gemini):
    declare(_client)


def refused_by_us(client, target):
    """What the gateway itself refuses, as the exception that an application handles."""
    kinds = client.kinds
    model = target.model(target.chat)
    for mode in MODES:
        for key in ("sk-unknown-0123456789", REVOKED):
            error = raises(kinds.AuthenticationError, lambda key=key: client.ask(model, mode, key), 401)
            holds("virtual key", str(error))
        raises(kinds.PermissionDeniedError, lambda: client.ask("auto", mode, NARROW), 403)
        error = raises(kinds.NotFoundError, lambda: client.ask(model + "-x", mode), 404)
        holds(model, str(error))
        raises(kinds.BadRequestError, lambda: client.ask(model, mode, extra_body={"messages": 7}), 400)
        raises(
            kinds.BadRequestError,
            lambda: client.ask(model, mode, extra_headers={"x-trunkline-timeout-ms": "soon"}),
            400,
        )
        large = {"metadata": {"note": "x" * 1_100_000}}
        raises(kinds.APIStatusError, lambda: client.ask(model, mode, extra_body=large), 413)


@case("openai", anthropic="the same for every provider", gemini="the same for every provider", mistral="the same for every provider", cohere="the same for every provider", bedrock="the same for every provider")
def openai_refused_by_the_gateway(target: Target):
    refused_by_us(OpenAi, target)
    name = target.model(target.chat)
    # The one request a minute of this key may have been another client's.
    errors_seen = []
    for _ in range(2):
        attempt(errors_seen, "limit", lambda: OpenAi.ask(name, "plain", SLOW))
    error = raises(openai.RateLimitError, lambda: OpenAi.ask(name, "plain", SLOW), 429)
    assert 1 <= int(error.response.headers["retry-after"]) <= 62, error.response.headers
    same(error.code, "rate_limited")


@case("anthropic", openai="the same for every provider", gemini="the same for every provider", mistral="the same for every provider", cohere="the same for every provider", bedrock="the same for every provider")
def anthropic_refused_by_the_gateway(target: Target):
    refused_by_us(Anthropic, target)
    error = raises(anthropic.NotFoundError, lambda: Anthropic.ask("no-such-model", "plain"), 404)
    same(error.body["type"], "error")
    same(error.body["error"]["type"], "not_found_error")
    assert error.body["request_id"] == error.response.headers["request-id"], error.body


def own_headers(client, target):
    """Our request headers are honoured and our response headers are there."""
    model = target.model(target.chat)
    for mode in MODES:
        _, headers = client.ask(model, mode, extra_headers={"x-trunkline-tags": "feature=search"})
        same((headers["x-trunkline-provider"], headers["x-trunkline-model"]), (target.prefix, target.chat))
        same((headers["x-trunkline-attempts"], headers["x-trunkline-route"]), ("1", model))
        same(headers["x-trunkline-decision"], headers["x-trunkline-request-id"])
        same(headers["x-request-id" if client is OpenAi else "request-id"], headers["x-trunkline-request-id"])
        _, headers = client.ask("auto", mode, extra_headers={"x-trunkline-pin": model})
        same((headers["x-trunkline-provider"], headers["x-trunkline-model"]), (target.prefix, target.chat))
        _, headers = client.ask("auto", mode, extra_headers={"x-trunkline-route": "auto"})
        same(headers["x-trunkline-route"], "auto")
    _, headers = client.ask(model, "plain")
    assert float(headers["x-trunkline-cost-usd"]) > 0, dict(headers)
    same(headers["x-trunkline-cost-confidence"], "exact")


@case("openai", cohere="its simulated model has no price in the catalogue, so its cost is unknown")
def openai_headers(target):
    own_headers(OpenAi, target)


@case("anthropic", cohere="its simulated model has no price in the catalogue, so its cost is unknown")
def anthropic_headers(target):
    own_headers(Anthropic, target)


@case("openai")
def openai_dry_run(target):
    model = target.model(target.chat)
    chat = openai_cases.client().chat.completions.with_raw_response
    dry = chat.create(
        model=model, messages=openai_cases.said(QUESTION), extra_headers={"x-trunkline-dry-run": "true"}
    )
    holds(model, dry.text if isinstance(dry.text, str) else dry.text())
    import httpx2

    decision = OpenAi.ask(model, "plain")[1]["x-trunkline-decision"]
    authorization = {"authorization": f"Bearer {KEY}"}
    past = httpx2.get(f"{Place.gateway}/v1/decisions/{decision}", headers=authorization, trust_env=False)
    same(past.status_code, 200)
    record = past.json()
    same((record["key"], record["deployment"], record["outcome"]), ("app", model, "served"))
    holds(["team", "conformance"], record["tags"])
