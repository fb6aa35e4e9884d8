import json
import pathlib
import re
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
import zipfile

import grpc
import pytest
import tensorflow as tf
import yaml
from tensorflow_serving.apis import prediction_log_pb2
from test_server_grpc import TIMEOUT
from test_server_lifecycle import certificate, pem

from serving import config_protos, warmup
from serving.client import GrpcClient, Tls

ROOT = pathlib.Path(__file__).parents[2]
DEPLOY = ROOT / "serving" / "deploy"
TOOLS = pathlib.Path(sys.executable).parent
SERVING = re.compile(r"tensorflow/serving:(\d+\.\d+)\.\d+")

promtool = pytest.mark.tools("promtool")


def run(*command, **options):
    """The output of a command, which must succeed."""
    result = subprocess.run([*map(str, command)], capture_output=True, text=True, **options)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def documents(*names):
    """Every YAML document in the files, by its kind."""
    found = {}
    for name in names:
        for document in yaml.safe_load_all((DEPLOY / name).read_text()):
            found.setdefault(document["kind"], []).append(document)
    return found


@pytest.fixture(scope="module")
def compose():
    return yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]


@pytest.fixture(scope="module")
def kustomization():
    return yaml.safe_load((DEPLOY / "kustomization.yaml").read_text())


@pytest.fixture(scope="module")
def kubernetes(kustomization):
    return documents(*kustomization["resources"])


def container(kubernetes):
    return kubernetes["Deployment"][0]["spec"]["template"]["spec"]["containers"][0]


def test_kubernetes_takes_the_manifests(kustomization):
    files = [DEPLOY / name for name in kustomization["resources"]]
    assert sorted(files) == sorted((DEPLOY / "kubernetes").iterdir())
    output = run(TOOLS / "kubernetes-validate", "--strict", *files)
    assert output.count(" passed ") == sum(map(len, documents(*kustomization["resources"]).values()))


def test_the_manifests_fit_each_other(kustomization, kubernetes):
    assert set(kubernetes) == {
        "PersistentVolumeClaim",
        "Deployment",
        "Service",
        "HorizontalPodAutoscaler",
        "PodDisruptionBudget",
        "NetworkPolicy",
    }
    (deployment,) = kubernetes["Deployment"]
    pod = deployment["spec"]["template"]
    labels = pod["metadata"]["labels"]
    ports = {port["name"] for port in container(kubernetes)["ports"]}
    selectors = [service["spec"]["selector"] for service in kubernetes["Service"]]
    selectors += [kubernetes["PodDisruptionBudget"][0]["spec"]["selector"]["matchLabels"]]
    selectors += [kubernetes["NetworkPolicy"][0]["spec"]["podSelector"]["matchLabels"]]
    assert all(
        selector.items() <= labels.items() for selector in [*selectors, deployment["spec"]["selector"]["matchLabels"]]
    )
    assert {port["targetPort"] for service in kubernetes["Service"] for port in service["spec"]["ports"]} <= ports
    policy = kubernetes["NetworkPolicy"][0]["spec"]
    assert {port["port"] for rule in policy["ingress"] for port in rule["ports"]} <= ports
    assert policy["egress"] == [] and "Egress" in policy["policyTypes"]
    target = kubernetes["HorizontalPodAutoscaler"][0]["spec"]["scaleTargetRef"]
    assert (target["kind"], target["name"]) == ("Deployment", deployment["metadata"]["name"])
    assert "replicas" not in deployment["spec"]  # or each roll-out would undo the autoscaler
    volumes = {volume["name"]: volume for volume in pod["spec"]["volumes"]}
    (generated,) = kustomization["configMapGenerator"]
    assert volumes["config"]["configMap"]["name"] == generated["name"]
    assert (
        volumes["models"]["persistentVolumeClaim"]["claimName"]
        == kubernetes["PersistentVolumeClaim"][0]["metadata"]["name"]
    )
    assert {mount["name"] for mount in container(kubernetes)["volumeMounts"]} == set(volumes)
    for argument in container(kubernetes)["args"]:
        if "=/config/" in argument:
            assert pathlib.Path(argument.split("=")[1]).name in generated["files"]
    assert all((DEPLOY / name).is_file() for name in generated["files"])


def test_servers_are_bounded_probed_and_run_as_nobody_in_particular(compose, kubernetes):
    serving = container(kubernetes)
    assert {"requests", "limits"} == set(serving["resources"])
    assert {"startupProbe", "readinessProbe", "livenessProbe"} <= set(serving)
    assert serving["securityContext"]["readOnlyRootFilesystem"]
    pod = kubernetes["Deployment"][0]["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] and not pod["automountServiceAccountToken"]
    pause = int(serving["lifecycle"]["preStop"]["exec"]["command"][1])
    assert pause < pod["terminationGracePeriodSeconds"]
    for service in compose.values():
        assert service["read_only"] and service["cap_drop"] == ["ALL"]
        assert service["deploy"]["resources"]["limits"]["memory"]
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))  # nothing asks who comes


def test_tensorflow_serving_is_of_the_release_that_exports(compose, kubernetes):
    (exported,) = re.findall(r"^tensorflow==(\d+\.\d+)\.", (ROOT / "requirements" / "default.txt").read_text(), re.M)
    images = [compose["serving"]["image"], container(kubernetes)["image"]]
    assert [SERVING.fullmatch(image)[1] for image in images] == [exported] * 2


def test_compose_takes_its_file(compose):
    run(TOOLS / "check-jsonschema", "--builtin-schema", "vendor.compose-spec", DEPLOY / "compose.yaml")
    assert set(compose) == {"model", "serving", "page", "prometheus"}
    for service in compose.values():
        for volume in service["volumes"]:
            place = volume.split(":")[0]
            assert not place.startswith(".") or (DEPLOY / place).exists()


def test_tensorflow_serving_is_not_asked_to_batch_what_it_cannot(compose, kubernetes, demo):
    """It answers warm-up requests through its batching, which takes no scalar, and loads no model where one fails."""
    records = tf.data.TFRecordDataset(f"{demo}/1/assets.extra/{warmup.FILE}").as_numpy_iterator()
    requests = [prediction_log_pb2.PredictionLog.FromString(record).predict_log.request for record in records]
    scalars = [request for request in requests if any(not v.tensor_shape.dim for v in request.inputs.values())]
    assert {request.model_spec.signature_name for request in scalars} == {"match"}
    for flags in (compose["serving"]["command"], container(kubernetes)["args"]):
        assert ("--enable_batching=true" in flags) == ("--enable_model_warmup=false" in flags)


def test_the_image_is_well_made():
    run(TOOLS / "hadolint", "--failure-threshold", "style", DEPLOY / "Dockerfile")
    lines = (DEPLOY / "Dockerfile").read_text().splitlines()
    bases = [line.split()[1] for line in lines if line.startswith("FROM")]
    assert all(re.fullmatch(r"python:3\.\d+\.\d+-\S+", base) for base in bases)
    users = [line.split()[1] for line in lines if line.startswith("USER")]
    assert users and not users[-1].startswith(("root", "0"))
    assert any(line.startswith("HEALTHCHECK") for line in lines)


def test_the_image_is_given_all_that_the_server_is_made_of(tmp_path):
    """Copies what the first stage copies, less what is ignored, and makes the wheel that it installs."""
    lines = (DEPLOY / "Dockerfile").read_text().splitlines()
    copies = [line.split()[1:-1] for line in lines if line.startswith("COPY ")]
    copied = [name for names in copies for name in names if not names[0].startswith("--from")]
    patterns = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
    assert set(copied) <= {pattern[1:] for pattern in patterns if pattern.startswith("!")}
    ignored = {str(ROOT / pattern) for pattern in patterns if pattern[:1] not in "!#*"}

    def ignore(folder, names):
        return {name for name in names if name == "__pycache__" or f"{folder}/{name}" in ignored}

    for name in copied:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, tmp_path / name, ignore=ignore)
        else:
            shutil.copy(ROOT / name, tmp_path / name)
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-index", "--no-deps"]
    run(*pip, "--no-build-isolation", "--wheel-dir", tmp_path, tmp_path)
    (path,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(path) as wheel:
        names = set(wheel.namelist())
        (scripts,) = (wheel.read(name).decode() for name in names if name.endswith("entry_points.txt"))
    needed = ("serving/server.py", "serving/page/index.html", "face_detection.py", "export.py", "model_card.md")
    assert {f"s2f_tf/{name}" for name in needed} <= names
    (entry,) = (json.loads(line.removeprefix("ENTRYPOINT")) for line in lines if line.startswith("ENTRYPOINT"))
    assert f"{entry[0]} = " in scripts


@promtool
def test_prometheus_takes_its_config_and_rules():
    run("promtool", "check", "config", "--lint-fatal", DEPLOY / "prometheus.yml")


@promtool
def test_alerts_fire_when_they_should_and_only_then():
    run("promtool", "test", "rules", ROOT / "tests/serving/alerts_test.yml")


def test_prometheus_scrapes_the_services_that_there_are(compose):
    config = yaml.safe_load((DEPLOY / "prometheus.yml").read_text())
    jobs = {job["job_name"]: job["static_configs"][0]["targets"] for job in config["scrape_configs"]}
    assert jobs == {"tensorflow-serving": ["serving:8501"], "page": ["page:8501"]}
    assert {target.split(":")[0] for targets in jobs.values() for target in targets} <= set(compose)


@pytest.mark.parametrize(
    "name, kind",
    [
        ("models.config", config_protos.ModelServerConfig),
        ("batching.config", config_protos.BatchingParameters),
        ("monitoring.config", config_protos.MonitoringConfig),
        ("ssl.config", config_protos.SSLConfig),
    ],
)
def test_the_text_protos_are_what_they_say(name, kind):
    message = config_protos.read(str(DEPLOY / name), kind)
    assert message.ListFields()


@pytest.fixture(scope="module")
def identity(tmp_path_factory):
    """A folder with PEM files of an authority, and of a server that it has signed."""
    folder = tmp_path_factory.mktemp("identity")
    authority = certificate("authority")
    for name, pair in (("ca", authority), ("server", certificate("server", authority))):
        key, signed = pem(*pair)
        (folder / f"{name}.key").write_bytes(key)
        (folder / f"{name}.pem").write_bytes(signed)
    return folder


def ssl_config(*files):
    return run(DEPLOY / "ssl_config.sh", *files)


def test_an_ssl_config_is_written_from_pem_files(identity, tmp_path):
    key, cert, authority = identity / "server.key", identity / "server.pem", identity / "ca.pem"
    path = tmp_path / "ssl.config"
    path.write_text(ssl_config(key, cert))
    one_way = config_protos.read(str(path), config_protos.SSLConfig)
    assert (one_way.server_key, one_way.server_cert) == (key.read_text(), cert.read_text())
    assert not one_way.client_verify and not one_way.custom_ca
    path.write_text(ssl_config(key, cert, authority))
    mutual = config_protos.read(str(path), config_protos.SSLConfig)
    assert mutual.client_verify and mutual.custom_ca == authority.read_text()
    for wrong in ([], [key], [key, tmp_path / "absent"]):
        assert subprocess.run([DEPLOY / "ssl_config.sh", *wrong], capture_output=True).returncode != 0


@pytest.fixture(scope="module")
def deployed(start_server, demo, compose, kubernetes, identity, tmp_path_factory):
    """The embedded server with every flag that compose and Kubernetes give, and these very files; paths aside."""
    folder = tmp_path_factory.mktemp("deployed")
    (folder / "models").mkdir()
    (folder / "models" / "s2f").symlink_to(demo)
    for file in DEPLOY.glob("*.config"):
        (folder / file.name).write_text(file.read_text().replace('"/models/', f'"{folder}/models/'))
    (folder / "ssl.config").write_text(ssl_config(identity / "server.key", identity / "server.pem"))
    given = [*compose["serving"]["command"], *compose["page"]["command"], *container(kubernetes)["args"]]
    arguments = [flag.replace("=/config/", f"={folder}/") for flag in dict.fromkeys(given) if "port=" not in flag]
    return start_server(*arguments, f"--ssl_config_file={folder}/ssl.config")


def test_the_server_starts_with_these_files_and_answers(deployed, identity, voice):
    with GrpcClient(deployed.target, Tls(str(identity / "ca.pem")), label="stable") as client:
        assert client.draw(voice(), [1])[0].startswith(b"\x89PNG")
    with grpc.insecure_channel(deployed.target) as channel, pytest.raises(grpc.RpcError):
        channel.unary_unary("/tensorflow.serving.PredictionService/Predict")(b"", timeout=TIMEOUT)


def test_health_checks_succeed_where_the_server_is_and_fail_where_it_is_not(deployed, compose):
    instruction = re.search(r"HEALTHCHECK [^[]*(\[.*\])", (DEPLOY / "Dockerfile").read_text())[1]
    image = json.loads(instruction)
    image[0] = sys.executable
    for command in (compose["serving"]["healthcheck"]["test"][1:], image):
        assert any("8501" in part for part in command)
        for port, healthy in ((deployed.rest_port, True), (deployed.port, False), (9, False)):
            there = [part.replace("8501", str(port)) for part in command]
            assert (subprocess.run(there, capture_output=True, timeout=TIMEOUT).returncode == 0) == healthy


def test_kubernetes_probes_ask_what_the_server_answers(deployed, kubernetes):
    serving = container(kubernetes)
    for probe in ("startupProbe", "readinessProbe"):
        place = serving[probe]["httpGet"]
        assert place["port"] == "rest"
        with urllib.request.urlopen(deployed.url + place["path"], timeout=TIMEOUT) as answer:
            assert answer.status == 200


def test_alerts_are_of_metrics_that_the_server_tells(deployed, compose, kubernetes):
    metrics = config_protos.read(str(DEPLOY / "monitoring.config"), config_protos.MonitoringConfig).prometheus_config
    scraped = {job["metrics_path"] for job in yaml.safe_load((DEPLOY / "prometheus.yml").read_text())["scrape_configs"]}
    annotations = kubernetes["Deployment"][0]["spec"]["template"]["metadata"]["annotations"]
    assert metrics.enable and {metrics.path} == scraped == {annotations["prometheus.io/path"]}
    body = json.dumps({"signature_name": "embed_speech", "instances": [{"b64": ""}]}).encode()
    with pytest.raises(urllib.error.HTTPError):  # a request that is counted
        urllib.request.urlopen(f"{deployed.url}/v1/models/s2f:predict", body, TIMEOUT)
    with urllib.request.urlopen(deployed.url + metrics.path, timeout=TIMEOUT) as answer:
        told = {re.split(r"[{ ]", line)[0] for line in answer.read().decode().splitlines() if line[:1] not in ("#", "")}
    used = set()
    for group in yaml.safe_load((DEPLOY / "alerts.yml").read_text())["groups"]:
        for rule in group["rules"]:
            used |= set(re.findall(r"[:a-z_]+(?=\{|\[)", rule["expr"]))
    used.discard("up")  # Prometheus' own
    assert {":tensorflow:serving:request_count", "process_resident_memory_bytes"} <= used <= told
