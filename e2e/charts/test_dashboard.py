"""The Grafana dashboard: its shape, its metrics, and what its queries answer on known series (promtool evaluates them)."""

import json
import re

import pytest
import yaml
from conftest import CHART, TOP, one

DASHBOARD = json.loads((CHART / "dashboards" / "stream-relay.json").read_text())
SOURCE = (TOP / "dataplane" / "src" / "metrics.rs").read_text()
REASONS = (TOP / "dataplane" / "src" / "reason.rs").read_text()
# What Grafana puts in for a range of 15 minutes.
VARIABLES = {"$__rate_interval": "1m", "$__range": "15m", "$route": ".*"}
OK = '{route="a/chat",tenant="a/t",provider="OpenAI",code="200",end="Complete"}'
BROKEN = '{route="a/chat",tenant="a/t",provider="OpenAI",code="200",end="UpstreamError"}'
REFUSED = '{route="",tenant="",provider="",code="401",end="Refused"}'


def targets():
    return [(panel["title"], target) for panel in DASHBOARD["panels"] for target in panel["targets"]]


def expressions(title):
    found = []
    for panel, target in targets():
        if panel == title:
            text = target["expr"]
            for name, value in VARIABLES.items():
                text = text.replace(name, value)
            assert "$" not in text, text
            found.append(text)
    assert found, title
    return found


def test_there_are_the_six_panels():
    assert [(panel["title"], panel["type"]) for panel in DASHBOARD["panels"]] == [
        ("Total requests", "stat"),
        ("Success rate", "gauge"),
        ("Request rate", "timeseries"),
        ("Duration", "timeseries"),
        ("Duration heatmap", "heatmap"),
        ("Error rate", "timeseries"),
    ]
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == 6
    assert [target["legendFormat"] for title, target in targets() if title == "Duration"] == ["p50", "p95", "p99"]


def test_panels_do_not_overlap():
    cells = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        mine = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert at["x"] + at["w"] <= 24 and not cells & mine, panel["title"]
        cells |= mine


def test_the_data_source_is_a_variable_everywhere():
    variables = {each["name"]: each for each in DASHBOARD["templating"]["list"]}
    assert variables["datasource"]["type"] == "datasource" and variables["datasource"]["query"] == "prometheus"
    used = [variables["route"], *DASHBOARD["panels"], *(target for _, target in targets())]
    assert all(each["datasource"] == {"type": "prometheus", "uid": "${datasource}"} for each in used)


def test_every_metric_and_label_is_one_that_proxies_export():
    known = dict(re.findall(r'"(relay_[a-z_]+)", &\[([^\]]*)\]', SOURCE))
    used = set()
    for _, target in targets():
        for name, selector in re.findall(r"\b(relay_[a-z_]+)(?:\{([^}]*)\})?", target["expr"]):
            base = re.sub(r"_(bucket|sum|count)$", "", name)
            assert base in known, name
            assert set(re.findall(r"([a-z_]+)[=!]", selector)) <= set(re.findall(r'"([a-z]+)"', known[base])), target["expr"]
            used.add(base)
    assert used == {"relay_requests_total", "relay_duration_ms", "relay_errors_total"}


def test_the_ends_that_count_as_failures_exist():
    ends = set(re.findall(r'Self::\w+ => "([A-Z]\w+)"', REASONS))
    (expression,) = expressions("Success rate")
    failures = set(re.search(r'end!~"([^"]+)"', expression)[1].split("|"))
    assert failures < ends and "Complete" not in failures


def test_the_config_map_holds_the_dashboard_for_the_sidecar(render):
    config = one(render({"metrics": {"dashboards": {"enabled": True}}}), "ConfigMap", "stream-relay-dashboard")
    assert config["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert json.loads(config["data"]["stream-relay.json"]) == DASHBOARD


@pytest.fixture
def evaluates(promtool, tmp_path):
    """Asserts that a panel's queries give these samples, to three digits, 30 minutes into the series (a sample each 15 s)."""

    def check(title, series, *answers):
        cases = [
            {"expr": f"round({expression}, 0.001)", "eval_time": "30m", "exp_samples": [{"labels": labels, "value": value} for labels, value in answer.items()]}
            for expression, answer in zip(expressions(title), answers, strict=True)
        ]
        given = [{"series": name, "values": values} for name, values in series.items()]
        file = tmp_path / "tests.yaml"
        test = {"interval": "15s", "input_series": given, "promql_expr_test": cases}
        file.write_text(yaml.safe_dump({"evaluation_interval": "15s", "tests": [test]}))
        done = promtool("test", "rules", file)
        assert done.returncode == 0, done.stdout + done.stderr

    return check


STEADY = {f"relay_requests_total{OK}": "0+3x120"}


def test_total_counts_a_steady_load(evaluates):
    evaluates("Total requests", STEADY, {"{}": 180})


def test_total_counts_requests_from_before_the_first_scrape(evaluates):
    evaluates("Total requests", {f"relay_requests_total{OK}": "_x100 7+0x20"}, {"{}": 7})


def test_total_is_zero_and_not_absent_before_any_request(evaluates):
    evaluates("Total requests", {}, {"{}": 0})


def test_success_is_whole_without_errors(evaluates):
    evaluates("Success rate", STEADY, {"{}": 1})


def test_success_is_nothing_and_not_absent_when_everything_fails(evaluates):
    evaluates("Success rate", {f"relay_requests_total{BROKEN}": "0+1x120"}, {"{}": 0})


def test_a_stream_that_breaks_off_is_no_success_and_a_refusal_is_no_failure(evaluates):
    series = STEADY | {f"relay_requests_total{BROKEN}": "0+2x120", f"relay_requests_total{REFUSED}": "0+3x120"}
    evaluates("Success rate", series, {"{}": 0.75})


def test_success_counts_a_burst_between_two_scrapes(evaluates):
    series = {f"relay_requests_total{OK}": "_x100 3+0x20", f"relay_requests_total{BROKEN}": "_x100 1+0x20"}
    evaluates("Success rate", series, {"{}": 0.75})


def test_success_is_absent_without_requests(evaluates):
    evaluates("Success rate", {f"relay_requests_total{OK}": "9+0x120"}, {})


def test_requests_are_counted_by_code(evaluates):
    series = STEADY | {f"relay_requests_total{REFUSED}": "0+6x120"}
    evaluates("Request rate", series, {'{code="200"}': 0.2, '{code="401"}': 0.4})


def buckets():
    name = 'relay_duration_ms_bucket{route="a/chat",provider="OpenAI",kind="sse",le="%s"}'
    return {name % "100": "0+8x120", name % "200": "0+10x120", name % "+Inf": "0+10x120"}


def test_quantiles_come_from_the_buckets(evaluates):
    evaluates("Duration", buckets(), {"{}": 62.5}, {"{}": 175}, {"{}": 195})


def test_the_heatmap_counts_requests_by_bucket(evaluates):
    evaluates("Duration heatmap", buckets(), {'{le="100"}': 32, '{le="200"}': 40, '{le="+Inf"}': 40})


def test_the_error_rate_is_zero_and_not_absent_without_errors(evaluates):
    evaluates("Error rate", {}, {'{reason="none"}': 0})


def test_errors_are_counted_by_reason(evaluates):
    name = 'relay_errors_total{route="a/chat",provider="OpenAI",reason="%s"}'
    series = {name % "idle_timeout": "0+3x120", name % "requests_limited": "0+6x120"}
    evaluates("Error rate", series, {'{reason="idle_timeout"}': 0.2, '{reason="requests_limited"}': 0.4})
