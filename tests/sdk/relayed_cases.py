"""The official OpenAI client at the endpoints beside conversations: texts continued and judged, pictures, sound.

Each case runs straight against the simulator and through the gateway, so that the client must see the same of both.
"""

import json

import openai

import straight
from harness import Place, case, kept, same
from processes import KEY

ONE_FORM = "the endpoint exists in OpenAI's form only, which this provider does not have"
PNG = ("a.png", b"\x89PNG\r\n\x1a\nnot really", "image/png")
SOUND = ("a.mp3", b"\0" * 2048, "audio/mpeg")


@kept
def client():
    return openai.OpenAI(base_url=Place.gateway + "/v1", api_key=KEY, max_retries=0, timeout=40)


def both(**not_applicable):
    """Declares a function of a client and a way to name models as a case of both kinds."""

    def declare(function):
        name = function.__name__

        def through(target):
            function(client(), target.model)

        def direct(url):
            function(straight.openai_client(url), lambda model: model)

        through.__name__ = direct.__name__ = "openai_" + name
        case("openai", **not_applicable)(through)
        straight.case(direct)
        return function

    return declare


RELAYED = {name: ONE_FORM for name in ("anthropic", "gemini", "mistral", "bedrock", "cohere")}


@both(**RELAYED)
def completions(client, model):
    answer = client.completions.create(model=model("gpt-3.5-turbo-instruct"), prompt="Once upon a time", max_tokens=40)
    same((answer.object, answer.choices[0].index), ("text_completion", 0))
    assert answer.choices[0].text and answer.usage.completion_tokens > 0, answer
    chunks = list(
        client.completions.create(
            model=model("gpt-3.5-turbo-instruct"), prompt="Once upon a time", max_tokens=40, stream=True
        )
    )
    same("".join(chunk.choices[0].text for chunk in chunks if chunk.choices), answer.choices[0].text)
    same([chunk.usage for chunk in chunks if chunk.usage], [])


@both(**RELAYED)
def moderations(client, model):
    answer = client.moderations.create(model=model("omni-moderation-latest"), input=["hello", "I will kill it"])
    same([result.flagged for result in answer.results], [False, True])
    same(answer.results[1].categories.violence, True)


@both(**RELAYED)
def images(client, model):
    answer = client.images.generate(model=model("gpt-image-2"), prompt="a cat", n=2)
    same(len(answer.data), 2)
    assert answer.data[0].b64_json and answer.usage.input_tokens_details.image_tokens == 0, answer
    events = list(client.images.generate(model=model("gpt-image-2"), prompt="a cat", stream=True, partial_images=1))
    same([event.type for event in events], ["image_generation.partial_image", "image_generation.completed"])
    assert events[-1].usage.output_tokens > 0


@both(**RELAYED)
def image_edits(client, model):
    edited = client.images.edit(model=model("gpt-image-2"), image=[PNG, PNG], prompt="brighter")
    same(edited.usage.input_tokens_details.image_tokens, 2 * 272)
    same(len(client.images.create_variation(model=model("gpt-image-2"), image=PNG, n=2).data), 2)
    events = list(client.images.edit(model=model("gpt-image-2"), image=PNG, prompt="brighter", stream=True))
    same(events[-1].type, "image_edit.completed")


@both(**RELAYED)
def transcriptions(client, model):
    heard = client.audio.transcriptions.create(model=model("gpt-4o-transcribe"), file=SOUND)
    assert "quick brown fox" in heard.text and heard.usage.type == "tokens", heard
    whisper = client.audio.transcriptions.create(
        model=model("whisper-1"), file=SOUND, response_format="verbose_json", timestamp_granularities=["segment"]
    )
    same((whisper.duration, len(whisper.segments)), (2.0, 1))
    for form, sign in (("text", "quick"), ("srt", "-->"), ("vtt", "WEBVTT")):
        text = client.audio.transcriptions.create(model=model("whisper-1"), file=SOUND, response_format=form)
        assert isinstance(text, str) and sign in text, text
    events = list(client.audio.transcriptions.create(model=model("gpt-4o-transcribe"), file=SOUND, stream=True))
    same(events[-1].type, "transcript.text.done")
    same("".join(event.delta for event in events[:-1]), events[-1].text)
    assert "fox" in client.audio.translations.create(model=model("whisper-1"), file=SOUND).text


@both(**RELAYED)
def speech(client, model):
    spoken = {"model": model("gpt-4o-mini-tts"), "voice": "alloy", "input": "Hello there, you"}
    whole = client.audio.speech.create(**spoken).read()
    same(len(whole), 16 * 64)
    with client.audio.speech.with_streaming_response.create(response_format="wav", **spoken) as answer:
        same((answer.headers["content-type"], len(b"".join(answer.iter_bytes(100)))), ("audio/wav", len(whole)))
    with client.audio.speech.with_streaming_response.create(stream_format="sse", **spoken) as answer:
        lines = [line for line in answer.iter_lines() if line.startswith("data: ")]
    same(json.loads(lines[-1][6:])["type"], "speech.audio.done")


@both(**RELAYED)
def relayed_errors(client, model):
    straight.raises(
        openai.BadRequestError, lambda: client.images.generate(model=model("gpt-image-2"), prompt="a", n=99), 400
    )


@case("openai")
def openai_completions_by_conversation(target):
    # Where the provider continues no texts, its conversations stand in.
    answer = client().completions.with_raw_response.create(
        model=target.model(target.chat), prompt="Once upon a time", max_tokens=400
    )
    assert "completions emulated" in answer.headers["x-trunkline-warnings"], answer.headers
    answer = answer.parse()
    assert answer.object == "text_completion" and answer.choices[0].text, answer
    chunks = list(
        client().completions.create(
            model=target.model(target.chat), prompt="Once upon a time", max_tokens=400, stream=True
        )
    )
    same("".join(chunk.choices[0].text for chunk in chunks if chunk.choices), answer.choices[0].text)
    same(chunks[-1].choices[0].finish_reason, "stop")


@case("openai", **{name: ONE_FORM for name in RELAYED})
def openai_cut_sound_raises(target):
    spoken = {"model": target.model("tts-1"), "voice": "alloy", "input": "[[sim: fault=cut-after-first-token]]" * 20}
    try:
        client().audio.speech.create(**spoken).read()
    except Exception as error:  # noqa: BLE001 - which one depends on the HTTP library below
        assert "peer closed" in str(error).lower() or "connection" in str(error).lower(), error
        return
    raise AssertionError("a cut sound came as a whole one")
