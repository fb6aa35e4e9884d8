"""`python -m serving.server`: answers as TensorFlow Serving does, on one machine, and shows a page."""

import asyncio
import contextlib
import os
import re
import signal
from collections.abc import Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor

from absl import flags, logging

from s2f_tf import command
from s2f_tf.errors import UserError

with command.extra("serving"):
    import grpc
    from aiohttp import web
    from grpc_health.v1 import health, health_pb2, health_pb2_grpc

    from . import config_protos, demo_model, monitoring, warmup
    from .batching import Batcher, Runner
    from .errors import RequestError
    from .grpc_api import Reading, add_to_server
    from .limits import Intake, Limits, channel_arguments, listen
    from .models import Models
    from .page_api import PageApi
    from .photographs import Photographs
    from .rest_api import RestApi
    from .servable import SavedModel, Servable, session_config
    from .service import Service

# TensorFlow Serving's own flags.
_PORT = flags.DEFINE_integer("port", 8500, "of gRPC; 0 opens none", lower_bound=0, upper_bound=65535)
_SOCKET = flags.DEFINE_string("grpc_socket_path", "", "Unix socket for gRPC, beside or instead of the port")
_REST_PORT = flags.DEFINE_integer(
    "rest_api_port", 8501, "of REST, the page and the metrics; 0 opens none", lower_bound=0, upper_bound=65535
)
_REST_TIMEOUT = flags.DEFINE_integer("rest_api_timeout_in_ms", 30_000, "for a REST call", lower_bound=1)
_CORS = flags.DEFINE_boolean("rest_api_enable_cors_support", False, "let pages of other origins read REST's answers")
_MODEL_NAME = flags.DEFINE_string("model_name", None, "by default 'default', and 's2f' where no model is given")
_BASE_PATH = flags.DEFINE_string(
    "model_base_path", "", "folder of a model's numbered versions; without it and a config, the weights in the package"
)
_CONFIG_FILE = flags.DEFINE_string(
    "model_config_file", "", "text proto ModelServerConfig of several models; the two flags above are ignored then"
)
_CONFIG_POLL = flags.DEFINE_integer(
    "model_config_file_poll_wait_seconds", 0, "between two reads of that file; 0 reads it once", lower_bound=0
)
_POLL = flags.DEFINE_integer(
    "file_system_poll_wait_seconds", 1, "between two looks for new versions; 0 looks once", lower_bound=0
)
_RETRIES = flags.DEFINE_integer(
    "max_num_load_retries", 5, "times that a version is tried again which could not be loaded", lower_bound=0
)
_RETRY_INTERVAL = flags.DEFINE_integer(
    "load_retry_interval_micros", 60_000_000, "microseconds before each of them", lower_bound=0
)
_EARLY_LABELS = flags.DEFINE_boolean(
    "allow_version_labels_for_unavailable_models", False, "let a new label name a version that is not loaded yet"
)
_TAGS = flags.DEFINE_string("saved_model_tags", "serve", "of the graph in a SavedModel, with commas between them")
_PREFER_TFLITE = flags.DEFINE_boolean(
    "prefer_tflite_model", False, "serve model.tflite, by LiteRT, where a version's folder has one; else its SavedModel"
)
_PARALLELISM = flags.DEFINE_integer(
    "tensorflow_session_parallelism", 0, "both of the next two flags at once", lower_bound=0
)
_INTRA = flags.DEFINE_integer(
    "tensorflow_intra_op_parallelism", 0, "threads of an operation; 0 is TensorFlow's choice, LiteRT's 1", lower_bound=0
)
_INTER = flags.DEFINE_integer(
    "tensorflow_inter_op_parallelism", 0, "operations at a time; 0 is TensorFlow's choice", lower_bound=0
)
_WARM_UP = flags.DEFINE_boolean("enable_model_warmup", True, "answer a model's warm-up requests before it serves")
_WARM_UP_ITERATIONS = flags.DEFINE_integer("num_request_iterations_for_warmup", 1, "of each", lower_bound=1)
_BATCHING = flags.DEFINE_boolean("enable_batching", False, "run requests together as batches")
_BATCHING_FILE = flags.DEFINE_string("batching_parameters_file", "", "text proto BatchingParameters")
_MONITORING_FILE = flags.DEFINE_string("monitoring_config_file", "", "text proto MonitoringConfig, for Prometheus")
_SSL_FILE = flags.DEFINE_string("ssl_config_file", "", "text proto SSLConfig, for gRPC")
_CHANNEL = flags.DEFINE_string(
    "grpc_channel_arguments", "", "for gRPC, as in grpc.max_connection_age_ms=2000,grpc.lb_policy_name=grpclb"
)
_HEALTH = flags.DEFINE_boolean("enable_grpc_healthcheck_service", False, "answer grpc.health.v1")

# What clients may take of it. TensorFlow Serving has no such flags.
_MAX_BYTES = flags.DEFINE_integer(
    "max_request_bytes",
    2**28,
    "largest request, refused as soon as it is larger; TensorFlow Serving's own limit is 2147483647",
    lower_bound=1,
    upper_bound=2**31 - 1,
)
_MAX_TOTAL_BYTES = flags.DEFINE_integer(
    "max_total_request_bytes", 2**29, "of all requests that are being read and answered", lower_bound=1
)
_MAX_CONNECTIONS = flags.DEFINE_integer(
    "max_connections", 512, "at once to REST, and to gRPC, and calls at once of gRPC", lower_bound=1
)
_HEADER_TIMEOUT = flags.DEFINE_float(
    "header_timeout_seconds", 20.0, "for the header of a REST call to come, and for gRPC's handshake", lower_bound=1e-3
)
_BODY_TIMEOUT = flags.DEFINE_float(
    "body_timeout_seconds",
    60.0,
    "for the body of a REST call or the message of a gRPC call to come, and for REST's answer to be taken",
    lower_bound=1e-3,
)
_IDLE_TIMEOUT = flags.DEFINE_float(
    "idle_timeout_seconds", 75.0, "before a connection on which nothing is asked is closed", lower_bound=1e-3
)

_GRACE_SECONDS = 30.0  # for what was asked before SIGTERM


def main() -> None:
    """Serves until it is told to stop."""
    logging.set_verbosity(logging.INFO)
    if not (_PORT.value or _SOCKET.value or _REST_PORT.value):
        raise UserError("--port=0 --rest_api_port=0 without --grpc_socket_path leaves nothing to listen on")
    if _PORT.value and _PORT.value == _REST_PORT.value:
        raise UserError(f"--rest_api_port={_REST_PORT.value} must be another than --port")
    if _CONFIG_POLL.value and not _CONFIG_FILE.value:
        raise UserError("--model_config_file_poll_wait_seconds is for a --model_config_file, and none is given")
    if _PARALLELISM.value and (_INTRA.value or _INTER.value):
        raise UserError(
            "--tensorflow_session_parallelism stands for --tensorflow_intra_op_parallelism and "
            "--tensorflow_inter_op_parallelism: give it, or those"
        )
    if _PREFER_TFLITE.value:
        with command.extra("tflite"):
            import ai_edge_litert.interpreter  # noqa: F401  (before a model is there)
    if _MAX_TOTAL_BYTES.value < _MAX_BYTES.value:
        raise UserError(
            f"--max_total_request_bytes={_MAX_TOTAL_BYTES.value} must be at least "
            f"--max_request_bytes={_MAX_BYTES.value}"
        )
    limits = Limits(
        connections=_MAX_CONNECTIONS.value,
        request_bytes=_MAX_BYTES.value,
        total_bytes=_MAX_TOTAL_BYTES.value,
        header_seconds=_HEADER_TIMEOUT.value,
        body_seconds=_BODY_TIMEOUT.value,
        idle_seconds=_IDLE_TIMEOUT.value,
    )
    options = {
        "grpc.so_reuseport": 0,  # another server on this port is an error
        "grpc.max_send_message_length": -1,
        **channel_arguments(limits),
        **_channel_arguments(_CHANNEL.value),
    }
    credentials = _credentials(_SSL_FILE.value) if _SSL_FILE.value else None
    metrics_path = _metrics_path(_MONITORING_FILE.value) if _MONITORING_FILE.value else None
    runner = _runner()
    config = _model_config()
    try:
        asyncio.run(_serve(config, runner, Intake(limits), options, credentials, metrics_path))
    finally:
        runner.close()


async def _serve(
    config: config_protos.ModelServerConfig,
    runner: Runner,
    intake: Intake,
    options: Mapping[str, int | str],
    credentials: grpc.ServerCredentials | None,
    metrics_path: str | None,
) -> None:
    """Loads the models, then listens, until a signal comes; what was asked before it is answered."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    models = Models(
        _load,
        poll_seconds=_POLL.value,
        retries=_RETRIES.value,
        retry_seconds=_RETRY_INTERVAL.value / 1e6,
        labels_before_versions=_EARLY_LABELS.value,
    )
    async with contextlib.AsyncExitStack() as stack:
        stack.callback(models.close)
        _in_background(stack, models.poll_forever())
        stopped = asyncio.ensure_future(stop.wait())
        started = asyncio.ensure_future(models.start(config))
        await asyncio.wait([started, stopped], return_when=asyncio.FIRST_COMPLETED)
        if stop.is_set():
            return
        try:
            started.result()
        except RequestError as error:
            raise UserError(f"Failed to start server. Error: {error}") from error
        service = Service(models, runner)
        if _REST_PORT.value:
            await _listen_rest(stack, service, intake, metrics_path)
        if _PORT.value or _SOCKET.value:
            await _listen_grpc(stack, service, intake, options, credentials)
        if _CONFIG_FILE.value and _CONFIG_POLL.value:
            _in_background(stack, _follow_config_file(models))
        print(f"Serving {', '.join(models.names())} on {' and '.join(_places())}", flush=True)
        await stopped
        logging.info("stopping: what was asked is answered")


async def _listen_grpc(
    stack: contextlib.AsyncExitStack,
    service: Service,
    intake: Intake,
    options: Mapping[str, int | str],
    credentials: grpc.ServerCredentials | None,
) -> None:
    server = grpc.aio.server(
        options=list(options.items()),
        interceptors=[Reading(intake)],
        maximum_concurrent_rpcs=intake.limits.connections,
    )
    add_to_server(service, server)
    checks = health.aio.HealthServicer()
    if _HEALTH.value:
        health_pb2_grpc.add_HealthServicer_to_server(checks, server)
    addresses = [f"[::]:{_PORT.value}"] * bool(_PORT.value) + [f"unix:{_SOCKET.value}"] * bool(_SOCKET.value)
    for address in addresses:
        try:
            server.add_secure_port(address, credentials) if credentials else server.add_insecure_port(address)
        except RuntimeError as error:
            raise UserError(f"gRPC cannot listen on {address}: {error}") from error
    await server.start()
    await checks.set("", health_pb2.HealthCheckResponse.SERVING)

    async def drain() -> None:
        await checks.enter_graceful_shutdown()
        await server.stop(_GRACE_SECONDS)

    stack.push_async_callback(drain)


async def _listen_rest(
    stack: contextlib.AsyncExitStack, service: Service, intake: Intake, metrics_path: str | None
) -> None:
    application = web.Application()
    RestApi(service, intake, _REST_TIMEOUT.value / 1000, _CORS.value).add_to(application.router)
    if metrics_path:
        application.router.add_get(metrics_path, _metrics)
    photographs = Photographs()
    stack.callback(photographs.close)
    PageApi(service, photographs, intake).add_to(application)
    runner = web.AppRunner(application, handler_cancellation=True, shutdown_timeout=_GRACE_SECONDS)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    try:
        stack.callback((await listen(runner, _REST_PORT.value, intake.limits)).close)
    except OSError as error:
        raise UserError(f"--rest_api_port={_REST_PORT.value} cannot be listened on: {error.strerror}") from error


async def _follow_config_file(models: Models) -> None:
    """Reads the config again and again; one that cannot be changes nothing."""
    while True:
        await asyncio.sleep(_CONFIG_POLL.value)
        try:
            await models.reload(config_protos.read(_CONFIG_FILE.value, config_protos.ModelServerConfig))
        except (UserError, RequestError) as error:
            logging.error("%s: %s", _CONFIG_FILE.value, error)


async def _metrics(request: web.Request) -> web.Response:
    return web.Response(body=monitoring.exposition(), headers={"Content-Type": monitoring.CONTENT_TYPE})


def _in_background(stack: contextlib.AsyncExitStack, work: Coroutine) -> None:
    task = asyncio.get_running_loop().create_task(work)
    stack.callback(task.cancel)


def _load(name: str, version: int, folder: str) -> Servable:
    loaded = _servable(name, version, folder)
    try:
        if _WARM_UP.value:
            warmup.warm_up(loaded, _WARM_UP_ITERATIONS.value)
    except BaseException:
        loaded.close()
        raise
    return loaded


def _servable(name: str, version: int, folder: str) -> Servable:
    intra, inter = (_PARALLELISM.value or flag.value for flag in (_INTRA, _INTER))
    if _PREFER_TFLITE.value:
        from . import tflite_model

        if os.path.exists(os.path.join(folder, tflite_model.FILE)):
            return tflite_model.TFLiteModel(name, version, folder, intra or 1)
    return SavedModel(name, version, folder, _TAGS.value.split(","), session_config(intra, inter))


def _runner() -> Runner:
    if _BATCHING_FILE.value and not _BATCHING.value:
        raise UserError("--batching_parameters_file is set without setting --enable_batching to true")
    if not _BATCHING.value:
        return Runner()
    if not _BATCHING_FILE.value:
        return Batcher(config_protos.BatchingParameters())
    parameters = config_protos.read(_BATCHING_FILE.value, config_protos.BatchingParameters)
    try:
        return Batcher(parameters)
    except UserError as error:
        raise UserError(f"{_BATCHING_FILE.value}: {error}") from error


def _model_config() -> config_protos.ModelServerConfig:
    if _CONFIG_FILE.value:
        return config_protos.read(_CONFIG_FILE.value, config_protos.ModelServerConfig)
    base_path = os.path.abspath(_BASE_PATH.value) if _BASE_PATH.value else demo_model.base_path()
    name = _MODEL_NAME.value or ("default" if _BASE_PATH.value else "s2f")
    config = config_protos.ModelServerConfig()
    config.model_config_list.config.add(name=name, base_path=base_path, model_platform="tensorflow")
    return config


def _channel_arguments(text: str) -> dict[str, int | str]:
    """Keys and values; those that are whole numbers are given to gRPC as such."""
    arguments = {}
    for argument in filter(None, text.split(",")):
        key, equals, value = argument.partition("=")
        if not (key and equals and value):
            raise UserError(f"--grpc_channel_arguments: '{argument}' is not key=value")
        arguments[key] = int(value) if re.fullmatch(r"-?\d{1,9}", value) else value
    return arguments


def _credentials(path: str) -> grpc.ServerCredentials:
    config = config_protos.read(path, config_protos.SSLConfig)
    if not (config.server_key and config.server_cert):
        raise UserError(f"{path}: server_key and server_cert must hold PEM text")
    if config.client_verify and not config.custom_ca:
        raise UserError(f"{path}: client_verify needs custom_ca, which says whose clients are let in")
    credentials = grpc.ssl_server_credentials(
        [(config.server_key.encode(), config.server_cert.encode())],
        root_certificates=config.custom_ca.encode() or None,
        require_client_auth=config.client_verify,
    )
    try:  # on any port, since gRPC looks at the text only then, and the models take their time before
        grpc.server(ThreadPoolExecutor(1)).add_secure_port("localhost:0", credentials)
    except RuntimeError:
        raise UserError(f"{path}: gRPC cannot use this key and certificate") from None
    return credentials


def _metrics_path(path: str) -> str | None:
    prometheus = config_protos.read(path, config_protos.MonitoringConfig).prometheus_config
    if prometheus.path and not prometheus.path.startswith("/"):
        raise UserError(f"{path}: path must begin with a slash, not be '{prometheus.path}'")
    return (prometheus.path or monitoring.DEFAULT_PATH) if prometheus.enable else None


def _places() -> list[str]:
    places = [f"gRPC port {_PORT.value}"] if _PORT.value else []
    places += [f"unix:{_SOCKET.value}"] if _SOCKET.value else []
    return places + ([f"http://localhost:{_REST_PORT.value}/"] if _REST_PORT.value else [])


def run() -> None:
    """The console script."""
    command.run(main)


if __name__ == "__main__":
    run()
