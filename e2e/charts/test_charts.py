"""The charts as Helm renders them; no cluster."""

import re
import subprocess

import pytest
import yaml
from conftest import CHART, CRDS, EVERYTHING, NAMESPACE, TOP, assert_restricted, one, pod_specs

CONFIG_MAPS = ["relay-config", *(f"relay-config-{shard}" for shard in range(16))]
SECRETS = [f"relay-secrets-{shard}" for shard in range(16)]
READ = ["get", "list", "watch"]
OPERATOR = {"kind": "ServiceAccount", "name": "stream-relay-operator", "namespace": NAMESPACE}


def environment(spec):
    return {each["name"]: each for each in spec["containers"][0]["env"]}


def rules(objects, kind, name):
    return one(objects, kind, name)["rules"]


@pytest.mark.parametrize("chart", [CHART, CRDS], ids=lambda chart: chart.name)
def test_lint_finds_nothing(helm, chart):
    done = helm("lint", "--strict", chart)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("values", [{}, EVERYTHING, {"redis": {"url": "redis://u:p@redis:6379/0"}}], ids=["plain", "everything", "url"])
def test_the_same_values_render_the_same_bytes(template, values):
    first, second = template(values), template(values)
    assert first.returncode == 0, first.stderr
    assert first.stdout == second.stdout


def test_every_object_has_its_namespace_and_a_name_of_its_own(render):
    objects = render(EVERYTHING)
    names = [(each["kind"], each["metadata"].get("namespace"), each["metadata"]["name"]) for each in objects]
    assert len(names) == len(set(names))
    assert {kind for kind, namespace, _ in names if namespace != NAMESPACE} == {"ClusterRole", "ClusterRoleBinding"}


def test_names_stay_within_63_characters(render):
    for each in render(EVERYTHING, release="r" * 53):
        if not each["kind"].startswith("ClusterRole"):
            assert len(each["metadata"]["name"]) <= 63, each["metadata"]["name"]
        assert all(len(str(value)) <= 63 for value in each["metadata"]["labels"].values())


def test_every_pod_is_restricted(render):
    specs = pod_specs(render(EVERYTHING))
    assert set(specs) == {"stream-relay-operator", "stream-relay-proxy", "stream-relay-redis"}
    for name, spec in specs.items():
        assert_restricted(name, spec)


def test_selectors_find_their_pods_and_survive_pod_labels(render):
    extra = {"podLabels": {"app.kubernetes.io/component": "other", "team": "a"}}
    objects = render({**EVERYTHING, "operator": extra, "proxy": extra})
    deployments = [each for each in objects if each["kind"] == "Deployment"]
    for deployment in deployments:
        labels = deployment["spec"]["template"]["metadata"]["labels"]
        assert deployment["spec"]["selector"]["matchLabels"].items() <= labels.items()
    labels = {each["metadata"]["name"]: each["spec"]["template"]["metadata"]["labels"] for each in deployments}
    assert labels["stream-relay-proxy"]["team"] == "a"
    ports = {each["metadata"]["name"]: each["spec"]["template"]["spec"]["containers"][0]["ports"] for each in deployments}
    services = [each for each in objects if each["kind"] == "Service"]
    assert len(services) == 4
    for service in services:
        found = [name for name, has in labels.items() if service["spec"]["selector"].items() <= has.items()]
        assert len(found) == 1, service["metadata"]["name"]
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= {port["name"] for port in ports[found[0]]}


def test_the_service_leads_to_the_proxies(render):
    service = one(render(), "Service", "stream-relay")["spec"]
    assert service["selector"]["app.kubernetes.io/component"] == "proxy"
    assert service["ports"] == [{"name": "http", "port": 80, "targetPort": "http"}]


@pytest.mark.parametrize(
    "values",
    [
        {"proxies": {}},
        {"proxy": {"replica": 3}},
        {"proxy": {"replicas": 0}},
        {"proxy": {"drain": {"timeout": "600s"}}},
        {"proxy": {"drain": {"timeoutSeconds": "600s"}}},
        {"image": {"proxy": {"repo": "x"}}},
        {"image": {"proxy": {"digest": "latest"}}},
        {"watchNamespaces": "team-a"},
        {"watchNamespaces": ["Team A"]},
        {"redis": {"url": "http://redis"}},
        {"redis": {"url": "redis+tls://redis"}},
        {"redis": {"existingSecret": {"name": "limits", "key": "url"}}},
        {"redis": {"password": "x"}},
        {"redis": {"tls": {"insecure": True}}},
        {"metrics": {"prometheusRule": {"rules": []}}},
        {"redis": {"bundled": {"password": "x"}}},
        {"networkPolicy": {"clients": [{}]}},
        {"metrics": {"serviceMonitor": {"interval": 15}}},
        {"operator": {"log": {"format": "xml"}}},
    ],
    ids=str,
)
def test_the_schema_refuses(template, values):
    done = template(values)
    assert done.returncode != 0
    assert "values don't meet the specifications of the schema" in done.stderr, done.stderr


def test_the_schema_knows_every_value_and_every_value_is_explained():
    text = (CHART / "values.yaml").read_text()
    schema = yaml.safe_load((CHART / "values.schema.json").read_text())

    def walk(value, node, path):
        while "$ref" in node:
            node = schema["definitions"][node["$ref"].rsplit("/", 1)[1]]
        if isinstance(value, dict) and "properties" in node:
            assert node.get("additionalProperties") is False, path
            for key, child in value.items():
                assert key in node["properties"], f"{path}.{key}"
                walk(child, node["properties"][key], f"{path}.{key}")

    walk(yaml.safe_load(text), schema, "")
    lines, explained = text.splitlines(), {"maxSkew", "whenUnsatisfiable", "grafana_dashboard"}
    for number, line in enumerate(lines):
        if key := re.match(r" *(?:- )?(\w+):", line):
            assert key[1] in explained or lines[number - 1].lstrip().startswith("#"), f"line {number + 1}: {line.strip()} is not explained"
            explained.add(key[1])


def test_two_ways_to_redis_are_refused(template):
    done = template({"redis": {"url": "redis://redis:6379/0", "bundled": {"enabled": True}}})
    assert done.returncode != 0
    assert "choose one Redis: redis.url and redis.bundled.enabled are set" in done.stderr


def test_the_url_of_redis_stands_in_a_secret_alone(template, render):
    url = "redis://relay:canary-5d1c@redis.example:6380/2"
    rendered = template({"redis": {"url": url}}).stdout
    assert "canary-5d1c" not in rendered
    objects = render({"redis": {"url": url}})
    variable = environment(pod_specs(objects)["stream-relay-proxy"])["RELAY_REDIS_URL"]
    assert variable["valueFrom"] == {"secretKeyRef": {"name": "stream-relay-redis-url", "key": "url"}}
    assert one(objects, "Secret", "stream-relay-redis-url")["data"].keys() == {"url"}


def test_a_new_url_of_redis_restarts_the_proxies(render):
    def annotations(url):
        return one(render({"redis": {"url": url}}), "Deployment", "stream-relay-proxy")["spec"]["template"]["metadata"]["annotations"]

    assert annotations("redis://a:6379") != annotations("redis://b:6379")


def test_an_existing_secret_is_named_and_not_made(render):
    for key, given in [("redis", {"urlKey": "redis"}), ("url", {})]:
        objects = render({"redis": {"existingSecret": {"name": "limits", **given}}})
        variables = environment(pod_specs(objects)["stream-relay-proxy"])
        assert variables["RELAY_REDIS_URL"]["valueFrom"] == {"secretKeyRef": {"name": "limits", "key": key}}
        assert not [each for each in objects if "redis" in each["metadata"]["name"]]
        assert not {"RELAY_REDIS_USERNAME", "RELAY_REDIS_PASSWORD", "RELAY_REDIS_CA"} & variables.keys()


def test_url_user_password_and_certificates_of_redis_may_come_from_four_places(render):
    secret = {"name": "limits", "passwordKey": "password"}
    values = {"url": "rediss+sentinel://a,b:26380/main/2", "username": "relay", "existingSecret": secret, "tls": {"caSecretName": "redis-ca"}}
    objects = render({"redis": values})
    spec = pod_specs(objects)["stream-relay-proxy"]
    variables = environment(spec)
    assert variables["RELAY_REDIS_URL"]["valueFrom"] == {"secretKeyRef": {"name": "stream-relay-redis-url", "key": "url"}}
    assert variables["RELAY_REDIS_USERNAME"]["value"] == "relay"
    assert variables["RELAY_REDIS_PASSWORD"]["valueFrom"] == {"secretKeyRef": {"name": "limits", "key": "password"}}
    assert variables["RELAY_REDIS_CA"]["value"] == "/etc/relay-redis/ca.crt"
    (volume,) = [each for each in spec["volumes"] if each["name"] == "redis-ca"]
    assert volume["secret"]["secretName"] == "redis-ca" and not volume["secret"].get("optional")
    assert volume["secret"]["items"] == [{"key": "ca.crt", "path": "ca.crt"}]
    mounts = {each["name"]: each for each in spec["containers"][0]["volumeMounts"]}
    assert (mounts["redis-ca"]["mountPath"], mounts["redis-ca"]["readOnly"]) == ("/etc/relay-redis", True)


def test_a_secret_may_hold_url_and_password_of_redis(render):
    secret = {"name": "limits", "urlKey": "address", "passwordKey": "password"}
    objects = render({"redis": {"existingSecret": secret, "tls": {"caSecretName": "ca", "caKey": "tls.crt"}}})
    variables = environment(pod_specs(objects)["stream-relay-proxy"])
    assert variables["RELAY_REDIS_URL"]["valueFrom"] == {"secretKeyRef": {"name": "limits", "key": "address"}}
    assert variables["RELAY_REDIS_PASSWORD"]["valueFrom"] == {"secretKeyRef": {"name": "limits", "key": "password"}}
    assert variables["RELAY_REDIS_CA"]["value"] == "/etc/relay-redis/tls.crt"


URLS = ["", "redis://h", "rediss://h:6380/1", "valkey://h", "valkeys://h", "redis+sentinel://a,b/m", "rediss+cluster://a,b:7000", "redis+unix:///x"]


@pytest.mark.parametrize("url", URLS)
def test_every_way_to_redis_is_taken(render, url):
    assert ("RELAY_REDIS_URL" in environment(pod_specs(render({"redis": {"url": url}}))["stream-relay-proxy"])) == (url != "")


BUNDLED = {"bundled": {"enabled": True}}
CONTRADICTIONS = {
    "two urls": ({"url": "redis://a", "existingSecret": {"name": "b", "urlKey": "url"}}, "redis.url and redis.existingSecret.urlKey are set"),
    "two urls by default": ({"url": "redis://a", "existingSecret": {"name": "b"}}, "set redis.existingSecret.passwordKey"),
    "a secret without a name": ({"url": "redis://a", "existingSecret": {"passwordKey": "p"}}, "redis.existingSecret needs its name"),
    "bundled and a secret": ({"existingSecret": {"name": "a"}, **BUNDLED}, "redis.existingSecret.name and redis.bundled.enabled are set"),
    "bundled with a user": ({"username": "relay", **BUNDLED}, "the bundled Redis has neither"),
    "bundled with tls": ({"tls": {"caSecretName": "ca"}, **BUNDLED}, "the bundled Redis has neither"),
    "a user of none": ({"username": "relay"}, "redis.username and redis.tls go with redis.url"),
}


@pytest.mark.parametrize("case", CONTRADICTIONS)
def test_values_of_redis_that_contradict_each_other_are_refused(template, case):
    values, message = CONTRADICTIONS[case]
    done = template({"redis": values})
    assert done.returncode != 0
    assert message in done.stderr


def test_without_redis_there_is_no_url(render):
    assert "RELAY_REDIS_URL" not in environment(pod_specs(render())["stream-relay-proxy"])


def test_the_bundled_redis_forgets_nothing_to_make_room_and_writes_nothing(render):
    objects = render(EVERYTHING)
    spec = pod_specs(objects)["stream-relay-redis"]
    arguments = spec["containers"][0]["args"]
    options = dict(zip(arguments[::2], arguments[1::2]))
    assert options["--maxmemory-policy"] == "noeviction" and options["--save"] == "" and options["--appendonly"] == "no"
    assert spec["automountServiceAccountToken"] is False
    assert {"livenessProbe", "readinessProbe", "startupProbe"} <= set(spec["containers"][0])
    assert environment(pod_specs(objects)["stream-relay-proxy"])["RELAY_REDIS_URL"]["value"] == "redis://stream-relay-redis:6379/0"


def test_the_configuration_objects_are_there_and_empty(render):
    objects = [each for each in render() if each["metadata"]["labels"]["app.kubernetes.io/component"] == "config"]
    names = sorted((each["kind"], each["metadata"]["name"]) for each in objects)
    assert names == sorted([*(("ConfigMap", name) for name in CONFIG_MAPS), *(("Secret", name) for name in SECRETS)])
    for each in objects:
        assert not set(each) & {"data", "stringData", "binaryData", "immutable"}, "an upgrade would take what the operator wrote"
        index = each["metadata"]["name"] == "relay-config"
        assert each["metadata"]["labels"]["stream-relay.dev/config"] == ("index" if index else "shard")


def test_the_shards_are_as_many_as_the_contract_says():
    shards = (TOP / "dataplane" / "snapshot" / "src" / "shards.rs").read_text()
    assert int(re.search(r"pub const SHARDS: usize = (\d+);", shards)[1]) == len(SECRETS)
    assert re.search(r'INDEX_NAME: &str = "relay-config"', shards)
    assert re.search(r'INDEX_KEY: &str = "index.json"', shards) and re.search(r'SHARD_KEY: &str = "shard.json"', shards)
    prefixes = dict(re.findall(r'const (CONFIG|SECRETS)_PREFIX: &str = "([^"]+)";', shards))
    assert CONFIG_MAPS == ["relay-config", *(f"{prefixes['CONFIG']}{shard}" for shard in range(len(SECRETS)))]
    assert SECRETS == [f"{prefixes['SECRETS']}{shard}" for shard in range(len(SECRETS))]


def test_no_config_map_holds_a_secret(render):
    for each in render(EVERYTHING):
        if each["kind"] == "ConfigMap":
            assert set(each.get("data", {})) <= {"stream-relay.json"}


def test_proxies_mount_the_configuration_as_one_volume(render):
    spec = pod_specs(render())["stream-relay-proxy"]
    (volume,) = spec["volumes"]
    files = {}
    for source in volume["projected"]["sources"]:
        ((kind, what),) = source.items()
        assert what["optional"] is True, "a pod must start before the operator first wrote"
        (item,) = what["items"]
        files[item["path"]] = (kind, what["name"], item["key"])
    expected = {f"{name}.json": ("configMap", name, "shard.json") for name in CONFIG_MAPS}
    expected["relay-config.json"] = ("configMap", "relay-config", "index.json")
    expected |= {f"{name}.json": ("secret", name, "shard.json") for name in SECRETS}
    assert files == expected
    (mount,) = spec["containers"][0]["volumeMounts"]
    assert mount == {"name": "config", "mountPath": "/etc/relay", "readOnly": True}, "never a subPath: it would not be renewed"


def test_the_pod_lives_as_long_as_its_drain(render):
    spec = pod_specs(render({"proxy": {"drain": {"lameDuckSeconds": 7, "timeoutSeconds": 900}}}))["stream-relay-proxy"]
    assert spec["terminationGracePeriodSeconds"] == 7 + 900 + 10
    variables = environment(spec)
    assert variables["RELAY_LAME_DUCK"]["value"] == "7s" and variables["RELAY_DRAIN_TIMEOUT"]["value"] == "900s"
    assert "lifecycle" not in spec["containers"][0]


def test_a_pre_stop_sleep_is_part_of_the_grace(render):
    spec = pod_specs(render({"proxy": {"drain": {"preStopSeconds": 4, "lameDuckSeconds": 7, "timeoutSeconds": 900}}}))["stream-relay-proxy"]
    assert spec["containers"][0]["lifecycle"] == {"preStop": {"sleep": {"seconds": 4}}}
    assert spec["terminationGracePeriodSeconds"] == 4 + 7 + 900 + 10


def test_tls_is_a_mounted_secret_that_must_be_there(render):
    spec = pod_specs(render({"proxy": {"tls": {"secretName": "relay-tls"}}}))["stream-relay-proxy"]
    (volume,) = [each for each in spec["volumes"] if each["name"] == "tls"]
    assert volume["secret"] == {"secretName": "relay-tls", "defaultMode": 0o440}
    (mount,) = [each for each in spec["containers"][0]["volumeMounts"] if each["name"] == "tls"]
    assert mount == {"name": "tls", "mountPath": "/etc/relay-tls", "readOnly": True}, "never a subPath: it would not be renewed"
    assert environment(spec)["RELAY_TLS_DIR"]["value"] == "/etc/relay-tls"


def test_destinations_are_the_operators_word(render):
    lists = {"denyCIDRs": ["10.0.0.0/8", "fd00::/8"], "allowCIDRs": ["10.96.7.7"]}
    told = environment(pod_specs(render({"proxy": {"destinations": lists}}))["stream-relay-proxy"])
    assert told["RELAY_DENY_CIDR"]["value"] == "10.0.0.0/8,fd00::/8"
    assert told["RELAY_ALLOW_CIDR"]["value"] == "10.96.7.7"
    assert not {"RELAY_DENY_CIDR", "RELAY_ALLOW_CIDR"} & set(environment(pod_specs(render({}))["stream-relay-proxy"]))


def test_a_rolling_update_never_takes_a_proxy_before_its_successor_is_ready(render):
    deployment = one(render({"proxy": {"replicas": 5}}), "Deployment", "stream-relay-proxy")["spec"]
    assert deployment["strategy"] == {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}
    assert deployment["replicas"] == 5 and deployment["minReadySeconds"] == 1
    container = deployment["template"]["spec"]["containers"][0]
    assert container["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "admin"}
    assert container["livenessProbe"]["httpGet"] == container["startupProbe"]["httpGet"] == {"path": "/healthz", "port": "admin"}
    assert environment(deployment["template"]["spec"])["RELAY_REPLICAS"]["value"] == "5"


def test_without_the_watch_proxies_hold_no_token_and_no_role(render):
    objects = render({"proxy": {"watch": {"enabled": False}}})
    spec = pod_specs(objects)["stream-relay-proxy"]
    assert spec["automountServiceAccountToken"] is False
    assert "RELAY_CONFIG_NAMESPACE" not in environment(spec)
    assert not [each for each in objects if each["kind"] in ("Role", "RoleBinding") and each["metadata"]["name"] == "stream-relay-proxy"]


def test_proxies_may_read_what_is_mounted_and_nothing_else(render):
    objects = render()
    granted = [each["metadata"]["name"] for each in objects if each["kind"].endswith("Binding") and "proxy" in str(each["subjects"])]
    assert granted == ["stream-relay-proxy"]
    assert rules(objects, "Role", "stream-relay-proxy") == [
        {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["relay-config"], "verbs": ["list", "watch"]},
        {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": CONFIG_MAPS, "verbs": ["get"]},
        {"apiGroups": [""], "resources": ["secrets"], "resourceNames": SECRETS, "verbs": ["get"]},
    ]


def test_the_operator_may_write_its_own_objects_and_read_its_proxies(render):
    write = [*READ, "create", "patch", "update"]
    assert rules(render(), "Role", "stream-relay-operator") == [
        {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": CONFIG_MAPS, "verbs": write},
        {"apiGroups": [""], "resources": ["secrets"], "resourceNames": SECRETS, "verbs": write},
        {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["create"]},
        {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "resourceNames": ["relay-operator"], "verbs": ["get", "update"]},
        {"apiGroups": [""], "resources": ["pods"], "verbs": READ},
    ]


WATCHED = [
    {"apiGroups": ["stream-relay.dev"], "resources": ["relayroutes", "relaytenants"], "verbs": READ},
    {"apiGroups": ["stream-relay.dev"], "resources": ["relayroutes/status", "relaytenants/status"], "verbs": ["patch"]},
    {"apiGroups": [""], "resources": ["secrets"], "verbs": READ},
]


def bound(objects, role):
    """Where a ClusterRole is bound to the operator; None is everywhere."""
    bindings = [each for each in objects if each["kind"].endswith("Binding") and each["roleRef"]["name"] == role]
    assert all(each["subjects"] == [OPERATOR] for each in bindings)
    assert all((each["kind"] == "RoleBinding") == ("namespace" in each["metadata"]) for each in bindings)
    return [each["metadata"].get("namespace") for each in bindings]


def test_without_a_list_the_operator_reads_all_namespaces_and_says_so(render):
    objects = render()
    assert rules(objects, "ClusterRole", "stream-relay-operator-relay-system") == WATCHED
    assert bound(objects, "stream-relay-operator-relay-system") == [None]
    assert rules(objects, "ClusterRole", "stream-relay-operator-relay-system-namespaces") == [
        {"apiGroups": [""], "resources": ["namespaces"], "verbs": READ}
    ]
    assert "the Secrets of ALL namespaces" in (CHART / "templates" / "NOTES.txt").read_text()
    assert "can then read every Secret of the cluster" in (CHART / "values.yaml").read_text()


def test_with_a_list_the_operator_reads_those_namespaces_alone(render):
    objects = render({"watchNamespaces": ["team-a", "team-b"]})
    assert rules(objects, "ClusterRole", "stream-relay-operator-relay-system") == WATCHED
    assert bound(objects, "stream-relay-operator-relay-system") == ["team-a", "team-b"]
    assert rules(objects, "ClusterRole", "stream-relay-operator-relay-system-namespaces") == [
        {"apiGroups": [""], "resources": ["namespaces"], "resourceNames": ["team-a", "team-b"], "verbs": READ}
    ]
    assert bound(objects, "stream-relay-operator-relay-system-namespaces") == [None]
    variables = environment(pod_specs(objects)["stream-relay-operator"])
    assert variables["RELAY_WATCH_NAMESPACES"]["value"] == "team-a,team-b"


def test_no_role_has_a_wildcard(render):
    for each in render(EVERYTHING):
        for rule in each.get("rules", []):
            assert not {"*"} & {*rule["apiGroups"], *rule["resources"], *rule["verbs"]}, each["metadata"]["name"]


def test_service_monitors_find_the_metrics_services_and_nothing_else(render):
    objects = render({"metrics": {"serviceMonitor": {"enabled": True, "interval": "30s", "labels": {"release": "prometheus"}}}})
    monitors = [each for each in objects if each["kind"] == "ServiceMonitor"]
    assert len(monitors) == 2
    for monitor in monitors:
        assert monitor["metadata"]["labels"]["release"] == "prometheus"
        assert monitor["spec"]["endpoints"] == [{"port": "admin", "path": "/metrics", "interval": "30s"}]
        assert monitor["spec"]["namespaceSelector"] == {"matchNames": [NAMESPACE]}
        wanted = monitor["spec"]["selector"]["matchLabels"].items()
        found = [each for each in objects if each["kind"] == "Service" and wanted <= each["metadata"]["labels"].items()]
        assert [each["metadata"]["name"] for each in found] == [f"{monitor['metadata']['name']}-metrics"]
        assert "admin" in {port["name"] for port in found[0]["spec"]["ports"]}


def test_monitoring_is_off_unless_asked_for(render):
    assert not {"ServiceMonitor", "PrometheusRule", "NetworkPolicy"} & {each["kind"] for each in render()}
    assert not [each for each in render() if each["metadata"]["name"].endswith("dashboard")]


def test_network_policies_name_ports_that_exist(render):
    objects = render(EVERYTHING)
    specs = pod_specs(objects)
    policies = [each for each in objects if each["kind"] == "NetworkPolicy"]
    assert {each["metadata"]["name"] for each in policies} == set(specs)
    for policy in policies:
        ports = {port["name"] for port in specs[policy["metadata"]["name"]]["containers"][0]["ports"]}
        assert {port["port"] for rule in policy["spec"]["ingress"] for port in rule["ports"]} <= ports
    egress = one(objects, "NetworkPolicy", "stream-relay-redis")["spec"].get("egress")
    assert not egress, "the bundled Redis calls nobody"


def test_an_image_is_pinned_by_its_digest(render):
    digest = "sha256:" + "a" * 64
    objects = render({"image": {"proxy": {"repository": "registry.example/proxy", "tag": "1", "digest": digest}, "operator": {"tag": 2}}})
    assert pod_specs(objects)["stream-relay-proxy"]["containers"][0]["image"] == f"registry.example/proxy@{digest}"
    assert pod_specs(objects)["stream-relay-operator"]["containers"][0]["image"] == "relay.test/operator:2"


def test_the_definitions_in_the_chart_are_the_generated_ones(render):
    done = subprocess.run([TOP / "charts" / "sync-crds", "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    generated = [yaml.safe_load(file.read_text()) for file in sorted((TOP / "crds" / "generated").glob("*.yaml"))]
    assert len(generated) == 2
    for keep in (True, False):
        charted = sorted(render({"keep": keep}, chart=CRDS), key=lambda each: each["metadata"]["name"])
        for each in charted:
            assert each["metadata"].pop("annotations", {}) == ({"helm.sh/resource-policy": "keep"} if keep else {})
        assert charted == generated


def test_a_stale_definition_is_found(tmp_path):
    subprocess.run(["cp", "-r", TOP / "charts", tmp_path / "charts"], check=True)
    (tmp_path / "crds" / "generated").mkdir(parents=True)
    for file in (TOP / "crds" / "generated").glob("*.yaml"):
        text = file.read_text().replace("    categories:", "    categories: # {{ braces }}", 1)
        (tmp_path / "crds" / "generated" / file.name).write_text(text)
    script = tmp_path / "charts" / "sync-crds"
    assert subprocess.run([script, "--check"], capture_output=True).returncode == 1
    assert subprocess.run([script], capture_output=True).returncode == 0
    assert subprocess.run([script, "--check"], capture_output=True).returncode == 0
