"""Files and batches through the official clients: straight to the simulators, and through the gateway over any provider."""

import json
import time
import uuid
import warnings

import anthropic
import openai

import anthropic_cases
import openai_cases
import straight
from harness import case, holds, raises, same

# Far longer than a batch of a few lines takes on a busy machine.
PATIENCE = 60


def until(look, is_over):
    """Looks until it is over."""
    end = time.monotonic() + PATIENCE
    while True:
        found = look()
        if is_over(found):
            return found
        assert time.monotonic() < end, found
        time.sleep(0.05)


def lines_of(url, requests):
    lines = [{"custom_id": name, "method": "POST", "url": url, "body": body} for name, body in requests.items()]
    return "".join(json.dumps(line) + "\n" for line in lines).encode()


def run(client, url, requests, **more):
    """A batch from its file to its end."""
    file = client.files.create(file=("requests.jsonl", lines_of(url, requests)), purpose="batch")
    batch = client.batches.create(input_file_id=file.id, endpoint=url, completion_window="24h", **more)
    over = ("completed", "failed", "expired", "cancelled")
    return until(lambda: client.batches.retrieve(batch.id), lambda batch: batch.status in over)


def results(client, file):
    lines = [json.loads(line) for line in client.files.content(file).text.splitlines()]
    return {line["custom_id"]: line for line in lines}


def check_files(client):
    content = b'{"a": 1}\n' * 50_000 + "Grüße\n".encode()
    file = client.files.create(file=("data é.jsonl", content), purpose="batch")
    same((file.object, file.bytes, file.purpose, file.status), ("file", len(content), "batch", "processed"))
    same(client.files.retrieve(file.id), file)
    assert client.files.content(file.id).content == content
    holds(file.id, [found.id for found in client.files.list(purpose="batch")])
    same(client.files.delete(file.id).deleted, True)
    raises(openai.NotFoundError, lambda: client.files.retrieve(file.id), 404)


def check_batch(client, model):
    said = lambda text: {"model": model, "messages": [{"role": "user", "content": text}]}
    requests = {f"line {number}": said(f"Hello {number}") for number in range(5)}
    requests["wrong"] = {"model": model, "messages": "nonsense"}
    batch = run(client, "/v1/chat/completions", requests, metadata={"job": "nightly"})
    same((batch.status, batch.metadata, batch.object), ("completed", {"job": "nightly"}, "batch"))
    counts = batch.request_counts
    same((counts.total, counts.completed, counts.failed), (6, 5, 1))
    found = results(client, batch.output_file_id)
    same(sorted(found), [f"line {number}" for number in range(5)])
    for number in range(5):
        response = found[f"line {number}"]["response"]
        same(response["status_code"], 200)
        holds(f"Hello {number}", response["body"]["choices"][0]["message"]["content"])
    failed = results(client, batch.error_file_id)["wrong"]["response"]
    same(failed["status_code"], 400)
    assert failed["body"]["error"]["message"], failed
    holds(batch.id, [found.id for found in client.batches.list(limit=5)])


def check_mistakes(client, model):
    body = {"model": model, "messages": [{"role": "user", "content": "Hello"}]}
    line = lines_of("/v1/chat/completions", {"a": body})
    other = lines_of("/v1/embeddings", {"b": body})
    file = client.files.create(file=("wrong.jsonl", line + line + b"nonsense\n" + other), purpose="batch")
    create = lambda **more: client.batches.create(
        **{"input_file_id": file.id, "endpoint": "/v1/chat/completions", "completion_window": "24h"} | more
    )
    batch = create()
    batch = until(lambda: client.batches.retrieve(batch.id), lambda batch: batch.status == "failed")
    told = [(error.line, error.code) for error in batch.errors.data]
    same(told, [(2, "duplicate_custom_id"), (3, "invalid_json_line"), (4, "mismatched_endpoint")])
    raises(openai.BadRequestError, lambda: create(endpoint="/v1/nothing"), 400)
    raises(openai.BadRequestError, lambda: create(completion_window="soon"), 400)
    raises(openai.NotFoundError, lambda: create(input_file_id="file-none"), 404)
    raises(openai.NotFoundError, lambda: client.batches.retrieve("batch_none"), 404)


@case("openai")
def openai_files(target):
    check_files(openai_cases.client())


@case("openai")
def openai_batches(target):
    check_batch(openai_cases.client(), target.model(target.chat))


@case("openai")
def openai_batch_mistakes(target):
    check_mistakes(openai_cases.client(), target.model(target.chat))


@case("openai", anthropic=openai_cases.NO_EMBEDDINGS)
def openai_batch_of_embeddings(target):
    client = openai_cases.client()
    requests = {str(number): {"model": target.model(target.embedding), "input": "Hello"} for number in range(3)}
    batch = run(client, "/v1/embeddings", requests)
    same((batch.status, batch.request_counts.completed), ("completed", 3))
    for line in results(client, batch.output_file_id).values():
        assert line["response"]["body"]["data"][0]["embedding"], line


@case("openai")
def openai_batch_of_responses(target):
    client = openai_cases.client()
    requests = {str(number): {"model": target.model(target.chat), "input": f"Hello {number}"} for number in range(3)}
    batch = run(client, "/v1/responses", requests)
    same((batch.status, batch.request_counts.completed), ("completed", 3))
    for name, line in results(client, batch.output_file_id).items():
        body = line["response"]["body"]
        same((body["object"], body["status"]), ("response", "completed"))
        holds(f"Hello {name}", json.dumps(body["output"]))
        same(client.responses.retrieve(body["id"]).id, body["id"])


def check_message_batch(client, model):
    params = lambda text: {"model": model, "max_tokens": 500, "messages": [{"role": "user", "content": text}]}
    requests = [{"custom_id": f"line-{number}", "params": params(f"Hello {number}")} for number in range(5)]
    requests.append({"custom_id": "wrong", "params": {"model": model, "max_tokens": 10, "messages": "nonsense"}})
    batch = client.messages.batches.create(requests=requests)
    same((batch.type, batch.processing_status), ("message_batch", "in_progress"))
    look = lambda: client.messages.batches.retrieve(batch.id)
    over = until(look, lambda batch: batch.processing_status == "ended")
    counts = over.request_counts
    same((counts.processing, counts.succeeded, counts.errored), (0, 5, 1))
    found = {line.custom_id: line.result for line in client.messages.batches.results(batch.id)}
    for number in range(5):
        result = found[f"line-{number}"]
        same(result.type, "succeeded")
        holds(f"Hello {number}", result.message.content[0].text)
    same((found["wrong"].type, found["wrong"].error.error.type), ("errored", "invalid_request_error"))
    holds(batch.id, [found.id for found in client.messages.batches.list(limit=5)])
    same(client.messages.batches.delete(batch.id).type, "message_batch_deleted")
    raises(anthropic.NotFoundError, look, 404)
    twice = [requests[0], requests[0]]
    raises(anthropic.BadRequestError, lambda: client.messages.batches.create(requests=twice), 400)


@case("anthropic")
def anthropic_batches(target):
    check_message_batch(anthropic_cases.client(), target.model(target.chat))


@case("anthropic")
def anthropic_cancelled_batch(target):
    client = anthropic_cases.client()
    params = {"model": target.model(target.chat), "max_tokens": 10, "messages": [{"role": "user", "content": "Hi"}]}
    requests = [{"custom_id": str(uuid.uuid4()), "params": params} for _ in range(300)]
    batch = client.messages.batches.create(requests=requests)
    client.messages.batches.cancel(batch.id)
    over = until(
        lambda: client.messages.batches.retrieve(batch.id), lambda batch: batch.processing_status == "ended"
    )
    kinds = [line.result.type for line in client.messages.batches.results(batch.id)]
    same(len(kinds), 300)
    same((kinds.count("canceled"), kinds.count("succeeded")), (over.request_counts.canceled, over.request_counts.succeeded))
    assert over.cancel_initiated_at, over


@straight.case
def openai_files_and_batches(url):
    client = straight.openai_client(url)
    check_files(client)
    check_batch(client, "gpt-4.1-mini")
    check_mistakes(client, "gpt-4.1-mini")


@straight.case
def anthropic_message_batches(url):
    check_message_batch(straight.anthropic_client(url), "claude-sonnet-4-5")


def gemini_over(client, name):
    over = ("JOB_STATE_SUCCEEDED", "JOB_STATE_FAILED", "JOB_STATE_CANCELLED", "JOB_STATE_EXPIRED")
    return until(lambda: client.batches.get(name=name), lambda job: job.state in over)


@straight.case
def gemini_inlined_batch(url):
    from google.genai import errors

    client = straight.gemini_client(url)
    said = lambda text: [{"parts": [{"text": text}], "role": "user"}]
    requests = [
        {"contents": said(f"Hello {number}"), "metadata": {"key": str(number)}, "config": {"max_output_tokens": 100}}
        for number in range(3)
    ]
    requests.append({"contents": [{"role": "nobody", "parts": [{"text": "?"}]}]})
    job = client.batches.create(model="gemini-2.5-flash", src=requests, config={"display_name": "nightly"})
    same((job.state, job.display_name, job.model), ("JOB_STATE_PENDING", "nightly", "models/gemini-2.5-flash"))
    over = gemini_over(client, job.name)
    same((over.state, over.error), ("JOB_STATE_SUCCEEDED", None))
    responses = over.dest.inlined_responses
    same(len(responses), 4)
    for number, response in enumerate(responses[:3]):
        same(response.metadata, {"key": str(number)})
        holds(f"Hello {number}", response.response.text)
    same((responses[3].response, responses[3].error.code), (None, 3))
    holds(job.name, [found.name for found in client.batches.list(config={"page_size": 5})])
    client.batches.delete(name=job.name)
    raises(errors.ClientError, lambda: client.batches.get(name=job.name), 404)
    empty = lambda: client.batches.create(model="gemini-2.5-flash", src=[], config={"display_name": "none"})
    raises(errors.ClientError, empty, 400)


@straight.case
def gemini_batch_of_vectors(url):
    import io

    from google.genai import errors

    client = straight.gemini_client(url)
    texts = ["Hello 0", "Hello 1", "Hello 2"]
    source = {"inlined_requests": {"contents": texts, "config": {"output_dimensionality": 8}}}
    with warnings.catch_warnings():
        # The client says that it may still change.
        warnings.simplefilter("ignore")
        create = lambda source, name: client.batches.create_embeddings(
            model="gemini-embedding-2", src=source, config={"display_name": name}
        )
        job = create(source, "nightly")
        same((job.state, job.display_name), ("JOB_STATE_PENDING", "nightly"))
        over = gemini_over(client, job.name)
        same((over.state, over.error), ("JOB_STATE_SUCCEEDED", None))
        responses = over.dest.inlined_embed_content_responses
        same([len(response.response.embedding.values) for response in responses], [8, 8, 8])
        assert all(response.response.token_count > 0 for response in responses), responses
        content = lambda text: {"content": {"parts": [{"text": text}]}, "output_dimensionality": 4}
        lines = [json.dumps({"key": f"line-{number}", "request": content(text)}) for number, text in enumerate(texts)]
        lines.append(json.dumps({"key": "wrong", "request": {"content": {"parts": []}}}))
        config = {"display_name": "lines", "mime_type": "application/jsonl"}
        file = client.files.upload(file=io.BytesIO("\n".join(lines).encode()), config=config)
        over = gemini_over(client, create({"file_name": file.name}, "of a file").name)
        found = [json.loads(line) for line in client.files.download(file=over.dest.file_name).splitlines()]
        found = {line["key"]: line for line in found}
        same(len(found["line-2"]["response"]["embedding"]["values"]), 4)
        same(found["wrong"]["error"]["code"], 3)
        raises(errors.ClientError, lambda: create({"inlined_requests": {"contents": []}}, "none"), 400)


@straight.case
def gemini_batch_of_a_file(url):
    import io

    from google.genai import errors

    client = straight.gemini_client(url)
    said = lambda text: {"contents": [{"parts": [{"text": text}], "role": "user"}]}
    lines = [json.dumps({"key": f"line-{number}", "request": said(f"Hello {number}")}) for number in range(5)]
    lines.append(json.dumps({"key": "wrong", "request": {"contents": "nonsense"}}))
    config = {"display_name": "lines", "mime_type": "application/jsonl"}
    file = client.files.upload(file=io.BytesIO("\n".join(lines).encode()), config=config)
    same((file.display_name, file.state, file.source), ("lines", "ACTIVE", "UPLOADED"))
    job = client.batches.create(model="gemini-2.5-flash", src=file.name, config={"display_name": "from a file"})
    over = gemini_over(client, job.name)
    found = {}
    for line in client.files.download(file=over.dest.file_name).decode().splitlines():
        line = json.loads(line)
        found[line["key"]] = line
    same(sorted(found), sorted([f"line-{number}" for number in range(5)] + ["wrong"]))
    holds("Hello 3", found["line-3"]["response"]["candidates"][0]["content"]["parts"][0]["text"])
    same(found["wrong"]["error"]["code"], 3)
    raises(errors.ClientError, lambda: client.files.download(file=file.name), 400)
    holds(file.name, [kept.name for kept in client.files.list()])
    client.files.delete(name=file.name)
    raises(errors.ClientError, lambda: client.files.get(name=file.name), 403)


@straight.case
def gemini_batch_that_is_cancelled(url):
    client = straight.gemini_client(url)
    request = {"contents": [{"parts": [{"text": "Hello"}], "role": "user"}]}
    job = client.batches.create(model="gemini-2.5-flash", src=[request], config={"display_name": "stopped"})
    client.batches.cancel(name=job.name)
    same(gemini_over(client, job.name).state, "JOB_STATE_CANCELLED")


def mistral_over(client, job):
    running = ("QUEUED", "RUNNING", "CANCELLATION_REQUESTED")
    return until(lambda: client.batch.jobs.get(job_id=job), lambda job: job.status not in running)


def mistral_lines(client, file):
    content = client.files.download(file_id=file)
    return {line["custom_id"]: line["response"] for line in map(json.loads, content.read().decode().splitlines())}


@straight.case
def mistral_batch_of_a_file(url):
    from mistralai.client.errors import SDKError

    client = straight.mistral_client(url)
    said = lambda text: {"messages": [{"role": "user", "content": text}], "max_tokens": 100}
    lines = [json.dumps({"custom_id": str(number), "body": said(f"Hello {number}")}) for number in range(5)]
    lines.append(json.dumps({"custom_id": "wrong", "body": {"messages": "nonsense"}}))
    content = {"file_name": "lines.jsonl", "content": "\n".join(lines).encode()}
    file = client.files.upload(file=content, purpose="batch")
    same((file.filename, file.purpose, file.num_lines), ("lines.jsonl", "batch", 6))
    job = client.batch.jobs.create(
        input_files=[file.id],
        model="mistral-small-latest",
        endpoint="/v1/chat/completions",
        metadata={"job": "nightly"},
    )
    same((job.status, job.metadata, job.total_requests), ("QUEUED", {"job": "nightly"}, 6))
    over = mistral_over(client, job.id)
    same((over.status, over.succeeded_requests, over.failed_requests), ("SUCCESS", 5, 1))
    found = mistral_lines(client, over.output_file)
    same(sorted(found), [str(number) for number in range(5)])
    holds("Hello 3", found["3"]["body"]["choices"][0]["message"]["content"])
    same(mistral_lines(client, over.error_file)["wrong"]["status_code"], 422)
    holds(job.id, [found.id for found in client.batch.jobs.list(page_size=5).data])
    same(client.batch.jobs.delete(job_id=job.id).deleted, True)
    raises(SDKError, lambda: client.batch.jobs.get(job_id=job.id), 404)
    holds(file.id, [kept.id for kept in client.files.list(purpose="batch").data])
    same(client.files.delete(file_id=file.id).deleted, True)


@straight.case
def mistral_inlined_batch_and_one_that_is_cancelled(url):
    client = straight.mistral_client(url)
    requests = [{"custom_id": "a", "body": {"input": ["one", "two"]}}]
    make = lambda: client.batch.jobs.create(requests=requests, model="mistral-embed", endpoint="/v1/embeddings")
    over = until(
        lambda made=make(): client.batch.jobs.get(job_id=made.id, inline=True), lambda job: job.status == "SUCCESS"
    )
    same(len(over.outputs[0]["response"]["body"]["data"]), 2)
    stopped = make()
    same(client.batch.jobs.cancel(job_id=stopped.id).status, "CANCELLATION_REQUESTED")
    same(mistral_over(client, stopped.id).status, "CANCELLED")
