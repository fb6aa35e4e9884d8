import contextlib
import functools
import io
import os
import shutil
import signal

import grpc
import numpy as np
import pytest
import soundfile
import tensorflow as tf
from tensorflow_serving.apis import model_service_pb2_grpc, prediction_service_pb2_grpc

from benchmarks.server_process import ServerProcess
from s2f_tf.config import SAMPLE_RATE
from serving import demo_model


class Server(ServerProcess):
    """The embedded server, and stubs of its services."""

    @contextlib.contextmanager
    def predictions(self, credentials=None):
        with _channel(self.target, credentials) as channel:
            yield prediction_service_pb2_grpc.PredictionServiceStub(channel)

    @contextlib.contextmanager
    def models(self):
        with _channel(self.target) as channel:
            yield model_service_pb2_grpc.ModelServiceStub(channel)


def _channel(target, credentials=None):
    options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    if credentials:
        return grpc.secure_channel(target, credentials, options)
    return grpc.insecure_channel(target, options)


@pytest.fixture(scope="session")
def start_server(tmp_path_factory):
    """Starts servers, which end with the tests."""
    servers = []

    def start(*flags):
        servers.append(Server(*flags, log=tmp_path_factory.mktemp("server") / "log"))
        return servers[-1]

    yield start
    for server in servers:
        if server.process.poll() is None:
            server.stop(signal.SIGKILL)


def save_half_plus(folder, constant=2.0):
    """A model that makes 0.5 x + constant of x, with a signature for each method; as upstream's test models do."""
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        half, plus = v1.Variable(0.5), v1.Variable(constant)
        examples = v1.placeholder(tf.string, [None], name="tf_example")
        x = v1.identity(v1.parse_example(examples, {"x": tf.io.FixedLenFeature([1], tf.float32)})["x"], name="x")
        y = tf.identity(half * x + plus, name="y")
        words = tf.identity(tf.fill(tf.shape(y), "number"), name="words")
        info = {t.op.name: v1.saved_model.build_tensor_info(t) for t in (examples, x, y, words)}
        make, prefix = v1.saved_model.build_signature_def, "tensorflow/serving/"
        signatures = {
            "serving_default": make({"x": info["x"]}, {"y": info["y"]}, prefix + "predict"),
            "both": make({"x": info["x"]}, {"y": info["y"], "words_bytes": info["words"]}, prefix + "predict"),
            "classify_x_to_y": make(
                {"inputs": info["tf_example"]}, {"scores": info["y"], "classes": info["words"]}, prefix + "classify"
            ),
            "regress_x_to_y": make({"inputs": info["tf_example"]}, {"outputs": info["y"]}, prefix + "regress"),
        }
        session.run(v1.global_variables_initializer())
        builder = v1.saved_model.Builder(str(folder))
        builder.add_meta_graph_and_variables(session, ["serve"], signatures)
        builder.save()


@pytest.fixture(scope="session")
def half_plus(tmp_path_factory):
    """A function that puts a version of 0.5 x + constant at a path, at once, as `export` does."""
    made = {}

    def put(path, constant=2.0):
        if constant not in made:
            made[constant] = tmp_path_factory.mktemp("half_plus") / "model"
            save_half_plus(made[constant], constant)
        aside = f"{path}.part"
        shutil.copytree(made[constant], aside)
        os.rename(aside, path)

    return put


@pytest.fixture(scope="session")
def demo():
    """The base path of the exported weights in the package."""
    return demo_model.base_path()


@pytest.fixture(scope="session")
def voice():
    """A function that makes a WAV file of a voice of so many seconds."""

    @functools.cache
    def make(seconds=1.0, seed=0, rate=SAMPLE_RATE, subtype="PCM_16"):
        rng = np.random.default_rng(seed)
        pitch = rng.uniform(90, 250)
        time = np.arange(round(seconds * rate)) / rate
        harmonics = sum(np.sin(2 * np.pi * n * pitch * time) / n for n in range(1, 9))
        file = io.BytesIO()
        noise = 0.02 * rng.standard_normal(len(time))
        soundfile.write(file, 0.1 * harmonics + noise, rate, format="WAV", subtype=subtype)
        return file.getvalue()

    return make


@pytest.fixture(scope="session")
def conformance(start_server, half_plus, demo, tmp_path_factory):
    """A server of two models, batching, with everything on that is off by default; not to be changed."""
    folder = tmp_path_factory.mktemp("conformance")
    (folder / "half").mkdir()
    half_plus(folder / "half" / "00000001")
    half_plus(folder / "half" / "2", constant=3.0)
    (folder / "models.config").write_text(
        f"""model_config_list {{
            config {{
                name: "half" base_path: "{folder}/half" model_platform: "tensorflow"
                model_version_policy {{ all {{}} }}
                version_labels {{ key: "stable" value: 1 }} version_labels {{ key: "canary" value: 2 }}
            }}
            config {{ name: "s2f" base_path: "{demo}" model_platform: "tensorflow" }}
        }}"""
    )
    (folder / "batching.config").write_text("max_batch_size { value: 32 } batch_timeout_micros { value: 500 }")
    (folder / "monitoring.config").write_text("prometheus_config { enable: true }")
    server = start_server(
        f"--model_config_file={folder}/models.config",
        "--allow_version_labels_for_unavailable_models",
        "--enable_batching",
        f"--batching_parameters_file={folder}/batching.config",
        f"--monitoring_config_file={folder}/monitoring.config",
        "--enable_grpc_healthcheck_service",
        f"--grpc_socket_path={folder}/grpc.sock",
        "--grpc_channel_arguments=grpc.max_connection_age_ms=600000,grpc.lb_policy_name=grpclb",
        "--rest_api_enable_cors_support",
    )
    server.socket = f"unix:{folder}/grpc.sock"
    return server
