"""A budget that stops streams: once it is spent, the streams of the tenant end in all proxies, each with its format's own error event."""

import concurrent.futures
import json
import threading
import time

import fleet
import httpx
import redises
from conftest import until

PROXIES = 3
BUDGET = 600
# Two streams at each proxy, 50 tokens a second each: 300 a second together.
STREAMS, GAP = 2, "20ms"
BUDGETS = f"""  budgets:
  - {{name: daily, unit: Tokens, amount: {BUDGET}, per: Day, timeZone: UTC, atLimit: StopStreams}}
"""


class Stream(threading.Thread):
    """One stream, read as it comes: its text, and when its last byte came."""

    def __init__(self, relay, path, headers, body):
        super().__init__(daemon=True)
        self.request = httpx.Request("POST", f"{relay.url}{path}", headers=headers, json=body, extensions={"timeout": httpx.Timeout(60).as_dict()})
        self.text, self.status, self.ended = b"", None, None

    def run(self):
        with httpx.Client(trust_env=False) as client:
            answer = client.send(self.request, stream=True)
            self.status = answer.status_code
            try:
                for piece in answer.iter_raw():
                    self.text += piece
            except httpx.RemoteProtocolError:
                # A broken framing, as the neighbour sees when its proxy is killed: `ended` stays unset.
                return
        self.ended = time.monotonic()


def chat(tenant):
    body = {"model": f"fake-tokens-100000-gap-{GAP}", "stream": True, "messages": [{"role": "user", "content": "Go on"}]}
    return "/v1/chat/completions", {"authorization": f"Bearer {fleet.key_of(tenant)}"}, body


def messages(tenant):
    body = {"model": f"fake-tokens-100000-gap-{GAP}", "stream": True, "max_tokens": 100000, "messages": [{"role": "user", "content": "Go on"}]}
    return "/v1/messages", {"x-api-key": fleet.key_of(tenant), "anthropic-version": "2023-06-01"}, body


def last_event(stream: Stream) -> dict:
    events = [line for line in stream.text.split(b"\n") if line.startswith(b"data: ")]
    return json.loads(events[-1].removeprefix(b"data: "))


def test_a_spent_budget_ends_the_streams_of_its_tenant_in_every_proxy_and_no_other(programs, provider, tmp_path):
    port = provider.ports["listen"]
    routes = fleet.route(port), fleet.route(port, "Anthropic", "/v1/messages", "anthropic")
    tenants = fleet.tenant("spender", "", BUDGETS), fleet.tenant("neighbour", "", BUDGETS.replace(str(BUDGET), "1000000"))
    manifests = fleet.write(tmp_path / "manifests", *routes, *tenants)
    with redises.single(tmp_path) as redis, fleet.fleet(programs / "relay-dataplane", tmp_path, manifests, PROXIES, "--redis-url", redis.url()) as relays:
        fleet.until_shared(relays)
        neighbour = Stream(relays[0], *chat("neighbour"))
        streams = [Stream(relay, *ask("spender")) for relay in relays for ask in [chat, messages][:STREAMS]]
        for stream in [neighbour, *streams]:
            stream.start()
        with concurrent.futures.ThreadPoolExecutor() as pool:
            list(pool.map(lambda stream: stream.join(60), streams))
        assert all(stream.ended for stream in streams), [stream.text[-300:] for stream in streams]

        for stream in streams:
            assert stream.status == 200
            error = last_event(stream)["error"]
            assert "budget" in error["message"] and "daily" in error["message"], error
        apart = max(stream.ended for stream in streams) - min(stream.ended for stream in streams)
        print(f"a spent budget ended {len(streams)} streams in {PROXIES} proxies within {apart:.2f} s")
        assert apart < 10, "a machine may be slow, but not all streams: the goal is 2 s"

        until(lambda: fleet.is_settled(redis, "spender"), "the streams are settled")
        spent = fleet.used(redis, "spender", "daily/tokens")
        print(f"{spent} tokens were drawn of a budget of {BUDGET}")
        assert BUDGET <= spent
        assert neighbour.is_alive() and b'"error"' not in neighbour.text

        refused = httpx.post(f"{relays[1].url}/v1/chat/completions", headers=chat("spender")[1], json=chat("spender")[2], trust_env=False)
        assert (refused.status_code, refused.headers["x-relay-error"]) == (429, "budget_spent"), refused.text
        # The next day is hours away: an SDK must not sleep until then.
        wait = refused.headers.get("retry-after")
        assert (wait is None and refused.headers["x-should-retry"] == "false") or int(wait) <= 60
        assert neighbour.is_alive()
        for relay in relays:
            assert relay.metric("relay_requests_total", tenant=f"{fleet.NAMESPACE}/spender", end="LimitReached") >= STREAMS
