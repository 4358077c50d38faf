"""Answers that cite pages of the web, through each official client: the same words of the answer rest on the same pages,
whichever provider says so and in whichever unit it counts.
"""

import anthropic_cases
import gemini_cases
import openai_cases
import responses_cases
from harness import ANTHROPIC, case, holds, same

CITE = "What is the weather like? [[sim: cite]]"
# The claims of the simulators' answer and the pages they rest on.
ZURICH = ("https://wetter.example/zuerich", "In Zürich regnet es.")
GENEVA = ("https://wetter.example/genf", "scheint in Genf die Sonne.")
BOTH = [ZURICH, GENEVA]
CITES_NOTHING = "its simulated models cite nothing"


def rests(text, annotations):
    """Pages with the words of a text that rest on them, by indices of characters."""
    for one in annotations:
        assert one.title.startswith("Wetter in "), one
    return [(one.url, text[one.start_index : one.end_index]) for one in annotations]


@case("openai", mistral=CITES_NOTHING)
def openai_sources(target):
    message = openai_cases.chat(target, CITE).choices[0].message
    same({one.type for one in message.annotations}, {"url_citation"})
    same(rests(message.content, [one.url_citation for one in message.annotations]), BOTH)
    chunks = list(openai_cases.chat(target, CITE, stream=True))
    told = [one for chunk in chunks for one in getattr(chunk.choices[0].delta, "annotations", None) or []]
    text = openai_cases.text_of(chunks)
    same(text, message.content)
    same([(one["url_citation"]["url"], one["url_citation"]["start_index"]) for one in told],
         [(one.url_citation.url, one.url_citation.start_index) for one in message.annotations])
    again = openai_cases.said(CITE) + [message] + openai_cases.said("And again")
    holds('"And again"', openai_cases.chat(target, "", messages=again).choices[0].message.content)


@case("responses", mistral=CITES_NOTHING)
def responses_sources(target):
    def parts(response):
        return [part for item in response.output if item.type == "message" for part in item.content]

    def cited(response):
        return [one for part in parts(response) for one in rests(part.text, part.annotations)]

    response = responses_cases.create(target, CITE)
    same(cited(response), BOTH)
    events = list(responses_cases.create(target, CITE, stream=True))
    same([event.sequence_number for event in events], list(range(len(events))))
    added = [event for event in events if event.type == "response.output_text.annotation.added"]
    same(len(added), 2)
    for event in added:
        assert type(event).__name__ == "ResponseOutputTextAnnotationAddedEvent", event
        part = events[-1].response.output[event.output_index].content[event.content_index]
        same(part.annotations[event.annotation_index].model_dump(), dict(event.annotation))
    same(cited(events[-1].response), BOTH)
    items = [item.model_dump(exclude_none=True) for item in response.output]
    history = [{"role": "user", "content": CITE}, *items, {"role": "user", "content": "And again"}]
    holds('"And again"', responses_cases.create(target, history).output_text)


@case("anthropic", mistral=CITES_NOTHING)
def anthropic_sources(target):
    for message in (anthropic_cases.ask(target, CITE), anthropic_cases.streamed(target, CITE)):
        cited = [(one.url, block.text) for block in message.content for one in block.citations or []]
        same([url for url, _ in cited], [url for url, _ in BOTH])
        for (_, claim), (_, text) in zip(BOTH, cited):
            holds(claim, text)
        kinds = {one.type for block in message.content for one in block.citations or []}
        same(kinds, {"web_search_result_location"})
        # Clients send answers back as they got them.
        content = [block.model_dump(exclude_none=True, exclude={"parsed_output"}) for block in message.content]
        turns = anthropic_cases.said(CITE) + [{"role": "assistant", "content": content}]
        turns += anthropic_cases.said("And again")
        # One of them checks what only it can have made.
        for one in (ANTHROPIC, target):
            holds('"And again"', anthropic_cases.text_of(anthropic_cases.ask(one, "", messages=turns)))


@case("gemini", mistral=CITES_NOTHING)
def gemini_sources(target):
    def cited(parts, metadata):
        found = []
        for support in metadata.grounding_supports:
            segment = support.segment
            text = parts[segment.part_index or 0].encode()
            words = text[segment.start_index or 0 : segment.end_index].decode()
            found += [(metadata.grounding_chunks[index].web.uri, words) for index in support.grounding_chunk_indices]
        return found

    answer = gemini_cases.ask(target, CITE).candidates[0]
    same(cited([part.text for part in answer.content.parts], answer.grounding_metadata), BOTH)
    chunks = gemini_cases.streamed(target, CITE)
    same(cited([gemini_cases.text_of(chunks)], chunks[-1].candidates[0].grounding_metadata), BOTH)
