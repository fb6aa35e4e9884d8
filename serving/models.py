"""The models that are served: which versions are loaded, replaced and unloaded, and which of them answers a request.

A new version is loaded beside the old one, which answers until the new one can, and is given up once the last request
that it had taken is answered. Everything here but the loading itself runs on one event loop.
"""

import asyncio
import contextlib
import dataclasses
import os
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor

from absl import logging
from grpc import StatusCode
from tensorflow_serving.apis import get_model_status_pb2, model_pb2
from tensorflow_serving.config import model_server_config_pb2

from . import versions
from .errors import RequestError, from_exception, invalid
from .servable import Servable

State = get_model_status_pb2.ModelVersionStatus.State
Loader = Callable[[str, int, str], Servable]


@dataclasses.dataclass(eq=False)
class _Version:
    """A version that is, was, or will be served."""

    name: str
    number: int
    folder: str
    state: int = State.START
    error: RequestError | None = None
    servable: Servable | None = None
    wanted: bool = True
    users: int = 0
    idle: asyncio.Event = dataclasses.field(default_factory=asyncio.Event)


class Models:
    """What is served, as a `ModelServerConfig` says and the disk holds.

    Args:
        load: makes a servable of (name, version, folder), warmed up; called on a thread of its own.
        poll_seconds: between two looks at the disk; 0 looks once.
        retries: how often a load that failed is tried again, while another version, or none, serves.
        retry_seconds: before each.
        labels_before_versions: a label that is new may name a version that is not loaded yet.
    """

    def __init__(
        self,
        load: Loader,
        *,
        poll_seconds: float = 1,
        retries: int = 5,
        retry_seconds: float = 60,
        labels_before_versions: bool = False,
    ) -> None:
        self._load = load
        self._poll_seconds = poll_seconds
        self._retries = retries
        self._retry_seconds = retry_seconds
        self._labels_before_versions = labels_before_versions
        self._configs: dict[str, model_server_config_pb2.ModelConfig] = {}
        self._labels: dict[str, Mapping[str, int]] = {}
        self._versions: dict[str, dict[int, _Version]] = {}
        self._unlistable: dict[str, str] = {}
        self._loading = ThreadPoolExecutor(1, "load")
        self._reloading = asyncio.Lock()
        self._tasks: set[asyncio.Task] = set()
        self._changed = asyncio.Condition()

    async def start(self, config: model_server_config_pb2.ModelServerConfig) -> None:
        """Serves what `config` says, and returns once each model has a version that answers.

        Where a model has none on disk yet, that is when one appears. Raises `RequestError` where the config cannot be,
        or a version cannot be loaded.
        """
        self._retries, retries = 0, self._retries
        await self.reload(config)
        self._retries = retries

    async def reload(self, config: model_server_config_pb2.ModelServerConfig) -> None:
        """Changes to another list of models, and returns once each that is new has a version that answers.

        Models that are left out are unloaded. Raises `RequestError`: INVALID_ARGUMENT and FAILED_PRECONDITION where the
        config cannot be, and then nothing has changed; UNKNOWN where a new model cannot be loaded.
        """
        async with self._reloading:
            configs = _checked(config)
            self._labels = self._checked_labels(configs)
            new = [name for name in configs if name not in self._configs]
            self._configs = configs
            self.poll()
            await self._wait_for(new)

    async def poll_forever(self) -> None:
        """Looks at the disk again and again."""
        while self._poll_seconds > 0:
            await asyncio.sleep(self._poll_seconds)
            self.poll()

    def poll(self) -> None:
        """Looks at the disk, and starts to load and to unload what differs."""
        for name in self._versions.keys() - self._configs.keys():
            self._want(name, {})
        for name, config in self._configs.items():
            try:
                folders = versions.wanted(config.base_path, config.model_version_policy)
            except OSError as error:  # it may come back: what is loaded goes on
                if self._unlistable.get(name) != str(error):
                    logging.error("model %s: %s", name, error)
                self._unlistable[name] = str(error)
            else:
                self._unlistable.pop(name, None)
                self._want(name, folders)

    @contextlib.contextmanager
    def use(self, spec: model_pb2.ModelSpec) -> Iterator[Servable]:
        """The servable that answers a request; it stays loaded inside the context. Raises `RequestError`."""
        number = self._number(spec)
        available = [v for v in self._versions.get(spec.name, {}).values() if v.state == State.AVAILABLE]
        if number is not None:
            available = [version for version in available if version.number == number]
        if not available:
            asked = f"Latest({spec.name})" if number is None else f"Specific({spec.name}, {number})"
            raise RequestError(StatusCode.NOT_FOUND, f"Servable not found for request: {asked}")
        version = max(available, key=lambda version: version.number)
        version.users += 1
        try:
            yield version.servable
        finally:
            version.users -= 1
            if not version.users:
                version.idle.set()

    def status(self, spec: model_pb2.ModelSpec) -> get_model_status_pb2.GetModelStatusResponse:
        """The state of each version of a model that was ever wanted, the newest first, or of one.

        Raises `RequestError`.
        """
        number = self._number(spec)
        known = self._versions.get(spec.name, {})
        if number is not None and number not in known:
            raise RequestError(StatusCode.NOT_FOUND, f"Could not find version {number} of model {spec.name}")
        if not known:
            raise RequestError(StatusCode.NOT_FOUND, f"Could not find any versions of model {spec.name}")
        response = get_model_status_pb2.GetModelStatusResponse()
        for version in sorted(known.values(), key=lambda version: -version.number):
            if number in (None, version.number):
                one = response.model_version_status.add(version=version.number, state=version.state)
                one.status.error_code = version.error.code.value[0] if version.error else 0
                one.status.error_message = version.error.message if version.error else ""
        return response

    def names(self) -> list[str]:
        """The models of the config."""
        return list(self._configs)

    def close(self) -> None:
        """Stops loading and unloading; what is loaded goes with the process."""
        for task in self._tasks:
            task.cancel()
        self._loading.shutdown(cancel_futures=True)

    def _number(self, spec: model_pb2.ModelSpec) -> int | None:
        if not spec.name:
            raise invalid("ModelSpec has no name specified.")
        match spec.WhichOneof("version_choice"):
            case "version":
                return spec.version.value
            case "version_label":
                number = self._labels.get(spec.name, {}).get(spec.version_label)
                if number is None:
                    raise invalid(f"Unrecognized servable version label: {spec.version_label}")
                return number
        return None

    def _checked_labels(self, configs: Mapping[str, model_server_config_pb2.ModelConfig]) -> dict[str, dict[str, int]]:
        for name, config in configs.items():
            for label, number in config.version_labels.items():
                version = self._versions.get(name, {}).get(number)
                moved = self._labels.get(name, {}).get(label, number) != number
                may_wait = self._labels_before_versions and not moved
                if not may_wait and (version is None or version.state != State.AVAILABLE):
                    raise RequestError(
                        StatusCode.FAILED_PRECONDITION,
                        f"Request to assign label to version {number} of model {name}, "
                        "which is not currently available for inference",
                    )
        return {name: dict(config.version_labels) for name, config in configs.items()}

    def _want(self, name: str, folders: Mapping[int, str]) -> None:
        known = self._versions.setdefault(name, {})
        for version in known.values():
            version.wanted = version.number in folders
        for number, folder in folders.items():
            version = known.get(number)
            # What failed to load is not tried again until it has been away; what was unloaded is.
            if version is None or version.state == State.END and version.error is None:
                known[number] = _Version(name, number, folder)
                self._spawn(self._bring_up(known[number]))
        for version in known.values():
            if version.state == State.END and not version.wanted:
                version.error = None
        self._unload_surplus(name)

    def _unload_surplus(self, name: str) -> None:
        known = self._versions[name].values()
        if any(v.wanted and v.state == State.AVAILABLE for v in known) or not any(v.wanted for v in known):
            for version in known:
                if not version.wanted and version.state == State.AVAILABLE:
                    version.state = State.UNLOADING
                    self._spawn(self._take_down(version))

    async def _bring_up(self, version: _Version) -> None:
        version.state = State.LOADING
        left, started = self._retries, time.monotonic()
        while version.servable is None:
            try:
                version.servable = await asyncio.get_running_loop().run_in_executor(
                    self._loading, self._load, version.name, version.number, version.folder
                )
            except Exception as error:  # whatever a damaged model makes TensorFlow raise
                logging.error("model %s version %d cannot be loaded: %s", version.name, version.number, error)
                if not left or not version.wanted:
                    version.error, version.state = from_exception(error), State.END
                    break
                left -= 1
                await asyncio.sleep(self._retry_seconds)
        else:
            version.state = State.AVAILABLE
            seconds = time.monotonic() - started
            logging.info("model %s version %d serves, loaded in %.1f s", version.name, version.number, seconds)
        self._unload_surplus(version.name)
        async with self._changed:
            self._changed.notify_all()

    async def _take_down(self, version: _Version) -> None:
        while version.users:
            version.idle.clear()
            await version.idle.wait()
        servable, version.servable = version.servable, None
        await asyncio.get_running_loop().run_in_executor(self._loading, servable.close)
        version.state = State.END
        logging.info("model %s version %d is unloaded", version.name, version.number)

    async def _wait_for(self, names: list[str]) -> None:
        async with self._changed:
            for name in names:
                await self._changed.wait_for(lambda name=name: self._settled(name))
        failed = [
            f"{{{{name: {name} version: {version.number}}} due to error: {version.error}}}"
            for name in names
            for version in self._versions[name].values()
            if version.wanted and version.error
        ]
        if failed:
            message = f"{len(failed)} model(s) did not become available: {{{', '.join(failed)}}}"
            raise RequestError(StatusCode.UNKNOWN, message)

    def _settled(self, name: str) -> bool:
        states = [version.state for version in self._versions.get(name, {}).values() if version.wanted]
        return bool(states) and all(state in (State.AVAILABLE, State.END) for state in states)

    def _spawn(self, work: object) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _checked(
    config: model_server_config_pb2.ModelServerConfig,
) -> dict[str, model_server_config_pb2.ModelConfig]:
    """The models of a config by name. Raises `RequestError` where it cannot be."""
    if config.WhichOneof("config") != "model_config_list":
        raise invalid(
            "ServerModelConfig type not supported by HandleReloadConfigRequest. "
            "Only ModelConfigList is currently supported"
        )
    configs = {}
    for model in config.model_config_list.config:
        if not model.name:
            raise invalid("a model in the config list has no name")
        if model.name in configs:
            raise invalid(f"Illegal to list model {model.name} multiple times in config list")
        platform = model.model_platform or {model_server_config_pb2.TENSORFLOW: "tensorflow"}.get(model.model_type)
        if platform is None:
            raise invalid(
                "Illegal setting neither ModelServerConfig::model_type (deprecated) nor "
                f"ModelServerConfig::model_platform, of model {model.name}."
            )
        if platform != "tensorflow":
            raise invalid(f"Model {model.name} requests unsupported platform {platform}")
        if not os.path.isabs(model.base_path):
            raise invalid(
                f"Expected model {model.name} to have an absolute path or URI; got base_path()={model.base_path}"
            )
        if not os.path.isdir(model.base_path):
            raise invalid(f"Could not find base path {model.base_path} for servable {model.name}")
        if model.HasField("logging_config"):
            raise invalid(f"Model {model.name} asks for request logging, which this server does not do")
        configs[model.name] = model
    return configs
