"""The same model in each runtime: a voice in, an embedding out; an embedding and z in, a face out.

A runtime is imported when it is made, so that a process holds no other's memory.
"""

import abc
import glob
import io
import os

import numpy as np


class Runtime(abc.ABC):
    """A model that is ready to answer, one voice or one face at a time.

    Attributes:
        name: for tables.
        size: bytes on disk of what it was read from.
    """

    name: str
    size: int

    @abc.abstractmethod
    def embed(self, waveform: np.ndarray) -> np.ndarray:
        """float32 [1, window] at 16 kHz to the embedding, float32 [1, E]."""

    @abc.abstractmethod
    def draw(self, embedding: np.ndarray, z: np.ndarray) -> np.ndarray:
        """float32 [1, E] and float32 [1, Z] to a face, uint8 [1, H, W, 3]."""

    def embed_and_draw(self, waveform: np.ndarray, z: np.ndarray) -> np.ndarray:
        """float32 [1, window] and float32 [1, Z] to a face, uint8 [1, H, W, 3]."""
        return self.draw(self.embed(waveform), z)


class LiteRT(Runtime):
    """A TFLite model.

    Args:
        path: of the file.
        threads: that it may use.
    """

    def __init__(self, path: str, threads: int = 1) -> None:
        from ai_edge_litert.interpreter import Interpreter

        self.name = f"LiteRT {os.path.basename(path).removeprefix('s2f_').removesuffix('.tflite')}"
        self.size = os.path.getsize(path)
        self._interpreter = Interpreter(path, num_threads=threads)
        self._embed = self._interpreter.get_signature_runner("embed_speech")
        self._generate = self._interpreter.get_signature_runner("generate")

    def embed(self, waveform: np.ndarray) -> np.ndarray:
        """See `Runtime`."""
        return self._embed(waveform=waveform)["embedding"]

    def draw(self, embedding: np.ndarray, z: np.ndarray) -> np.ndarray:
        """See `Runtime`."""
        return self._generate(embedding=embedding, z=z)["image"]


class OnnxRuntime(Runtime):
    """ONNX models, as `python -m s2f_tf.export --format=onnx` writes them.

    Args:
        folder: of the models.
        threads: that it may use.
    """

    def __init__(self, folder: str, threads: int = 1) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        paths = [os.path.join(folder, f"{name}.onnx") for name in ("embed_speech", "generate")]
        self.name, self.size = "ONNX Runtime", sum(map(os.path.getsize, paths))
        self._embed, self._generate = (
            onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"]) for path in paths
        )

    def embed(self, waveform: np.ndarray) -> np.ndarray:
        """See `Runtime`."""
        return self._embed.run(["embedding"], {"waveform": waveform})[0]

    def draw(self, embedding: np.ndarray, z: np.ndarray) -> np.ndarray:
        """See `Runtime`."""
        return self._generate.run(["image"], {"embedding": embedding, "z": z})[0]


class SavedModel(Runtime):
    """A version of the SavedModel, as `python -m s2f_tf.export` writes it.

    It embeds WAV files alone, so a waveform goes in as one.
    """

    def __init__(self, folder: str) -> None:
        import tensorflow as tf

        files = [path for path in glob.glob(f"{folder}/**", recursive=True) if os.path.isfile(path)]
        self.name, self.size = "SavedModel", sum(map(os.path.getsize, files))
        self._tf, self._model = tf, tf.saved_model.load(folder)

    def embed(self, waveform: np.ndarray) -> np.ndarray:
        """See `Runtime`."""
        import soundfile

        file = io.BytesIO()
        soundfile.write(file, waveform[0], 16_000, format="WAV", subtype="FLOAT")
        wav_bytes = self._tf.constant([file.getvalue()])
        return self._model.signatures["embed_speech"](wav_bytes=wav_bytes)["embedding"].numpy()

    def draw(self, embedding: np.ndarray, z: np.ndarray) -> np.ndarray:
        """See `Runtime`."""
        drawn = self._model.signatures["generate_from_embedding"](
            embedding=self._tf.constant(embedding), z=self._tf.constant(z)
        )
        return drawn["image"].numpy()

    def embed_and_draw(self, waveform: np.ndarray, z: np.ndarray) -> np.ndarray:
        """See `Runtime`."""
        drawn = self._model.signatures["generate"](waveform=self._tf.constant(waveform), z=self._tf.constant(z))
        return drawn["image"].numpy()
