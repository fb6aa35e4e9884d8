"""One version of a model in memory."""

import abc
import functools
import os
from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import config_pb2, meta_graph_pb2

_MAX_CALLABLES = 64  # each set of outputs that was ever asked for has one


class Servable(abc.ABC):
    """A version of a model that is ready to answer.

    Attributes:
        name: of the model.
        version: its number.
        folder: what it was loaded from.
        signatures: by name; the names of their tensors are what `run` takes.
    """

    signatures: Mapping[str, meta_graph_pb2.SignatureDef]

    def __init__(self, name: str, version: int, folder: str) -> None:
        self.name = name
        self.version = version
        self.folder = folder

    @abc.abstractmethod
    def run(self, feeds: Mapping[str, np.ndarray], fetches: Sequence[str]) -> dict[str, np.ndarray]:
        """Feeds arrays to tensors, both by their names in the graph, and returns the arrays that come out.

        Any thread may call it. Raises what `errors.from_exception` knows.
        """

    def extra(self, name: str) -> str:
        """The path of a file in the model's `assets.extra`, whether it is there or not."""
        return os.path.join(self.folder, "assets.extra", name)

    @abc.abstractmethod
    def close(self) -> None:
        """Gives its memory back; nothing may be running."""


class SavedModel(Servable):
    """A SavedModel in a session of its own; it needs no code but TensorFlow's.

    Args:
        name: of the model.
        version: its number.
        folder: holds the SavedModel.
        tags: of the graph to load.
        session_config: how many threads it may use.

    Raises:
        OSError, RuntimeError, ValueError, tf.errors.OpError: where the folder holds no model that can be loaded.
    """

    def __init__(
        self, name: str, version: int, folder: str, tags: Sequence[str], session_config: config_pb2.ConfigProto
    ) -> None:
        super().__init__(name, version, folder)
        graph = tf.Graph()
        with graph.as_default():
            self._session = tf.compat.v1.Session(graph=graph, config=session_config)
            try:
                tf.compat.v1.logging.set_verbosity(
                    "ERROR"
                )  # the loader calls itself deprecated; its successor is slower
                loaded = tf.compat.v1.saved_model.load(self._session, list(tags), folder)
            except BaseException:
                self._session.close()
                raise
        self.signatures = dict(loaded.signature_def)
        self._callable = functools.lru_cache(_MAX_CALLABLES)(self._make_callable)

    def run(self, feeds: Mapping[str, np.ndarray], fetches: Sequence[str]) -> dict[str, np.ndarray]:
        """See `Servable`. Raises `tf.errors.OpError`."""
        inputs, outputs = tuple(sorted(feeds)), tuple(sorted(set(fetches)))
        call = self._callable(inputs, outputs)
        try:
            fetched = call(*(feeds[name] for name in inputs))
        except UnicodeDecodeError as error:  # TensorFlow's message quotes what a client sent, which is no text
            message = error.object.decode("utf-8", "replace")
            raise tf.errors.InvalidArgumentError(None, None, message) from None
        # What has no shape comes as a scalar of numpy's, and a string as bytes.
        arrays = (np.array(one, object) if isinstance(one, bytes) else np.asarray(one) for one in fetched)
        return dict(zip(outputs, arrays, strict=True))

    def close(self) -> None:
        """See `Servable`."""
        self._callable.cache_clear()
        self._session.close()

    def _make_callable(self, inputs: tuple[str, ...], outputs: tuple[str, ...]) -> object:
        # Session.run, and the public make_callable where it is fed, refuse shapes that TensorFlow Serving accepts.
        options = config_pb2.CallableOptions(feed=inputs, fetch=outputs)
        return self._session._make_callable_from_options(options)


def session_config(intra_op_threads: int = 0, inter_op_threads: int = 0) -> config_pb2.ConfigProto:
    """What a session may use; 0 threads is TensorFlow's choice."""
    return config_pb2.ConfigProto(
        allow_soft_placement=True,
        intra_op_parallelism_threads=intra_op_threads,
        inter_op_parallelism_threads=inter_op_threads,
    )
