"""The same manifests give the same answers as in a cluster, to the official SDKs as they are."""

import concurrent.futures
import hashlib

import anthropic
import httpx
import openai
import pytest
from conftest import KEY, edit


def client(relay, key=KEY) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{relay.url}/v1", api_key=key, max_retries=0, timeout=30)


def ask(client, model="fake-ok", **options):
    return client.chat.completions.create(model=model, messages=[{"role": "user", "content": "Hello"}], **options)


def test_the_openai_sdk_streams_the_providers_text(relay, script):
    pieces = [chunk.choices[0].delta.content or "" for chunk in ask(client(relay), "fake-tokens-40", stream=True)]
    assert "".join(pieces) == script(40)
    assert len(pieces) >= 40


def test_the_openai_sdk_streams_audio_byte_for_byte(relay, provider):
    digest, size = hashlib.sha256(), 0
    with client(relay).audio.speech.with_streaming_response.create(
        model="fake-bytes-200000", voice="alloy", input="Hello"
    ) as response:
        for piece in response.iter_bytes():
            digest.update(piece)
            size += len(piece)
    assert size == 200_000
    expected = httpx.get(f"{provider.url}/_fake/audio-sha256", params={"bytes": size}).text.strip()
    assert digest.hexdigest() == expected


def test_the_anthropic_sdk_streams_the_providers_text(relay, script):
    sdk = anthropic.Anthropic(base_url=relay.url, api_key=KEY, max_retries=0)
    with sdk.messages.stream(
        model="fake-tokens-40", max_tokens=100, messages=[{"role": "user", "content": "Hello"}]
    ) as stream:
        assert "".join(stream.text_stream) == script(40)


def test_a_wrong_key_is_an_authentication_error(relay):
    with pytest.raises(openai.AuthenticationError) as raised:
        ask(client(relay, key="wrong-key-wrong-key-wrong-key"))
    assert raised.value.code == "key_unknown"


def test_an_unknown_path_is_a_not_found_error(relay, manifests):
    edit(manifests / "30-routes.yaml", r"prefix: /v1}", "exact: /v1/chat/completions}")
    with pytest.raises(openai.NotFoundError):
        while True:  # until the reload
            client(relay).models.list()


def test_five_an_hour_admits_exactly_five_of_sixty(start, manifests):
    edit(manifests / "40-tenant.yaml", r"requests: \{.*\}", "requests: {amount: 5, per: Hour}")
    relay = start(manifests)

    def one(_):
        try:
            ask(client(relay))
            return None
        except openai.RateLimitError as error:
            return error

    with concurrent.futures.ThreadPoolExecutor(60) as pool:
        outcomes = list(pool.map(one, range(60)))
    refused = [error for error in outcomes if error]
    assert len(outcomes) - len(refused) == 5
    # The wait is 12 minutes: an SDK would sleep that long, so it is told not to retry instead.
    assert all(error.response.headers["x-should-retry"] == "false" for error in refused)
    assert all(error.code == "requests_limited" for error in refused)


def test_a_short_wait_is_told_in_retry_after(start, manifests):
    edit(manifests / "40-tenant.yaml", r"requests: \{.*\}", "requests: {amount: 6, per: Minute, burst: 1}")
    relay = start(manifests)
    ask(client(relay))
    with pytest.raises(openai.RateLimitError) as raised:
        ask(client(relay))
    assert 1 <= int(raised.value.response.headers["retry-after"]) <= 10


def test_a_truncated_stream_raises_in_the_sdk(relay):
    with pytest.raises(openai.APIError) as raised:
        for _ in ask(client(relay), "fake-truncated", stream=True):
            pass
    assert raised.value.code == "upstream_protocol"


def test_the_seeds_metrics_are_there_by_name(relay):
    ask(client(relay))
    text = httpx.get(f"{relay.admin}/metrics").text
    for name in ["relay_requests_total", "relay_duration_ms", "relay_active_connections", "relay_first_byte_ms"]:
        assert f"\n{name}" in text, name
    for name in ["relay_errors_total", "relay_storage_write_ms"]:
        assert name in text or f"# TYPE {name}" not in text
    assert KEY not in text and "fake-openai-key" not in text


def test_no_key_stands_in_the_log(relay):
    ask(client(relay))
    with pytest.raises(openai.AuthenticationError):
        ask(client(relay, key="wrong-key-wrong-key-wrong-key"))
    for secret in [KEY, "fake-openai-key-not-a-secret", "wrong-key-wrong-key"]:
        assert secret not in relay.output()
