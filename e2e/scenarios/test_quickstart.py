"""Both charts and the quickstart, used as their readers will: kubectl, and the official SDKs unchanged."""

import hashlib

import anthropic
import openai
import pytest

from command import TOP, kubectl
from install import DEMO, NAMESPACE
from provider import audio_sha256, script
from relay import MESSAGES

KEY = "relay-demo-tenant-key-not-a-secret"


@pytest.fixture(scope="module")
def client(relay, quickstart):
    """OpenAI's client, as it comes, but without retries, which would hide a failure."""
    with openai.OpenAI(base_url=f"{relay.url}/v1", api_key=KEY, max_retries=0) as made:
        yield made


def test_the_quickstart_is_ready_by_kubectl_wait(quickstart):
    done = kubectl("wait", "--for=condition=Ready", "relayroute,relaytenant", "--all", "-n", DEMO, "--timeout=30s")
    assert done.stdout.count("condition met") == 3


def test_the_printer_columns_say_that_all_three_proxies_serve(quickstart):
    lines = kubectl("get", "relay", "-A", "--no-headers").stdout.splitlines()
    rows = {line.split()[1]: line.split()[2:6] for line in lines if line.startswith(DEMO)}
    assert rows == {
        "relayroute.stream-relay.dev/chat": ["True", "3/3", "OpenAI", "Programmed"],
        "relayroute.stream-relay.dev/messages": ["True", "3/3", "Anthropic", "Programmed"],
        "relaytenant.stream-relay.dev/demo": ["True", "3/3", "1", "2"],
    }


def test_the_parts_run_under_restricted_pod_security_as_another_user_than_root(relay):
    for component, count in (("operator", 2), ("proxy", 3), ("redis", 1)):
        pods = relay.pods(component)
        assert len(pods) == count
        assert all(pod["spec"]["securityContext"]["runAsNonRoot"] for pod in pods)
    enforced = kubectl("get", "namespace", NAMESPACE, "-o", r"jsonpath={.metadata.labels.pod-security\.kubernetes\.io/enforce}")
    assert enforced.stdout == "restricted"


def test_kubectl_explain_documents_the_fields(relay):
    said = kubectl("explain", "relayroute.spec.backends.credential").stdout
    assert "bound to the origin" in said
    assert "secretRef" in said and "The Secret, in the route's own namespace, that holds the key" in said


def test_applying_the_quickstart_again_changes_nothing(quickstart):
    lines = kubectl("apply", "-f", TOP / "deploy" / "quickstart").stdout.splitlines()
    ours = [line for line in lines if line.startswith("relay")]
    assert len(ours) == 3 and all(line.endswith("unchanged") for line in ours), lines


def test_the_openai_sdk_streams_the_providers_script_token_by_token(client, quickstart):
    mark, pieces, at_the_first = quickstart.mark(), [], None
    for chunk in client.chat.completions.create(model="fake-tokens-40-gap-25ms", messages=MESSAGES, stream=True):
        if chunk.choices and chunk.choices[0].delta.content:
            pieces.append(chunk.choices[0].delta.content)
            at_the_first = at_the_first or quickstart.requests(mark)[-1]
    assert "".join(pieces) == script(40)
    assert len(pieces) == 40
    assert at_the_first["ended"] is None, "the provider had sent its last token when the client saw the first"
    assert quickstart.requests(mark)[-1]["ended"] == "complete"


def test_the_openai_sdk_gets_a_whole_answer_and_its_usage(client):
    answer = client.chat.completions.create(model="fake-tokens-7", messages=MESSAGES)
    assert answer.choices[0].message.content == script(7)
    assert answer.usage.completion_tokens == 7


def test_the_openai_sdk_streams_speech_byte_by_byte(client, quickstart):
    mark, digest, at_the_first = quickstart.mark(), hashlib.sha256(), None
    speech = client.audio.speech.with_streaming_response
    with speech.create(model="fake-bytes-256k-chunk-4k-gap-5ms", input="Water", voice="alloy") as answer:
        for piece in answer.iter_bytes():
            digest.update(piece)
            at_the_first = at_the_first or quickstart.requests(mark)[-1]
    assert digest.hexdigest() == audio_sha256(256 << 10)
    assert at_the_first["ended"] is None, "the provider had sent its last byte when the client saw the first"


def test_the_anthropic_sdk_streams_the_providers_script_token_by_token(relay, quickstart):
    mark, pieces, at_the_first = quickstart.mark(), [], None
    with (
        anthropic.Anthropic(base_url=relay.url, api_key=KEY, max_retries=0) as client,
        client.messages.stream(model="fake-tokens-40-gap-25ms", max_tokens=1000, messages=MESSAGES) as stream,
    ):
        for text in stream.text_stream:
            pieces.append(text)
            at_the_first = at_the_first or quickstart.requests(mark)[-1]
        assert stream.get_final_message().usage.output_tokens == 40
    assert "".join(pieces) == script(40)
    assert at_the_first["ended"] is None, "the provider had sent its last token when the client saw the first"


def test_the_provider_sees_its_own_key_and_never_the_tenants(client, quickstart):
    mark = quickstart.mark()
    client.chat.completions.create(model="fake-tokens-1", messages=MESSAGES)
    (request,) = quickstart.requests(mark)
    assert request["headers"]["authorization"] == "Bearer fake-openai-key-not-a-secret"
    assert KEY not in str(request)


def test_a_wrong_key_is_the_sdks_authentication_error(relay, quickstart):
    for wrong in ("relay-demo-tenant-key-not-a-secreT", "sk-short"):
        with (
            openai.OpenAI(base_url=f"{relay.url}/v1", api_key=wrong, max_retries=0) as client,
            pytest.raises(openai.AuthenticationError) as refused,
        ):
            client.chat.completions.create(model="fake-ok", messages=MESSAGES)
        assert refused.value.code == "key_unknown"
        assert refused.value.response.headers["x-relay-error"] == "key_unknown"


def test_a_wrong_key_is_the_anthropic_sdks_authentication_error(relay, quickstart):
    with (
        anthropic.Anthropic(base_url=relay.url, api_key="not-a-key-of-any-tenant", max_retries=0) as client,
        pytest.raises(anthropic.AuthenticationError),
    ):
        client.messages.create(model="fake-ok", max_tokens=10, messages=MESSAGES)


def test_an_unknown_path_is_the_sdks_not_found_error(relay, quickstart):
    with (
        openai.OpenAI(base_url=f"{relay.url}/v2", api_key=KEY, max_retries=0) as client,
        pytest.raises(openai.NotFoundError) as refused,
    ):
        client.chat.completions.create(model="fake-ok", messages=MESSAGES)
    assert refused.value.response.headers["x-relay-error"] == "no_route"
