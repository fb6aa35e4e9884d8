import concurrent.futures
import datetime
import operator
import signal
import socket
import time

import grpc
import numpy as np
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from google.protobuf import text_format
from grpc import StatusCode
from grpc_health.v1 import health_pb2, health_pb2_grpc
from tensorflow_serving.apis import model_management_pb2, model_service_pb2_grpc, prediction_service_pb2_grpc
from test_server_grpc import TIMEOUT, predict_request, spec

from s2f_tf.errors import UserError
from serving.client import GrpcClient, RestClient, ServerError, Tls

MODELS = 'model_config_list {{ config {{ name: "{}" base_path: "{}" model_platform: "tensorflow" }} }}'


def certificate(name, issuer=None):
    """A key and a certificate, signed by another one or by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    signer_key, signer = issuer or (key, None)
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder(signer.subject if signer else subject, subject, key.public_key(), 1)
    builder = builder.not_valid_before(now - datetime.timedelta(1)).not_valid_after(now + datetime.timedelta(1))
    builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
    builder = builder.add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
    return key, builder.sign(signer_key, hashes.SHA256())


def pem(key, signed):
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return private, signed.public_bytes(serialization.Encoding.PEM)


@pytest.fixture(scope="module")
def server(start_server, half_plus, tmp_path_factory):
    """A server with mutual TLS that follows its config file and its model's folder, both of which tests may change."""
    folder = tmp_path_factory.mktemp("lifecycle")
    authority = certificate("authority")
    key, cert = pem(*certificate("server", authority))
    _, root = pem(*authority)
    config = "".join(
        f"{k}: {text.decode()!r}\n" for k, text in (("server_key", key), ("server_cert", cert), ("custom_ca", root))
    )
    (folder / "ssl.config").write_text(config + "client_verify: true")
    (folder / "half").mkdir()
    half_plus(folder / "half" / "1")
    (folder / "models.config").write_text(MODELS.format("half", folder / "half"))
    server = start_server(
        f"--model_config_file={folder}/models.config",
        "--model_config_file_poll_wait_seconds=1",
        f"--ssl_config_file={folder}/ssl.config",
        "--load_retry_interval_micros=100000",
    )
    server.folder, server.root = folder, root
    client_key, client_cert = pem(*certificate("client", authority))
    server.credentials = grpc.ssl_channel_credentials(root, client_key, client_cert)
    for name, text in (("root.pem", root), ("client.key", client_key), ("client.pem", client_cert)):
        (folder / name).write_bytes(text)
    return server


@pytest.fixture(scope="module")
def channel(server):
    with grpc.secure_channel(server.target, server.credentials) as channel:
        yield channel


def predict(channel, model_spec=None, x=2.0):
    stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
    response = stub.Predict(predict_request(model_spec or spec(), x=[x]), timeout=TIMEOUT)
    return response.model_spec.version.value, response.outputs["y"].float_val[0]


def eventually(condition):
    """Waits until it holds: the disk and the config are looked at once a second."""
    for _ in range(300):
        if condition():
            return
        time.sleep(0.1)
    raise AssertionError("it never came to that")


def answers(channel, expected, model_spec=None):
    try:
        return predict(channel, model_spec) == expected
    except grpc.RpcError as error:
        return error.code() == expected


def test_only_clients_that_the_authority_has_signed_are_let_in(server, channel):
    assert predict(channel) == (1, 3.0)
    stranger_key, stranger = pem(*certificate("stranger"))
    for credentials in (
        grpc.ssl_channel_credentials(server.root),
        grpc.ssl_channel_credentials(server.root, stranger_key, stranger),
        grpc.ssl_channel_credentials(),
    ):
        with grpc.secure_channel(server.target, credentials) as other, pytest.raises(grpc.RpcError) as error:
            predict(other)
        assert error.value.code() == StatusCode.UNAVAILABLE
    with grpc.insecure_channel(server.target) as other, pytest.raises(grpc.RpcError):
        predict(other)
    assert predict(channel) == (1, 3.0)


def test_health_is_told_only_where_the_flag_says_so(channel):
    with pytest.raises(grpc.RpcError) as error:
        health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=TIMEOUT)
    assert error.value.code() == StatusCode.UNIMPLEMENTED


def test_the_client_library_speaks_mutual_tls(server):
    tls = Tls(*(str(server.folder / name) for name in ("root.pem", "client.pem", "client.key")))
    with GrpcClient(server.target, tls, model_name="half", version=1) as client:
        assert client.predict("serving_default", {"x": [2.0]}) == {"y": [3.0]}
    trusting = Tls(str(server.folder / "root.pem"))
    with GrpcClient(server.target, trusting, deadline=0.5) as client, pytest.raises(ServerError, match="UNAVAILABLE"):
        client.predict("serving_default", {"x": [2.0]})
    with pytest.raises(UserError, match="absent.pem cannot be read"):
        GrpcClient(server.target, Tls("absent.pem"))


def test_versions_are_swapped_without_a_failed_request(server, channel, half_plus):
    stop, folder = [], server.folder / "half"

    def client():
        seen = []
        while not stop:
            seen.append(predict(channel))
        return seen

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        clients = [pool.submit(client) for _ in range(8)]
        half_plus(folder / "2", constant=3.0)
        eventually(lambda: answers(channel, (2, 4.0)))
        (folder / "2").rename(folder / "2.gone")  # back to the first
        eventually(lambda: answers(channel, (1, 3.0)))
        stop.append(True)
        seen = [pair for client in clients for pair in client.result()]
    assert set(seen) == {(1, 3.0), (2, 4.0)}


def test_a_damaged_version_is_passed_over_until_it_is_whole(server, channel, half_plus):
    broken = server.folder / "half" / "5"
    broken.mkdir()
    (broken / "saved_model.pb").write_bytes(b"no model")
    time.sleep(1.5)
    assert predict(channel) == (1, 3.0)
    broken.rename(server.folder / "broken")
    time.sleep(1.5)
    half_plus(broken, constant=5.0)
    eventually(lambda: answers(channel, (5, 6.0)))


def test_the_config_file_is_followed_and_a_bad_one_changes_nothing(server, channel, half_plus):
    config, third = server.folder / "models.config", server.folder / "third"
    third.mkdir()
    half_plus(third / "7", constant=7.0)
    good = config.read_text()
    config.write_text("model_config_list { config }")
    time.sleep(1.5)
    assert answers(channel, (5, 6.0))
    config.write_text(MODELS.format("third", third))
    eventually(lambda: answers(channel, (7, 8.0), spec("third")))
    eventually(lambda: answers(channel, StatusCode.NOT_FOUND))
    config.write_text(good)
    eventually(lambda: answers(channel, (5, 6.0)))


def test_a_config_may_be_sent(server, channel, half_plus):
    stub = model_service_pb2_grpc.ModelServiceStub(channel)
    request = model_management_pb2.ReloadConfigRequest()
    sent = server.folder / "sent"
    sent.mkdir()
    half_plus(sent / "9", constant=9.0)
    (server.folder / "models.config").write_text(MODELS.format("sent", sent))
    text_format.Parse(MODELS.format("sent", sent), request.config)
    assert stub.HandleReloadConfigRequest(request, timeout=TIMEOUT).status.error_code == 0
    assert predict(channel, spec("sent")) == (9, 10.0)
    eventually(lambda: answers(channel, StatusCode.NOT_FOUND))
    request.config.model_config_list.config[0].version_labels["stable"] = 3
    with pytest.raises(grpc.RpcError) as error:
        stub.HandleReloadConfigRequest(request, timeout=TIMEOUT)
    assert error.value.code() == StatusCode.FAILED_PRECONDITION
    assert "label to version 3 of model sent, which is not currently available" in error.value.details()
    with pytest.raises(grpc.RpcError) as error:
        stub.HandleReloadConfigRequest(model_management_pb2.ReloadConfigRequest(), timeout=TIMEOUT)
    assert error.value.code() == StatusCode.INVALID_ARGUMENT


def test_a_config_is_read_once_where_nothing_is_said_and_a_socket_that_is_left_over_is_taken(
    start_server, half_plus, tmp_path
):
    for name, constant in (("half", 2.0), ("other", 9.0)):
        (tmp_path / name).mkdir()
        half_plus(tmp_path / name / "123", constant)
    (tmp_path / "models.config").write_text(MODELS.format("half", tmp_path / "half"))
    with socket.socket(socket.AF_UNIX) as left_over:  # closing it does not remove it: so a killed server leaves it
        left_over.bind(str(tmp_path / "grpc.sock"))
    server = start_server(f"--model_config_file={tmp_path}/models.config", f"--grpc_socket_path={tmp_path}/grpc.sock")
    (tmp_path / "models.config").write_text(MODELS.format("other", tmp_path / "other"))
    time.sleep(1.5)
    with grpc.insecure_channel(f"unix:{tmp_path}/grpc.sock") as channel:
        assert predict(channel) == (123, 3.0)
        assert answers(channel, StatusCode.NOT_FOUND, spec("other"))
    assert server.stop() == 0


def test_what_was_asked_before_sigterm_is_answered(start_server, demo, voice):
    server = start_server("--model_name=s2f", f"--model_base_path={demo}", "--enable_model_warmup=false")
    with server.predictions() as stub, concurrent.futures.ThreadPoolExecutor(4) as pool:
        request = predict_request(spec("s2f"), wav_bytes=[voice(5.0)] * 8, seed=np.arange(8))
        asked = [pool.submit(stub.Predict, request, timeout=60) for _ in range(4)]
        time.sleep(0.2)
        server.process.terminate()
        assert all(len(one.result().outputs["png_bytes"].string_val) == 8 for one in asked)
    assert server.process.wait(60) == 0


def test_clients_that_retry_lose_nothing_when_the_server_is_killed(start_server, half_plus, tmp_path):
    half_plus(tmp_path / "1")
    server = start_server(f"--model_base_path={tmp_path}")
    stop, answers = [], [0, 0, 0]

    def ask(place, client):
        with client:
            while not stop:
                assert client.predict("serving_default", {"x": [2.0]})["y"] == [3.0]
                answers[place] += 1

    model = {"model_name": "default", "deadline": 60.0}
    clients = [GrpcClient(server.target, **model), RestClient(server.url, **model), GrpcClient(server.target, **model)]
    with concurrent.futures.ThreadPoolExecutor(len(clients)) as pool:
        asked = [pool.submit(ask, place, client) for place, client in enumerate(clients)]
        try:
            eventually(lambda: all(answers))
            server.stop(signal.SIGKILL)
            before = list(answers)
            server.start()
            eventually(lambda: any(one.done() for one in asked) or all(map(operator.gt, answers, before)))
        finally:
            stop.append(True)
        for one in asked:
            one.result()
