"""Frameworks as one thing each: a way to ask, to stream, to use tools and to have a schema filled.

Owns what the cases need of each framework. Every framework is pointed at the gateway by nothing but a base URL and a key.
"""

import anthropic
import httpx
import openai
import pydantic
from google.genai import errors as google_errors

SYSTEM = "Be brief"


class Person(pydantic.BaseModel):
    """A person."""

    name: str
    age: int


def get_weather(city: str, unit: str) -> str:
    """The weather of a city."""
    return "fine"


def get_time(zone: str) -> str:
    """The time in a zone."""
    return "fine"


TOOLS = (get_weather, get_time)
NO_RESULTS = {"tools": "the framework takes calls for filled schemas and sends no results back"}


class LangChain:
    """LangChain over one of its integrations."""

    def __init__(self, name, make, rate_limited, not_applicable=None):
        self.name, self.make, self.rate_limited = name, make, rate_limited
        self.not_applicable = not_applicable or {}

    def ask(self, model, text):
        return self.make(model).invoke([("system", SYSTEM), ("human", text)]).text

    def stream(self, model, text):
        return [chunk.text for chunk in self.make(model).stream(text)]

    def tools(self, model, text):
        from langchain_core.messages import HumanMessage, ToolMessage

        bound = self.make(model).bind_tools(list(TOOLS))
        messages = [HumanMessage(text)]
        answer = bound.invoke(messages)
        results = [ToolMessage("fine", tool_call_id=call["id"], name=call["name"]) for call in answer.tool_calls]
        called = [call["name"] for call in answer.tool_calls]
        return called, bound.invoke([*messages, answer, *results]).text

    def structured(self, model, text):
        return self.make(model).with_structured_output(Person).invoke(text)


class LiteLlm:
    """LiteLLM as a client, by the protocol it is told to speak."""

    def __init__(self, name, prefix, base, key, not_applicable=None):
        import litellm

        litellm.suppress_debug_info = True
        self.name, self.prefix = name, prefix
        self.settings = {"api_base": base, "api_key": key, "num_retries": 0, "max_retries": 0}
        self.rate_limited = litellm.RateLimitError
        self.not_applicable = not_applicable or {}

    def call(self, model, messages, **more):
        import litellm

        return litellm.completion(model=self.prefix + model, messages=messages, **self.settings, **more)

    def ask(self, model, text):
        messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": text}]
        return self.call(model, messages).choices[0].message.content

    def stream(self, model, text):
        chunks = self.call(model, [{"role": "user", "content": text}], stream=True)
        return [chunk.choices[0].delta.content or "" for chunk in chunks]

    def tools(self, model, text):
        def declared(function):
            names = function.__annotations__.keys() - {"return"}
            schema = {"type": "object", "properties": {name: {"type": "string"} for name in sorted(names)}}
            schema["required"] = sorted(names)
            about = {"name": function.__name__, "description": function.__doc__, "parameters": schema}
            return {"type": "function", "function": about}

        declarations = [declared(function) for function in TOOLS]
        messages = [{"role": "user", "content": text}]
        message = self.call(model, messages, tools=declarations).choices[0].message
        called = [call.function.name for call in message.tool_calls]
        messages.append(message)
        messages += [{"role": "tool", "tool_call_id": call.id, "content": "fine"} for call in message.tool_calls]
        return called, self.call(model, messages, tools=declarations).choices[0].message.content

    def structured(self, model, text):
        import litellm

        # It puts the schema into words for models it knows nothing of.
        litellm.register_model({self.prefix + model: {"mode": "chat", "supports_response_schema": True}})
        answer = self.call(model, [{"role": "user", "content": text}], response_format=Person)
        return Person.model_validate_json(answer.choices[0].message.content)


class PydanticAi:
    """Pydantic AI over one of its models."""

    def __init__(self, name, make, not_applicable=None):
        from pydantic_ai.exceptions import ModelHTTPError

        self.name, self.make, self.rate_limited = name, make, ModelHTTPError
        self.not_applicable = not_applicable or {}

    def agent(self, model, **more):
        from pydantic_ai import Agent

        return Agent(self.make(model), retries=0, **more)

    def run(self, agent, text):
        # A loop for each run. Where a thread keeps its loop, a connection of an earlier run that is collected without being closed
        # leaves its number behind there, and the next connection of that number is never read.
        import asyncio

        return asyncio.run(agent.run(text)).output

    def ask(self, model, text):
        return self.run(self.agent(model, instructions=SYSTEM), text)

    def stream(self, model, text):
        import asyncio

        async def pieces():
            async with self.agent(model).run_stream(text) as result:
                return [piece async for piece in result.stream_text(delta=True, debounce_by=None)]

        return asyncio.run(pieces())

    def tools(self, model, text):
        called = []

        def noted(function):
            import functools

            @functools.wraps(function)
            def call(*arguments, **named):
                called.append(function.__name__)
                return function(*arguments, **named)

            return call

        agent = self.agent(model, tools=[noted(function) for function in TOOLS])
        output = self.run(agent, text)
        return sorted(called, reverse=True), output

    def structured(self, model, text):
        return self.run(self.agent(model, output_type=Person), text)


class Instructor:
    """Instructor around an official client; without a schema it hands on what the client gives, which `text_of` reads."""

    def __init__(self, name, make, text_of, rate_limited, not_applicable=None):
        self.name, self.make, self.text_of, self.rate_limited = name, make, text_of, rate_limited
        self.not_applicable = NO_RESULTS | (not_applicable or {})
        # A client that is collected closes its connections under its own streams.
        self.clients = []

    def create(self, model, text, how="create", **more):
        client, own = self.make()
        self.clients.append(client)
        messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": text}]
        return getattr(client, how)(model=model, messages=messages, max_retries=0, **own, **more)

    def ask(self, model, text):
        return self.text_of(self.create(model, text, response_model=None))

    def stream(self, model, text):
        return [self.text_of(piece) for piece in self.create(model, text, response_model=None, stream=True)]

    def structured(self, model, text):
        parts = list(self.create(model, text, "create_partial", response_model=Person))
        person = self.create(model, text, response_model=Person)
        assert parts and parts[-1].model_dump() == person.model_dump(), (parts, person)
        return person


class LlamaIndex:
    """LlamaIndex over one of its integrations."""

    def __init__(self, name, make, rate_limited, not_applicable=None):
        self.name, self.make, self.rate_limited = name, make, rate_limited
        self.not_applicable = not_applicable or {}

    @staticmethod
    def said(*turns):
        from llama_index.core.llms import ChatMessage

        return [ChatMessage(role=role, content=text) for role, text in turns]

    def ask(self, model, text):
        return self.make(model).chat(self.said(("system", SYSTEM), ("user", text))).message.content

    def stream(self, model, text):
        return [chunk.delta or "" for chunk in self.make(model).stream_chat(self.said(("user", text)))]

    def tools(self, model, text):
        from llama_index.core.llms import ChatMessage
        from llama_index.core.tools import FunctionTool

        llm = self.make(model)
        functions = [FunctionTool.from_defaults(fn=function) for function in TOOLS]
        history = self.said(("user", text))
        answer = llm.chat_with_tools(functions, chat_history=history, allow_parallel_tool_calls=True)
        calls = llm.get_tool_calls_from_response(answer)
        history.append(answer.message)
        for call in calls:
            kwargs = {"tool_call_id": call.tool_id, "name": call.tool_name}
            history.append(ChatMessage(role="tool", content="fine", additional_kwargs=kwargs))
        again = llm.chat_with_tools(functions, chat_history=history)
        return [call.tool_name for call in calls], again.message.content

    def structured(self, model, text):
        return self.make(model).as_structured_llm(Person).complete(text).raw


def connected(place):
    """Every framework with each of its clients, pointed at the gateway."""
    gateway, key = place["gateway"], place["key"]
    yield from _langchain(gateway, key)
    yield LiteLlm("litellm-openai", "openai/", gateway + "/v1", key)
    yield LiteLlm("litellm-anthropic", "anthropic/", gateway, key)
    yield LiteLlm("litellm-gemini", "gemini/", gateway + "/v1beta", key)
    yield from _pydantic_ai(gateway, key)
    yield from _instructor(gateway, key)
    yield from _llama_index(gateway, key)


def _langchain(gateway, key):
    from langchain_anthropic import ChatAnthropic
    from langchain_google_genai import ChatGoogleGenerativeAI
    from langchain_openai import ChatOpenAI

    def over_openai(model):
        return ChatOpenAI(model=model, base_url=gateway + "/v1", api_key=key, max_retries=0)

    def over_responses(model):
        return ChatOpenAI(model=model, base_url=gateway + "/v1", api_key=key, max_retries=0, use_responses_api=True)

    def over_anthropic(model):
        return ChatAnthropic(model=model, base_url=gateway, api_key=key, max_retries=0, max_tokens=4096)

    def over_google(model):
        return ChatGoogleGenerativeAI(model=model, base_url=gateway, google_api_key=key, max_retries=1)

    yield LangChain("langchain-openai", over_openai, openai.RateLimitError)
    yield LangChain("langchain-responses", over_responses, openai.RateLimitError)
    yield LangChain("langchain-anthropic", over_anthropic, anthropic.RateLimitError)
    yield LangChain("langchain-google", over_google, Exception)


def _pydantic_ai(gateway, key):
    from pydantic_ai.models.anthropic import AnthropicModel
    from pydantic_ai.models.google import GoogleModel
    from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
    from pydantic_ai.providers.anthropic import AnthropicProvider
    from pydantic_ai.providers.google import GoogleProvider
    from pydantic_ai.providers.openai import OpenAIProvider

    # Clients are bound to the loop of a run, so each run has its own: one that the framework keeps for all would hang.
    def client():
        return openai.AsyncOpenAI(base_url=gateway + "/v1", api_key=key, max_retries=0)

    def over_anthropic(model):
        own = anthropic.AsyncAnthropic(base_url=gateway, api_key=key, max_retries=0)
        return AnthropicModel(model, provider=AnthropicProvider(anthropic_client=own))

    def over_google(model):
        own = httpx.AsyncClient(timeout=40)
        return GoogleModel(model, provider=GoogleProvider(api_key=key, base_url=gateway, http_client=own))

    yield PydanticAi("pydantic-chat", lambda model: OpenAIChatModel(model, provider=OpenAIProvider(openai_client=client())))
    yield PydanticAi(
        "pydantic-responses", lambda model: OpenAIResponsesModel(model, provider=OpenAIProvider(openai_client=client()))
    )
    yield PydanticAi("pydantic-anthropic", over_anthropic)
    yield PydanticAi("pydantic-google", over_google)


def _instructor(gateway, key):
    import instructor
    from google import genai
    from instructor.core.exceptions import InstructorRetryException

    def over_openai():
        return instructor.from_openai(openai.OpenAI(base_url=gateway + "/v1", api_key=key, max_retries=0)), {}

    def over_anthropic():
        own = anthropic.Anthropic(base_url=gateway, api_key=key, max_retries=0)
        return instructor.from_anthropic(own), {"max_tokens": 1024}

    def over_google():
        own = genai.Client(api_key=key, http_options={"base_url": gateway})
        return instructor.from_genai(own), {}

    def of_openai(said):
        choice = said.choices[0] if said.choices else None
        part = choice and (choice.message if said.object == "chat.completion" else choice.delta)
        return part and part.content or ""

    def of_anthropic(said):
        if said.type == "message":
            return said.content[0].text
        return getattr(getattr(said, "delta", None), "text", "")

    def of_google(said):
        return said.text or ""

    yield Instructor("instructor-openai", over_openai, of_openai, (openai.RateLimitError, InstructorRetryException))
    yield Instructor(
        "instructor-anthropic", over_anthropic, of_anthropic, (anthropic.RateLimitError, InstructorRetryException)
    )
    plan = {("structured", "cohere"): "the framework takes no words beside a call, and Cohere says its plan"}
    yield Instructor(
        "instructor-google", over_google, of_google, (google_errors.APIError, InstructorRetryException), plan
    )


def _llama_index(gateway, key):
    from llama_index.llms.anthropic import Anthropic
    from llama_index.llms.google_genai import GoogleGenAI
    from llama_index.llms.openai_like import OpenAILike

    def over_openai(model):
        more = {"is_chat_model": True, "is_function_calling_model": True, "max_retries": 0}
        return OpenAILike(model=model, api_base=gateway + "/v1", api_key=key, **more)

    def over_anthropic(model):
        return Anthropic(model=model, base_url=gateway, api_key=key, max_retries=0)

    def over_google(model):
        return GoogleGenAI(model=model, api_key=key, http_options={"base_url": gateway}, max_retries=0)

    yield LlamaIndex("llama-index-openai", over_openai, openai.RateLimitError)
    yield LlamaIndex("llama-index-anthropic", over_anthropic, anthropic.RateLimitError)
    yield LlamaIndex("llama-index-google", over_google, google_errors.APIError)
