"""Realtime through the relay, with the official SDK as it is: it speaks WebSocket by the library `websockets`."""

import asyncio
import signal

import openai
import pytest
from conftest import KEY, until
from websockets.exceptions import ConnectionClosedError, InvalidStatus
from websockets.sync.client import connect


def client(relay, key=KEY) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{relay.url}/v1", api_key=key)


def text(connection) -> str:
    """Asks for a response and hears it to its end."""
    connection.response.create()
    pieces = []
    for event in connection:
        if event.type == "response.output_text.delta":
            pieces.append(event.delta)
        if event.type == "response.done":
            assert event.response.usage.output_tokens > 0
            return "".join(pieces)
    raise AssertionError("the session ended without response.done")


def test_the_openai_sdk_talks_in_a_session(relay, script):
    with client(relay).realtime.connect(model="fake-tokens-40") as connection:
        assert connection.recv().type == "session.created"
        connection.conversation.item.create(
            item={"type": "message", "role": "user", "content": [{"type": "input_text", "text": "one two three"}]}
        )
        assert [text(connection), text(connection)] == [script(40), script(40)]
    line = until(lambda: [line for line in relay.output().splitlines() if "websocket" in line], "the session's line")[0]
    assert "Complete" in line and KEY not in relay.output()


def test_the_asynchronous_sdk_does_too(relay, script):
    async def talk():
        sdk = openai.AsyncOpenAI(base_url=f"{relay.url}/v1", api_key=KEY)
        async with sdk.realtime.connect(model="fake-tokens-40-split-100") as connection:
            await connection.response.create()
            pieces = []
            async for event in connection:
                if event.type == "response.output_text.delta":
                    pieces.append(event.delta)
                if event.type == "response.done":
                    return "".join(pieces)

    assert asyncio.run(talk()) == script(40)


def test_a_browsers_subprotocol_carries_the_key(relay):
    url = f"{relay.url}/v1/realtime?model=fake-ok".replace("http", "ws", 1)
    with connect(url, subprotocols=["realtime", f"openai-insecure-api-key.{KEY}", "openai-beta.realtime-v1"]) as socket:
        assert socket.subprotocol == "realtime"
        assert "session.created" in socket.recv()
    assert KEY not in relay.output()


def test_a_wrong_key_is_refused_before_there_is_a_session(relay):
    with pytest.raises(InvalidStatus) as raised:
        client(relay, key="wrong-key-wrong-key-wrong-key").realtime.connect(model="fake-ok").enter()
    assert raised.value.response.status_code == 401


@pytest.mark.parametrize(
    "how, code", [("truncated", "upstream_protocol"), ("half-event", "upstream_protocol"), ("reset", "upstream_reset")]
)
def test_an_upstream_that_vanishes_is_an_error_event_and_then_an_exception(relay, how, code):
    events = []
    with pytest.raises(ConnectionClosedError) as raised:
        with client(relay).realtime.connect(model=f"fake-{how}-at-3") as connection:
            connection.response.create()
            for event in connection:
                events.append(event)
    assert raised.value.rcvd.code == 1011
    assert (events[-1].type, events[-1].error.type, events[-1].error.code) == ("error", "server_error", code)


def test_the_drain_is_no_silent_end(start, manifests):
    relay = start(manifests, "--drain-timeout", "1s")
    events = []
    with pytest.raises(ConnectionClosedError) as raised:
        with client(relay).realtime.connect(model="fake-ok") as connection:
            events.append(connection.recv())
            relay.process.send_signal(signal.SIGTERM)
            while True:
                events.append(connection.recv())
    assert (events[-1].type, events[-1].error.code, raised.value.rcvd.code) == ("error", "draining", 1012)
    assert relay.process.wait(timeout=30) == 0
