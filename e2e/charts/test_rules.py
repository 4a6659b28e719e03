"""The PrometheusRule: what its rules answer on known series (promtool evaluates them)."""

import re

import pytest
import yaml
from conftest import NAMESPACE, TOP, one

RELEASE = "stream-relay"
ENABLED = {"metrics": {"prometheusRule": {"enabled": True, "labels": {"release": "prometheus"}}}}
LABELS = f'namespace="{NAMESPACE}",pod="p"'
TOKENS = f'relay_tokens_total{{{LABELS},route="a/chat",tenant="a/t",provider="OpenAI",model="m",direction="%s",estimated="%s"}}'
REFUSED = f'relay_errors_total{{{LABELS},route="a/chat",provider="none",reason="%s"}}'
DAY = 24 * 60


def mode(name, pod="p", namespace=NAMESPACE):
    return f'relay_limits_mode{{namespace="{namespace}",pod="{pod}",mode="{name}"}}'


def settles(result, pod="p"):
    return f'relay_limit_settles_total{{namespace="{NAMESPACE}",pod="{pod}",result="{result}"}}'


@pytest.fixture
def rule(render):
    return one(render(ENABLED), "PrometheusRule", RELEASE)


def test_it_is_where_prometheus_looks_and_every_rule_has_a_name_of_its_own(rule):
    assert rule["metadata"]["labels"]["release"] == "prometheus"
    rules = [each for group in rule["spec"]["groups"] for each in group["rules"]]
    names = [each.get("record") or each["alert"] for each in rules]
    assert names == [
        "relay:tenant_characters:increase1d",
        "relay:tenant_requests:increase1d",
        "relay:tenant_tokens:increase1d",
        "RelayLimitsNotShared",
        "RelayLimitSettlesLost",
        "RelayLimitsUnavailable",
    ]
    alerts = [each for each in rules if "alert" in each]
    assert all(each["labels"]["severity"] and each["annotations"].keys() == {"summary", "description"} for each in alerts)


def test_every_metric_and_label_is_one_that_proxies_export(rule):
    source = (TOP / "dataplane" / "src" / "metrics.rs").read_text()
    known = {name: set(re.findall(r'"([a-z]+)"', labels)) for name, labels in re.findall(r'"(relay_[a-z_]+)",\s*&\[([^\]]*)\]', source)}
    used = set()
    for group in rule["spec"]["groups"]:
        for each in group["rules"]:
            given = {"namespace"}
            for name, selector in re.findall(r"\b(relay_[a-z_]+)\{([^}]*)\}", each["expr"]):
                assert name in known, name
                given |= known[name]
                assert set(re.findall(r"([a-z_]+)=", selector)) <= given, each["expr"]
                used.add(name)
            (by,) = re.findall(r"sum by \(([^)]*)\)", each["expr"])
            assert set(by.split(", ")) <= given, each["expr"]
    assert used == {
        "relay_tokens_total",
        "relay_characters_total",
        "relay_requests_total",
        "relay_limits_mode",
        "relay_limit_settles_total",
        "relay_errors_total",
    }


def test_promtool_finds_no_fault_in_it(rule, promtool, tmp_path):
    file = tmp_path / "rules.yaml"
    file.write_text(yaml.safe_dump(rule["spec"]))
    done = promtool("check", "rules", "--lint=all", "--lint-fatal", file)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "6 rules found" in done.stdout


@pytest.fixture
def told(rule, promtool, tmp_path):
    """Runs promtool's unit tests of the rules on series with a sample each minute."""

    def run(series, **cases):
        (tmp_path / "rules.yaml").write_text(yaml.safe_dump(rule["spec"]))
        given = [{"series": name, "values": values} for name, values in series.items()]
        test = {"interval": "1m", "input_series": given, **cases}
        file = tmp_path / "tests.yaml"
        file.write_text(yaml.safe_dump({"rule_files": ["rules.yaml"], "evaluation_interval": "1m", "tests": [test]}))
        done = promtool("test", "rules", file)
        assert done.returncode == 0, done.stdout + done.stderr

    return run


@pytest.fixture
def records(told):
    """Asserts what a record answers at a minute, rounded."""

    def check(name, minute, series, answer):
        samples = [{"labels": labels, "value": value} for labels, value in answer.items()]
        told(series, promql_expr_test=[{"expr": f"round({name})", "eval_time": f"{minute}m", "exp_samples": samples}])

    return check


@pytest.fixture
def alerts(told):
    """Asserts which alerts of a name fire at a minute: their labels."""

    def check(name, minute, series, *firing):
        samples = [{"labels": f'ALERTS{{alertname="{name}",alertstate="firing",{labels}}}', "value": 1} for labels in firing]
        query = f'ALERTS{{alertname="{name}",alertstate="firing"}}'
        told(series, promql_expr_test=[{"expr": query, "eval_time": f"{minute}m", "exp_samples": samples}])

    return check


def used(direction):
    return f'{{namespace="{NAMESPACE}",tenant="a/t",direction="{direction}"}}'


def test_use_of_a_day_is_summed_over_proxies_models_and_estimates(records):
    series = {
        TOKENS % ("input", "false"): f"0+2x{3 * DAY}",
        TOKENS % ("input", "true"): f"0+1x{3 * DAY}",
        TOKENS.replace('pod="p"', 'pod="q"') % ("input", "false"): f"0+4x{3 * DAY}",
        TOKENS % ("output", "false"): f"0+5x{3 * DAY}",
    }
    records("relay:tenant_tokens:increase1d", 2 * DAY, series, {used("input"): 7 * DAY, used("output"): 5 * DAY})


def test_use_of_one_request_is_counted_though_its_counter_shows_it_at_once(records):
    series = {TOKENS % ("output", "false"): f"_x{DAY + 10} 500+0x{2 * DAY}"}
    answer = {used("output"): 500}
    records("relay:tenant_tokens:increase1d", DAY + 15, series, answer)
    records("relay:tenant_tokens:increase1d", 2 * DAY, series, answer)


def test_use_before_the_day_is_not_counted(records):
    series = {TOKENS % ("output", "false"): f"_x10 500+0x{3 * DAY}"}
    records("relay:tenant_tokens:increase1d", DAY + 60, series, {used("output"): 0})


def test_use_before_the_day_is_not_counted_where_prometheus_saw_nothing_for_a_while(records):
    series = {TOKENS % ("output", "false"): f"0+1x{DAY - 60} _x120 {DAY}+0x{2 * DAY}"}
    records("relay:tenant_tokens:increase1d", 2 * DAY, series, {used("output"): 0})


def test_use_goes_on_where_a_proxy_is_replaced(records):
    gone = {TOKENS % ("output", "false"): f"0+0x{DAY + 100} 40+0x200 stale"}
    new = {TOKENS.replace('pod="p"', 'pod="q"') % ("output", "false"): f"_x{DAY + 305} 7+0x{DAY}"}
    records("relay:tenant_tokens:increase1d", 2 * DAY, gone | new, {used("output"): 47})


def test_requests_and_characters_of_a_day_are_summed_too(records):
    labels = f'{LABELS},route="a/chat",tenant="a/t",provider="OpenAI"'
    requests = {f'relay_requests_total{{{labels},code="200",end="Complete"}}': f"0+2x{2 * DAY}"}
    records("relay:tenant_requests:increase1d", 2 * DAY, requests, {f'{{namespace="{NAMESPACE}",tenant="a/t"}}': 2 * DAY})
    characters = {f"relay_characters_total{{{labels}}}": f"0+3x{2 * DAY}"}
    records("relay:tenant_characters:increase1d", 2 * DAY, characters, {f'{{namespace="{NAMESPACE}",tenant="a/t"}}': 3 * DAY})


def test_limits_that_are_not_shared_for_five_minutes_are_told(alerts):
    series = {mode("local"): "0x10 1x20", mode("shared"): "1x10 0x20", mode("local", "q"): "0x30", mode("local", namespace="other"): "1x30"}
    alerts("RelayLimitsNotShared", 15, series)
    alerts("RelayLimitsNotShared", 17, series, f'namespace="{NAMESPACE}",severity="warning"')


def test_the_words_of_an_alert_name_what_it_is_about(rule, told):
    (alert,) = [each for group in rule["spec"]["groups"] for each in group["rules"] if each.get("alert") == "RelayLimitsNotShared"]
    summary = f"2 proxies of Stream Relay in {NAMESPACE} do not share the limits."
    words = {"summary": summary, "description": alert["annotations"]["description"]}
    expected = {"exp_labels": {"severity": "warning", "namespace": NAMESPACE}, "exp_annotations": words}
    case = {"eval_time": "10m", "alertname": "RelayLimitsNotShared", "exp_alerts": [expected]}
    told({mode("local", pod): "1x20" for pod in "pq"}, alert_rule_test=[case])


def test_limits_that_are_shared_again_or_were_never_to_be_shared_are_no_alert(alerts):
    alerts("RelayLimitsNotShared", 20, {mode("local"): "0x10 1x3 0x20", mode("none"): "1x30"})


def test_settles_that_were_lost_are_told_also_where_the_counter_is_new(alerts):
    lost = f'namespace="{NAMESPACE}",severity="warning"'
    alerts("RelayLimitSettlesLost", 32, {settles("lost"): "_x30 3x30"}, lost)
    alerts("RelayLimitSettlesLost", 32, {settles("lost"): "2x30 3x30"}, lost)
    alerts("RelayLimitSettlesLost", 55, {settles("lost"): "0x30 3x60"})
    alerts("RelayLimitSettlesLost", 32, {settles("lost"): "0x60", settles("late"): "0+9x60", settles("shared"): "0+9x60"})


def test_refusals_for_want_of_redis_are_told(alerts):
    series = {REFUSED % "limits_unavailable": "0+6x30", REFUSED % "requests_limited": "0+6x30"}
    alerts("RelayLimitsUnavailable", 10, series, f'namespace="{NAMESPACE}",route="a/chat",severity="critical"')
    alerts("RelayLimitsUnavailable", 10, {REFUSED % "requests_limited": "0+6x30"})
