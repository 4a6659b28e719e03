"""What the official SDKs, as they are, make of each way in which a stream ends: OpenAI's and Anthropic's, in Python and in Node."""

import json
import re
import subprocess
import threading
from dataclasses import dataclass

import anthropic
import httpx
import openai
import pytest
from conftest import KEY, ROOT, edit, until

ASK = ROOT / "e2e/sdk/ask.cjs"
HELLO = [{"role": "user", "content": "Hello"}]
# A route whose Secret is not there.
UNREADY = """
apiVersion: stream-relay.dev/v1alpha1
kind: RelayRoute
metadata: {name: NAME-unready, namespace: relay-demo}
spec:
  matches:
    - path: {prefix: /PREFIX}
      models: [not-ready]
  backends:
    - name: nobody
      provider: PROVIDER
      credential:
        secretRef: {name: absent, key: api-key}
"""


@dataclass
class Answer:
    """What a program that uses an SDK has in its hands."""

    text: str = ""
    # Name of the exception's class and its fields, none where nothing was raised.
    raised: str | None = None
    status: int | None = None
    code: str | None = None
    type: str | None = None
    message: str = ""


class Python:
    """Asks in this process."""

    def ask(self, api, url, key, model) -> Answer:
        answer = Answer()
        try:
            for piece in getattr(self, api)(url, key, model):
                answer.text += piece
        except (openai.OpenAIError, anthropic.AnthropicError) as error:
            body = error.body if isinstance(getattr(error, "body", None), dict) else {}
            inner = body.get("error") if isinstance(body.get("error"), dict) else body
            answer.raised, answer.message = type(error).__name__, str(error)
            answer.status = getattr(error, "status_code", None)
            answer.code = getattr(error, "code", None) or inner.get("code")
            answer.type = getattr(error, "type", None) or inner.get("type")
        return answer

    def chat(self, url, key, model):
        client = openai.OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0, timeout=60)
        for chunk in client.chat.completions.create(model=model, messages=HELLO, stream=True):
            yield chunk.choices[0].delta.content or ""

    def responses(self, url, key, model):
        client = openai.OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0, timeout=60)
        for event in client.responses.create(model=model, input="Hello", stream=True):
            yield event.delta if event.type == "response.output_text.delta" else ""

    def messages(self, url, key, model):
        client = anthropic.Anthropic(base_url=url, api_key=key, max_retries=0, timeout=60)
        for event in client.messages.create(model=model, max_tokens=1000, messages=HELLO, stream=True):
            yield event.delta.text if event.type == "content_block_delta" else ""


class Node:
    """Asks in a process of Node's."""

    def __init__(self, modules):
        self.modules = modules

    def ask(self, api, url, key, model) -> Answer:
        question = json.dumps({"api": api, "url": url, "key": key, "model": model})
        ran = subprocess.run(
            ["node", ASK, self.modules], input=question, capture_output=True, text=True, timeout=120, check=True
        )
        said = json.loads(ran.stdout)
        error = said["error"] or {}
        return Answer(
            said["text"],
            error.get("class"),
            error.get("status"),
            error.get("code"),
            error.get("type"),
            error.get("message", ""),
        )


APIS = ["chat", "responses", "messages"]


@pytest.fixture(params=["python", "node"])
def sdk(request):
    return Python() if request.param == "python" else Node(request.getfixturevalue("node_sdks"))


@pytest.fixture(params=APIS)
def api(request) -> str:
    return request.param


@pytest.fixture
def ask(sdk, api, relay):
    return lambda model, key=KEY: sdk.ask(api, relay.url, key, model)


def in_stream(sdk, api) -> str:
    """The class that an error event raises: an HTTP status would be a lie, it was 200."""
    return "APIStatusError" if api == "messages" and isinstance(sdk, Python) else "APIError"


def test_a_whole_stream_raises_nothing(ask, script):
    assert ask("fake-tokens-40") == Answer(script(40))


def test_a_stream_that_its_upstream_breaks_off_raises_and_says_why(ask, sdk, api, script):
    answer = ask("fake-tokens-40-flush-cut-at-20")
    assert (answer.raised, answer.text) == (in_stream(sdk, api), script(20))
    assert answer.code == "upstream_reset" or "upstream_reset" in answer.message, answer
    if api == "messages":
        assert answer.type == "api_error"


def test_a_stream_that_ends_too_early_raises_though_its_framing_is_whole(ask, sdk, api, script):
    answer = ask("fake-tokens-40-truncated-at-20")
    assert (answer.raised, answer.text) == (in_stream(sdk, api), script(20))
    assert answer.code == "upstream_protocol" or "upstream_protocol" in answer.message, answer


def test_a_providers_error_in_the_stream_raises_with_the_providers_words(ask, sdk, api, script):
    answer = ask("fake-tokens-40-flush-error-midway-at-20")
    assert (answer.raised, answer.text) == (in_stream(sdk, api), script(20))
    assert ("Overloaded" if api == "messages" else "had an error while processing") in answer.message, answer
    assert answer.type == ("overloaded_error" if api == "messages" else "server_error")


def test_a_drained_stream_raises(sdk, api, start, manifests, provider, script):
    relay = start(manifests, "--drain-timeout", "100ms")
    answers = []
    asking = threading.Thread(
        target=lambda: answers.append(sdk.ask(api, relay.url, KEY, "fake-tokens-40-flush-stall-1h-at-20"))
    )
    asking.start()
    until(lambda: provider_sent(provider) >= 20, "the stream runs")
    assert relay.stop() == 0
    asking.join(timeout=60)
    [answer] = answers
    assert (answer.raised, answer.text) == (in_stream(sdk, api), script(20))
    assert answer.code == "draining" or "draining" in answer.message, answer


def provider_sent(provider) -> int:
    requests = httpx.get(f"{provider.url}/_fake/requests").json()
    return requests[0]["chunks_sent"] if requests else 0


STATUSES = {
    401: "AuthenticationError",
    404: "NotFoundError",
    429: "RateLimitError",
    503: "InternalServerError",
}


def of_status(api, status) -> str:
    return "ServiceUnavailableError" if (api, status) == ("messages", 503) else STATUSES[status]


def check(answer, sdk, api, status, code):
    classes = [of_status(api, status)] + ([STATUSES[status]] if isinstance(sdk, Node) else [])
    assert answer.raised in classes, answer
    assert answer.status == status and answer.text == ""
    assert answer.code == code or code in answer.message, answer


def test_a_key_that_nobody_has_is_an_authentication_error(ask, sdk, api):
    check(ask("fake-ok", key="wrong-key-wrong-key-wrong-key"), sdk, api, 401, "key_unknown")


def test_a_path_without_a_route_is_a_not_found_error(sdk, api, start, manifests):
    edit(manifests / "30-routes.yaml", r"prefix: /v1", "prefix: /elsewhere")
    relay = start(manifests)
    check(sdk.ask(api, relay.url, KEY, "fake-ok"), sdk, api, 404, "no_route")


def test_a_spent_limit_is_a_rate_limit_error(sdk, api, start, manifests):
    edit(manifests / "40-tenant.yaml", r"requests: \{.*\}", "requests: {amount: 1, per: Hour, burst: 1}")
    relay = start(manifests)
    assert sdk.ask(api, relay.url, KEY, "fake-tokens-1").raised is None
    check(sdk.ask(api, relay.url, KEY, "fake-tokens-1"), sdk, api, 429, "requests_limited")


def test_a_route_that_is_not_ready_is_an_error_of_the_server(sdk, api, start, manifests):
    prefix, provider = ("v1/messages", "Anthropic") if api == "messages" else ("v1", "OpenAI")
    text = UNREADY.replace("NAME", api).replace("PREFIX", prefix).replace("PROVIDER", provider)
    (manifests / "50-unready.yaml").write_text(text)
    relay = start(manifests)
    check(sdk.ask(api, relay.url, KEY, "not-ready"), sdk, api, 503, "route_not_ready")


@pytest.mark.parametrize("status", STATUSES)
def test_a_status_of_the_provider_raises_what_it_raises_without_the_relay(ask, sdk, api, status, provider):
    model = f"fake-{status}-after-none"
    through, direct = ask(model), sdk.ask(api, provider.url, "any-key", model)
    assert through.raised == direct.raised == of_status(api, status), (through, direct)
    without_id = [re.sub(r"req_fake\d+", "ID", answer.message) for answer in [through, direct]]
    assert (through.status, without_id[0]) == (direct.status, without_id[1])
