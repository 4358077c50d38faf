"""The official Cohere client in front of the gateway, as far as clients speak that dialect: rerank."""

import cohere
from cohere import errors

from harness import Place, case, kept, raises, same
from processes import KEY

NO_RERANK = "the provider orders no documents"
NONE = {name: NO_RERANK for name in ("openai", "anthropic", "gemini", "mistral")}
# Bedrock orders documents for signed requests only, and does not say how many searches it bills.
MODELS = {"bedrock": "signed/cohere.rerank-v3-5:0"}
DOCUMENTS = ["the weather in Oslo", "how to bake bread", "Oslo weather today"]


def reranker(target):
    return MODELS.get(target.provider) or target.model("rerank-v3.5")


@kept
def client(key=KEY):
    return cohere.ClientV2(api_key=key, base_url=Place.gateway, timeout=20)


@kept
def client_of_version_one():
    return cohere.Client(api_key=KEY, base_url=Place.gateway, timeout=20)


@case("cohere", **NONE)
def cohere_rerank(target):
    model = reranker(target)
    answer = client().rerank(model=model, query="weather in Oslo", documents=DOCUMENTS, top_n=2)
    same([result.index for result in answer.results], [0, 2])
    assert 0 < answer.results[1].relevance_score <= answer.results[0].relevance_score <= 1
    if target.provider != "bedrock":
        same(answer.meta.billed_units.search_units, 1)


@case("cohere", **NONE)
def cohere_rerank_of_version_one(target):
    documents = [{"text": text} for text in DOCUMENTS]
    model = reranker(target)
    answer = client_of_version_one().rerank(model=model, query="weather in Oslo", documents=documents)
    same([result.index for result in answer.results], [0, 2, 1])


@case("cohere", **NONE)
def cohere_typed_errors(target):
    model = reranker(target)
    raises(errors.BadRequestError, lambda: client().rerank(model=model, query="q", documents=[]), 400)
    raises(errors.UnauthorizedError, lambda: client("sk-wrong").rerank(model=model, query="q", documents=["a"]), 401)
    raises(errors.NotFoundError, lambda: client().rerank(model="co/no", query="q", documents=["a"]), 404)
