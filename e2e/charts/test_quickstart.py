"""deploy/quickstart: what people apply first."""

import re

import yaml
from conftest import TOP, assert_restricted, one, pod_specs

FOLDER = TOP / "deploy" / "quickstart"
FILES = sorted(FOLDER.glob("*.yaml"))
OBJECTS = [each for file in FILES for each in yaml.safe_load_all(file.read_text()) if each]
NAMESPACE = "relay-demo"
# Tests and `make run` map this name to the provider they start.
PROVIDER = "http://provider.relay-demo.svc:8081"


def of(kind):
    return [each for each in OBJECTS if each["kind"] == kind]


def test_the_namespace_is_applied_first():
    assert OBJECTS[0]["kind"] == "Namespace" and OBJECTS[0]["metadata"]["name"] == NAMESPACE
    assert OBJECTS[0]["metadata"]["labels"] == {"pod-security.kubernetes.io/enforce": "restricted"}
    assert all(each["metadata"]["namespace"] == NAMESPACE for each in OBJECTS[1:])


def test_both_apis_have_a_route_to_the_fake_provider():
    backends = {each["metadata"]["name"]: each["spec"]["backends"] for each in of("RelayRoute")}
    assert {name: [backend["provider"] for backend in list_] for name, list_ in backends.items()} == {"chat": ["OpenAI"], "messages": ["Anthropic"]}
    for list_ in backends.values():
        assert all(backend["url"] == PROVIDER and backend["allowPlaintext"] is True for backend in list_)
    service = one(OBJECTS, "Service", "provider")
    assert PROVIDER == f"http://provider.{service['metadata']['namespace']}.svc:{service['spec']['ports'][0]['port']}"


def test_every_secret_that_is_named_is_there_and_every_one_there_is_named():
    named = {(backend["credential"]["secretRef"]["name"], backend["credential"]["secretRef"]["key"]) for route in of("RelayRoute") for backend in route["spec"]["backends"]}
    named |= {(key["secretRef"]["name"], key["secretRef"]["key"]) for tenant in of("RelayTenant") for key in tenant["spec"]["apiKeys"]}
    assert named == {(secret["metadata"]["name"], key) for secret in of("Secret") for key in secret["stringData"]}


def test_keys_are_long_enough_and_say_that_they_are_none():
    for secret in of("Secret"):
        for value in secret["stringData"].values():
            assert len(value.encode()) >= 20 and value.endswith("-not-a-secret")
    values = [value for secret in of("Secret") for value in secret["stringData"].values()]
    assert len(values) == len(set(values))


def test_the_readme_and_the_notes_of_the_chart_name_the_tenants_key():
    key = one(OBJECTS, "Secret", "demo-key")["stringData"]["key"]
    for file in (FOLDER / "README.md", TOP / "charts" / "stream-relay" / "templates" / "NOTES.txt"):
        assert re.findall(r"Bearer ([^\s']+)", file.read_text()) == [key], file.name


def test_the_provider_is_restricted():
    ((name, spec),) = pod_specs(OBJECTS).items()
    assert_restricted(name, spec)
    deployment, service = one(OBJECTS, "Deployment", "provider"), one(OBJECTS, "Service", "provider")
    assert service["spec"]["selector"].items() <= deployment["spec"]["template"]["metadata"]["labels"].items()
    assert spec["automountServiceAccountToken"] is False and spec["containers"][0]["imagePullPolicy"] == "IfNotPresent"
