"""Batches of clouds straight at the simulators, by the clouds' own clients: lines go into a bucket, a job answers them there.

Importing it declares its cases beside those of straight.py.
"""

import json

from clouds import vertex
from straight import KEY, NOVA, bedrock_client, bedrock_error, bedrock_said, case, raises, same

ROLE = "arn:aws:iam::123456789012:role/batches"


def ordered(client, name, **more):
    places = {
        "inputDataConfig": {"s3InputDataConfig": {"s3InputFormat": "JSONL", "s3Uri": f"s3://ours/{name}/in.jsonl"}},
        "outputDataConfig": {"s3OutputDataConfig": {"s3Uri": f"s3://ours/{name}/"}},
    }
    order = {"jobName": name, "roleArn": ROLE, "modelId": NOVA, "modelInvocationType": "Converse"}
    return client.create_model_invocation_job(**order | places | more)["jobArn"]


@case
def bedrock_batches(url):
    store, client = bedrock_client(url, service="s3"), bedrock_client(url, service="bedrock")
    records = [{"recordId": f"r{n}", "modelInput": {"messages": bedrock_said(f"number {n}.")}} for n in range(119)]
    records.append({"recordId": "wrong", "modelInput": {"messages": [], "toolConfig": {"tools": []}}})
    lines = "".join(json.dumps(record) + "\n" for record in records)
    bedrock_error("ValidationException", lambda: ordered(client, "job"), 400)
    put = store.put_object(Bucket="ours", Key="job/in.jsonl", Body=lines.encode(), ContentType="application/jsonl")
    same(len(put["ETag"]), 34)
    arn = ordered(client, "job", clientRequestToken="once", timeoutDurationInHours=24)
    same(ordered(client, "job", clientRequestToken="once"), arn)
    seen = []
    while not seen or seen[-1] not in ("Completed", "Failed"):
        job = client.get_model_invocation_job(jobIdentifier=arn)
        seen.append(job["status"])
    same((seen[-1], job["jobName"], job["totalRecordCount"], job["errorRecordCount"]), ("Completed", "job", 120, 1))
    same(client.get_model_invocation_job(jobIdentifier=arn.rsplit("/", 1)[1])["jobArn"], arn)
    bedrock_error("ConflictException", lambda: client.stop_model_invocation_job(jobIdentifier=arn), 409)
    listed = client.list_model_invocation_jobs(nameContains="jo", sortBy="CreationTime", sortOrder="Descending")
    same([job["jobArn"] for job in listed["invocationJobSummaries"]], [arn])

    listing = store.list_objects_v2(Bucket="ours", Prefix="job/")
    keys = [item["Key"] for item in listing["Contents"]]
    folder = f"job/{arn.rsplit('/', 1)[1]}"
    same(sorted(keys), sorted([f"{folder}/in.jsonl.out", f"{folder}/manifest.json.out", "job/in.jsonl"]))
    first = store.list_objects_v2(Bucket="ours", Prefix="job/", MaxKeys=2)
    more = store.list_objects_v2(Bucket="ours", Prefix="job/", ContinuationToken=first["NextContinuationToken"])
    same((first["IsTruncated"], len(more["Contents"]), more["IsTruncated"]), (True, 1, False))
    answers = {}
    for line in store.get_object(Bucket="ours", Key=f"{folder}/in.jsonl.out")["Body"].read().decode().splitlines():
        record = json.loads(line)
        answers[record["recordId"]] = record
    text = answers["r7"]["modelOutput"]["output"]["message"]["content"][0]["text"]
    assert "number 7." in text, text
    same((len(answers), answers["wrong"]["error"]["errorCode"]), (120, 400))
    for key in keys:
        store.delete_object(Bucket="ours", Key=key)
    same(store.list_objects_v2(Bucket="ours", Prefix="job/")["KeyCount"], 0)
    bedrock_error("NoSuchKey", lambda: store.get_object(Bucket="ours", Key="job/in.jsonl"), 404)


@case
def bedrock_batches_refused(url):
    store, client = bedrock_client(url, service="s3"), bedrock_client(url, service="bedrock")
    other = bedrock_client(url, secret="other", service="s3")
    bedrock_error("SignatureDoesNotMatch", lambda: other.put_object(Bucket="ours", Key="a", Body=b"x"), 403)
    stranger = bedrock_client(url, key="AKIDOTHER", service="s3")
    bedrock_error("InvalidAccessKeyId", lambda: stranger.list_objects_v2(Bucket="ours"), 403)
    bedrock_error("NoSuchBucket", lambda: store.list_objects_v2(Bucket="no-such-bucket"), 404)
    bedrock_error("InvalidSignatureException", lambda: ordered(bedrock_client(url, "other", service="bedrock"), "few"), 403)
    missing = lambda: client.get_model_invocation_job(jobIdentifier="abcdefghijkl")
    bedrock_error("ResourceNotFoundException", missing, 404)
    # A key with signs that addresses encode.
    store.put_object(Bucket="ours", Key="few/in.jsonl", Body=b'{"modelInput": {"messages": []}}\n')
    store.put_object(Bucket="ours", Key="a key/é+.txt", Body=b"x")
    same(store.get_object(Bucket="ours", Key="a key/é+.txt")["Body"].read(), b"x")
    for wrong in ({"roleArn": "arn:aws:iam::123456789012:user/x"}, {"jobName": "a name"}, {"modelId": "no-such-model"}):
        bedrock_error("ValidationException", lambda: ordered(client, "few", **wrong), 400)
    job = ordered(client, "few")
    status = None
    while status not in ("Completed", "Failed"):
        told = client.get_model_invocation_job(jobIdentifier=job)
        status = told["status"]
    same(status, "Failed")
    assert "required minimum of: 100" in told["message"], told


def vertex_store(url):
    """The store by its JSON API: what Google's client for it sends, without a further package."""
    from google.auth.transport.requests import AuthorizedSession
    from google.oauth2.credentials import Credentials

    session = AuthorizedSession(Credentials(KEY))
    session.trust_env = False

    def call(method, path, body=None, **parameters):
        answer = session.request(method, url + path, params=parameters, data=body, timeout=10)
        return answer

    return call


@case
def gemini_vertex_batches(url):
    from google.genai import errors

    store, client = vertex_store(url), vertex(url)
    requests = [{"contents": [{"role": "user", "parts": [{"text": f"number {n}."}]}]} for n in range(3)]
    requests[1]["labels"] = {"line": "two"}
    requests.append({"contents": [], "nonsense": 1})
    lines = "".join(json.dumps({"request": request}) + "\n" for request in requests)
    config = {"dest": "gs://ours/out", "display_name": "a job"}
    order = lambda: client.batches.create(model="gemini-2.5-flash", src="gs://ours/in/lines.jsonl", config=config)
    raises(errors.ClientError, order, 400)
    put = store("POST", "/upload/storage/v1/b/ours/o", lines, uploadType="media", name="in/lines.jsonl")
    same((put.status_code, put.json()["name"]), (200, "in/lines.jsonl"))
    job = order()
    assert job.name.startswith("projects/") and job.model.endswith("gemini-2.5-flash"), job
    seen = [job.state.name]
    while seen[-1] not in ("JOB_STATE_SUCCEEDED", "JOB_STATE_FAILED"):
        job = client.batches.get(name=job.name)
        seen.append(job.state.name)
    same((seen[0], seen[-1], job.display_name), ("JOB_STATE_PENDING", "JOB_STATE_SUCCEEDED", "a job"))
    same([one.name for one in client.batches.list()], [job.name])
    listed = store("GET", "/storage/v1/b/ours/o", prefix="out/").json()["items"]
    names = [item["name"] for item in listed]
    assert len(names) == 2 and names[1].endswith("/predictions.jsonl"), names
    quoted = names[1].replace("/", "%2F").replace(":", "%3A")
    text = store("GET", f"/storage/v1/b/ours/o/{quoted}", alt="media").text
    found = [json.loads(line) for line in text.splitlines()]
    labelled = [line for line in found if line["request"].get("labels") == {"line": "two"}]
    same((len(found), len(labelled)), (4, 1))
    assert "number 1." in labelled[0]["response"]["candidates"][0]["content"]["parts"][0]["text"], labelled
    wrong = [line for line in found if line["status"]]
    same((len(wrong), wrong[0]["response"]), (1, {}))
    client.batches.delete(name=job.name)
    raises(errors.ClientError, lambda: client.batches.get(name=job.name), 404)
    same(store("DELETE", f"/storage/v1/b/ours/o/{quoted}").status_code, 204)
    same(store("DELETE", f"/storage/v1/b/ours/o/{quoted}").status_code, 404)
    same(store("GET", "/storage/v1/b/no-such-bucket/o").status_code, 404)
    running = order()
    client.batches.cancel(name=running.name)
    assert client.batches.get(name=running.name).state.name in ("JOB_STATE_CANCELLING", "JOB_STATE_CANCELLED")
