"""Every file of deploy/providers: `check` takes it, and a stream goes through it to the provider's own host name, over TLS."""

import json
import re
import subprocess

import front
import httpx
import pytest
from conftest import ROOT

FOLDER = ROOT / "deploy/providers"
# An address of its own, so that port 443 is free whatever else runs here.
ADDRESS = "127.8.4.43"
HOSTS = {
    "api.openai.com": 443,
    "api.anthropic.com": 443,
    "api.siliconflow.cn": 443,
    "my-resource.openai.azure.com": 443,
    "westeurope.tts.speech.microsoft.com": 443,
    "generativelanguage.googleapis.com": 443,
    "api.elevenlabs.io": 443,
    "ollama.models.svc": 11434,
    "vllm.models.svc": 8000,
}
KEYS = {
    name: f"canary-{name.lower().replace('_', '-')}-0123456789"
    for name in (
        "RELAY_TENANT_KEY",
        "OPENAI_API_KEY",
        "ANTHROPIC_API_KEY",
        "SILICONFLOW_API_KEY",
        "AZURE_OPENAI_API_KEY",
        "AZURE_SPEECH_KEY",
        "GEMINI_API_KEY",
        "ELEVENLABS_API_KEY",
        "VLLM_API_KEY",
    )
}
TENANT = KEYS["RELAY_TENANT_KEY"]
MESSAGES = [{"role": "user", "content": "Hello"}]
SSML = '<speak version="1.0" xml:lang="en-US"><voice name="en-US-AvaNeural">Hello</voice></speak>'
GEMINI = {"contents": [{"parts": [{"text": "Hello"}]}]}


def chat(model):
    return {"model": model, "stream": True, "messages": MESSAGES}


# file, path, headers beside the tenant's key, body, what the stream ends with (None: audio), the credential's header, the credential.
CASES = [
    ("openai", "/v1/chat/completions", {}, chat("gpt-5"), "data: [DONE]", "authorization", f"Bearer {KEYS['OPENAI_API_KEY']}"),
    ("openai", "/v1/responses", {}, {"model": "gpt-5", "stream": True, "input": "Hello"}, "response.completed", "authorization", f"Bearer {KEYS['OPENAI_API_KEY']}"),
    ("openai", "/v1/audio/speech", {}, {"model": "tts-1", "voice": "alloy", "input": "Hello"}, None, "authorization", f"Bearer {KEYS['OPENAI_API_KEY']}"),
    ("anthropic", "/v1/messages", {"anthropic-version": "2023-06-01"}, {"max_tokens": 64, **chat("claude-opus")}, "message_stop", "x-api-key", KEYS["ANTHROPIC_API_KEY"]),
    ("siliconflow", "/v1/chat/completions", {}, chat("deepseek-ai/DeepSeek-V3"), "data: [DONE]", "authorization", f"Bearer {KEYS['SILICONFLOW_API_KEY']}"),
    ("siliconflow", "/v1/audio/speech", {}, {"model": "FunAudioLLM/CosyVoice2-0.5B", "voice": "anna", "input": "Hello"}, None, "authorization", f"Bearer {KEYS['SILICONFLOW_API_KEY']}"),
    ("azure-openai", "/openai/deployments/gpt-5/chat/completions?api-version=2024-10-21", {}, chat("gpt-5"), "data: [DONE]", "api-key", KEYS["AZURE_OPENAI_API_KEY"]),
    ("azure-openai", "/openai/v1/chat/completions", {}, chat("gpt-5"), "data: [DONE]", "api-key", KEYS["AZURE_OPENAI_API_KEY"]),
    ("azure-speech", "/cognitiveservices/v1", {"content-type": "application/ssml+xml", "x-microsoft-outputformat": "audio-24khz-48kbitrate-mono-mp3"}, SSML, None, "ocp-apim-subscription-key", KEYS["AZURE_SPEECH_KEY"]),
    ("gemini", "/v1beta/models/gemini-3:streamGenerateContent?alt=sse", {}, GEMINI, "finishReason", "x-goog-api-key", KEYS["GEMINI_API_KEY"]),
    ("elevenlabs", "/v1/text-to-speech/voice-1/stream", {}, {"text": "Hello", "model_id": "eleven_v3"}, None, "xi-api-key", KEYS["ELEVENLABS_API_KEY"]),
    ("ollama", "/api/chat", {}, {"model": "llama", "messages": MESSAGES}, '"done":true', None, None),
    ("vllm", "/v1/chat/completions", {}, chat("my-llama"), "data: [DONE]", "authorization", f"Bearer {KEYS['VLLM_API_KEY']}"),
]


@pytest.fixture
def internet(tmp_path, provider):
    """The providers' hosts at one address: by TLS, and in the clear where the examples say so."""
    names = [host for host, port in HOSTS.items() if port == 443]
    plain = [f"{ADDRESS}:{port}" for port in HOSTS.values() if port != 443]
    with front.nginx(tmp_path, provider.ports["listen"], names, f"{ADDRESS}:443", *plain) as ca:
        yield ca


@pytest.fixture
def all_providers(start, internet):
    resolve = [argument for host in HOSTS for argument in ("--resolve", f"{host}={ADDRESS}")]
    return start(FOLDER, *resolve, env={**KEYS, "SSL_CERT_FILE": str(internet)})


def test_every_preset_has_an_example_and_every_example_a_case():
    schema = (ROOT / "crds/generated/relayroutes.yaml").read_text()
    presets = set(re.search(r"provider:\n(?:.*\n)*?\s+enum:\n((?:\s+- \w+\n)+)", schema)[1].replace("-", "").split())
    files = {path.stem: path.read_text() for path in FOLDER.glob("*.yaml") if "kind: RelayRoute" in path.read_text()}
    assert presets == {name for text in files.values() for name in re.findall(r"provider: (\w+)", text)}
    assert set(files) == {case[0] for case in CASES}


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.yaml")), ids=lambda path: path.stem)
def test_check_takes_each_file_with_the_tenant(programs, tmp_path, path):
    for file in {path, FOLDER / "00-tenant.yaml"}:
        (tmp_path / file.name).write_text(file.read_text())
    done = subprocess.run([programs / "relay-dataplane", "check", tmp_path], env=KEYS, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_check_names_the_variable_that_is_not_set(programs):
    keys = {name: key for name, key in KEYS.items() if name != "GEMINI_API_KEY"}
    done = subprocess.run([programs / "relay-dataplane", "check", FOLDER], env=keys, capture_output=True, text=True)
    # A warning: the other routes are served, and this one answers 503 until it is set.
    assert done.returncode == 0 and "gemini.yaml" in done.stdout and "GEMINI_API_KEY" in done.stdout


def test_a_stream_goes_through_every_example(all_providers, provider):
    relay = all_providers
    for file, path, headers, body, end, header, credential in CASES:
        httpx.delete(f"{provider.url}/_fake/requests").raise_for_status()
        content = body if isinstance(body, str) else json.dumps(body)
        headers = {"authorization": f"Bearer {TENANT}", "content-type": "application/json", **headers}
        with httpx.stream("POST", f"{relay.url}{path}", headers=headers, content=content, timeout=30) as answer:
            received = b"".join(answer.iter_raw())
        assert answer.status_code == 200, (file, path, received, relay.output()[-2000:])
        assert len(received) > 1000 if end is None else end in received[-2000:].decode(), (file, path, received[-300:])
        (seen,) = httpx.get(f"{provider.url}/_fake/requests").json()
        sent = dict(seen["headers"])
        assert seen["path"] == path.split("?")[0], file
        if header:
            assert sent[header] == credential, (file, path, sent)
        assert TENANT not in json.dumps(seen), (file, path)
        others = [key for key in KEYS.values() if key in json.dumps(seen) and key not in (credential or "")]
        assert not others, (file, path)
    lines = [line for line in relay.output().splitlines() if "end=" in line or '"end"' in line]
    assert len(lines) == len(CASES) and all("Complete" in line for line in lines), lines
