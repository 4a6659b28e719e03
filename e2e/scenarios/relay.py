"""The relay as it runs in the cluster: its Service and each of its proxies."""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import httpx

from install import NAMESPACE
from wait import NotYet, until

MESSAGES = [{"role": "user", "content": "What does water do?"}]


def chat_body(model, stream=False):
    """A request of Chat Completions."""
    return {"model": model, "messages": MESSAGES} | ({"stream": True} if stream else {})


@dataclass(frozen=True)
class Proxy:
    """A proxy pod."""

    name: str
    uid: str
    ip: str

    @property
    def url(self):
        """Where clients ask it, past the Service."""
        return f"http://{self.ip}:8080"

    @property
    def admin(self):
        """Its admin port."""
        return f"http://{self.ip}:9090"

    def metric(self, name, **labels):
        """The sum of a metric's series that have these labels."""
        total = 0.0
        for line in httpx.get(f"{self.admin}/metrics", timeout=5, trust_env=False).raise_for_status().text.splitlines():
            series, _, value = line.rpartition(" ")
            if series.split("{")[0] == name and all(f'{key}="{wanted}"' in series for key, wanted in labels.items()):
                total += float(value)
        return total


class Relay:
    """The installed relay."""

    def __init__(self, kube):
        self.kube = kube
        service = kube.get("Service", NAMESPACE, "stream-relay")
        self.url = f"http://{service['spec']['clusterIP']}:{service['spec']['ports'][0]['port']}"

    def pods(self, component):
        """The pods of a component that are not on their way out."""
        selector = f"app.kubernetes.io/instance=stream-relay,app.kubernetes.io/component={component}"
        found = self.kube.items("Pod", NAMESPACE, labelSelector=selector)
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]

    def proxies(self, count=3):
        """The proxies, once exactly so many are ready and none other is there."""

        def probe():
            pods = self.pods("proxy")
            ready = [pod for pod in pods if is_ready(pod)]
            if len(ready) != count or len(pods) != count:
                raise NotYet(", ".join(f"{pod['metadata']['name']} ready: {is_ready(pod)}" for pod in pods) or "no pods")
            return [Proxy(pod["metadata"]["name"], pod["metadata"]["uid"], pod["status"]["podIP"]) for pod in ready]

        return until(f"{count} ready proxies", probe, within=60)


def is_ready(pod):
    """Whether Services send to it."""
    return any(c["type"] == "Ready" and c["status"] == "True" for c in pod.get("status", {}).get("conditions", []))


def ask(url, key, model="fake-tokens-3", path="/v1/chat/completions", client=None):
    """One request that is not streamed, without retries. Returns the response whatever it is."""
    post = client.post if client else httpx.post
    options = {} if client else {"timeout": 20, "trust_env": False}
    return post(f"{url}{path}", headers={"authorization": f"Bearer {key}"}, json=chat_body(model), **options)


class Everyone:
    """A kept connection to each of the proxies, to ask all of them at one moment."""

    def __init__(self, proxies):
        self.proxies = proxies
        self.clients = [httpx.Client(base_url=proxy.url, timeout=20, trust_env=False) for proxy in proxies]
        self.pool = ThreadPoolExecutor(len(proxies))

    def ask(self, key, path="/v1/chat/completions", model="fake-tokens-1"):
        """Their responses to one request each, in the order of the proxies."""
        return list(self.pool.map(lambda client: ask("", key, model, path, client), self.clients))

    def identities(self, key, path="/v1/chat/completions"):
        """Which provider served each of them."""
        return [answered(response).headers["x-fake-identity"] for response in self.ask(key, path)]

    def close(self):
        """Closes the connections."""
        for client in self.clients:
            client.close()
        self.pool.shutdown()


def answered(response):
    """The response, which must be a good one."""
    assert response.status_code == 200, f"{response.status_code} {dict(response.headers)} {response.text}"
    return response


def content(response):
    """The text of a good answer that was not streamed."""
    return answered(response).json()["choices"][0]["message"]["content"]


def events_text(events):
    """The text of a whole Chat Completions event stream."""
    lines = [line[6:] for line in events.decode().splitlines() if line.startswith("data: ")]
    assert lines and lines[-1] == "[DONE]", f"the stream does not end with [DONE]: ...{events[-300:]!r}"
    choices = [choice for line in lines[:-1] for choice in json.loads(line)["choices"]]
    return "".join(choice["delta"].get("content") or "" for choice in choices)
