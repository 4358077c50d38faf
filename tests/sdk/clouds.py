"""The official clients' own modes for clouds, straight at the simulators: Azure, and Google's for Gemini and Claude.

Importing it declares its cases beside those of straight.py. Paths, versions and tokens differ there; the answers must not.
"""

from straight import KEY, case, raises, said, same


@case
def openai_azure(url):
    import openai

    def client(key=KEY):
        more = {"azure_endpoint": url, "api_key": key, "api_version": "2024-10-21"}
        return openai.AzureOpenAI(**more, max_retries=0, timeout=10)

    answer = client().chat.completions.create(model="gpt-4o", messages=said("Hello there"))
    assert "Hello there" in answer.choices[0].message.content
    stream = client().chat.completions.create(model="gpt-4o", messages=said("Hello there"), stream=True)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)
    assert "Hello there" in text, text
    same(len(client().embeddings.create(model="text-embedding-3-small", input="one").data), 1)
    raises(openai.AuthenticationError, lambda: client("wrong").chat.completions.create(model="gpt-4o", messages=said("x")), 401)


@case
def openai_azure_undated(url):
    import openai

    client = openai.OpenAI(base_url=url + "/openai/v1", api_key=KEY, max_retries=0, timeout=10)
    answer = client.chat.completions.create(model="gpt-4o", messages=said("Hello there"))
    assert "Hello there" in answer.choices[0].message.content


def vertex(url):
    from google import genai
    from google.oauth2.credentials import Credentials

    return genai.Client(
        enterprise=True,
        project="sim",
        location="us-central1",
        credentials=Credentials(KEY),
        http_options={"base_url": url},
    )


@case
def gemini_vertex_embeddings(url):
    settings = {"output_dimensionality": 64, "task_type": "CLUSTERING"}
    # By `predict`, by `embedContent` and by `batchEmbedContents`.
    for model, contents in (
        ("text-embedding-005", ["one", "two three"]),
        ("gemini-embedding-001", ["one"]),
        ("gemini-embedding-001", ["one", "two three"]),
    ):
        answer = vertex(url).models.embed_content(model=model, contents=contents, config=settings)
        same([len(vector.values) for vector in answer.embeddings], [64] * len(contents))
    answer = vertex(url).models.embed_content(model="text-embedding-005", contents="one two")
    assert answer.embeddings[0].statistics.token_count > 0, answer
    same(answer.metadata.billable_character_count, 6)


@case
def gemini_vertex(url):
    client = vertex(url)
    answer = client.models.generate_content(model="gemini-2.5-flash", contents="Hello there")
    assert "Hello there" in answer.text
    chunks = client.models.generate_content_stream(model="gemini-2.5-flash", contents="Hello there")
    assert "Hello there" in "".join(chunk.text or "" for chunk in chunks)


@case
def anthropic_vertex(url):
    import anthropic

    client = anthropic.AnthropicVertex(
        project_id="sim", region="us-central1", access_token=KEY, base_url=url + "/v1", max_retries=0
    )
    more = {"model": "claude-sonnet-4-5@20250929", "max_tokens": 100, "messages": said("Hello there")}
    assert "Hello there" in client.messages.create(**more).content[0].text
    with client.messages.stream(**more) as stream:
        assert "Hello there" in stream.get_final_message().content[0].text
