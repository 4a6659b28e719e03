"""h2spec, the conformance test of HTTP/2, against the program itself: over TLS and in the clear."""

import subprocess
import xml.etree.ElementTree as xml

import pytest
from conftest import ROOT, openssl

# On a port that also speaks HTTP/1.1, what is no preface of HTTP/2 is a request of HTTP/1.1: it is answered with 400 and closed. The test takes
# that answer for a frame, and wants nothing but the close.
NOT_HTTP_2_ALONE = {"Sends invalid connection preface"}
# All cases, the strict ones too.
CASES = 146


@pytest.fixture(scope="session")
def h2spec():
    return subprocess.run([ROOT / "e2e/h2spec/build"], check=True, capture_output=True, text=True).stdout.split()[-1]


def failures(h2spec, relay, folder, *flags) -> tuple[int, set]:
    """How many cases ran, and which failed."""
    report = folder / "report.xml"
    port = relay.url.rsplit(":", 1)[1]
    done = subprocess.run([h2spec, "-h", "127.0.0.1", "-p", port, "-o", "10", "--strict", "-j", report, *flags], capture_output=True, text=True)
    cases = list(xml.parse(report).iter("testcase"))
    broken = {case.get("classname") for case in cases if len(case)}
    assert (done.returncode == 0) == (not broken), done.stdout
    return len(cases), broken


def test_all_cases_over_tls(h2spec, start, manifests, tmp_path):
    elliptic = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    openssl("req", "-x509", *elliptic, "-keyout", "tls.key", "-out", "tls.crt", "-subj", "/CN=relay", "-days", "2", cwd=tmp_path)
    relay = start(manifests, "--tls-dir", tmp_path)
    count, broken = failures(h2spec, relay, tmp_path, "-t", "-k")
    assert (count, broken) == (CASES, set())


def test_all_cases_in_the_clear_but_one_that_is_http_1(h2spec, start, manifests, tmp_path):
    count, broken = failures(h2spec, start(manifests), tmp_path)
    assert (count, broken) == (CASES, NOT_HTTP_2_ALONE)
