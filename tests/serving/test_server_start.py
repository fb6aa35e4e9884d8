import sys

import pytest
from absl import flags
from absl.testing import flagsaver

from s2f_tf.errors import UserError
from serving import config_protos, demo_model, server


@pytest.fixture
def start(tmp_path):
    """A function that starts a server, which is to be refused, with files written first."""
    if not flags.FLAGS.is_parsed():
        flags.FLAGS.mark_as_parsed()

    def run(files=None, **values):
        for name, text in (files or {}).items():
            (tmp_path / name).write_text(text)
        values = {k: v.format(tmp=tmp_path) if isinstance(v, str) else v for k, v in values.items()}
        with flagsaver.flagsaver(**{"model_base_path": str(tmp_path), **values}), pytest.raises(UserError) as error:
            server.main()
        return str(error.value)

    return run


@pytest.mark.parametrize(
    "files, values, message",
    [
        ({}, {"port": 8501}, "--rest_api_port=8501 must be another than --port"),
        ({}, {"port": 0, "rest_api_port": 0}, "nothing to listen on"),
        ({}, {"max_total_request_bytes": 2**20}, "=1048576 must be at least --max_request_bytes=268435456"),
        ({}, {"model_base_path": "/does/not/exist"}, "Could not find base path /does/not/exist"),
        ({}, {"model_config_file": "/absent.config"}, "/absent.config cannot be read: No such file"),
        ({}, {"model_config_file_poll_wait_seconds": 1}, "--model_config_file_poll_wait_seconds is for"),
        (
            {},
            {"tensorflow_session_parallelism": 2, "tensorflow_intra_op_parallelism": 1},
            "--tensorflow_session_parallelism stands for",
        ),
        ({}, {"grpc_channel_arguments": "grpc.max_connection_age_ms"}, "'grpc.max_connection_age_ms' is not key=value"),
        ({"b": ""}, {"batching_parameters_file": "{tmp}/b"}, "without setting --enable_batching"),
        (
            {"b": "max_batch_size { value: 8 } allowed_batch_sizes: 4"},
            {"batching_parameters_file": "{tmp}/b", "enable_batching": True},
            "/b: Last entry in allowed_batch_sizes must match max_batch_size; last entry was 4; expected 8",
        ),
        (
            {"m": "prometheus_config { path: 'x' }"},
            {"monitoring_config_file": "{tmp}/m"},
            "path must begin with a slash",
        ),
        ({"s": "server_key: 'x'"}, {"ssl_config_file": "{tmp}/s"}, "server_key and server_cert must hold PEM text"),
        (
            {"s": "server_key: 'x' server_cert: 'x' client_verify: true"},
            {"ssl_config_file": "{tmp}/s"},
            "client_verify needs custom_ca",
        ),
        (
            {"s": "server_key: 'x' server_cert: 'x'", "1": ""},
            {"ssl_config_file": "{tmp}/s"},
            "/s: gRPC cannot use this key and certificate",
        ),
        ({}, {"model_config_file": "{tmp}"}, "cannot be read: Is a directory"),
        (
            {"c": "model_config_list { config { name: 'a' base_path: 'b' model_platform: 'tensorflow' } }"},
            {"model_config_file": "{tmp}/c"},
            "Expected model a to have an absolute path or URI; got base_path()=b",
        ),
        (
            {"c": "model_config_list {\n  config {\n    name: 'a'\n    base_path '/x'\n  }\n}"},
            {"model_config_file": "{tmp}/c"},
            "Error parsing text-format tensorflow.serving.ModelServerConfig: 4:15",
        ),
    ],
)
def test_what_cannot_be_is_refused_at_the_start(start, files, values, message):
    assert message in start(files, **values)


def test_without_litert_no_tflite_model_can_be_preferred(start, monkeypatch):
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    assert "this takes the extra `tflite`: pip install 's2f_tf[tflite]'" in start(prefer_tflite_model=True)


def test_a_bad_file_is_named_with_its_line(tmp_path):
    path = tmp_path / "x.config"
    for text, line in (("prometheus_config { enable: maybe }", "1:29"), ("\nnothing: 1", "2:1")):
        path.write_text(text)
        with pytest.raises(UserError) as error:
            config_protos.read(str(path), config_protos.MonitoringConfig)
        assert f"Invalid protobuf file: '{path}'" in str(error.value) and line in str(error.value)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(UserError, match="is not text"):
        config_protos.read(str(path), config_protos.MonitoringConfig)


def test_the_weights_in_the_package_are_exported_once(demo, monkeypatch):
    monkeypatch.setattr("subprocess.run", None)
    assert demo_model.base_path() == demo


def test_where_the_cache_cannot_be_written_it_is_said(monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/none")
    with pytest.raises(UserError, match="/proc/none/s2f_tf cannot be written to .* set XDG_CACHE_HOME"):
        demo_model.base_path()
