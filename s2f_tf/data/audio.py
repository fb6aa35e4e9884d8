"""Sound: in files, and in the graph."""

import functools
import warnings

import tensorflow as tf

from s2f_tf.config import SAMPLE_RATE, DataConfig
from s2f_tf.data.clip import CorpusError

_NOISE_RANGE_DB = 40.0  # noise is drawn from so far below `DataConfig.noise_db` up to it


@functools.cache
def flac_available() -> bool:
    """Whether tensorflow-io's FLAC op loads here: it does on TensorFlow 2.17 and does not on later ones."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of file systems, which are not wanted
            import tensorflow_io as tfio

            # In a graph of its own: an op run eagerly would come before a strategy that must be made first.
            with tf.Graph().as_default():
                tfio.audio.decode_flac(tf.constant(b""), dtype=tf.int16)
    except (ImportError, AttributeError, NotImplementedError, OSError):
        return False
    return True


def default_format() -> str:
    """What a corpus made here stores sound as: "flac" where it can be read back in the graph, else "wav"."""
    return "flac" if flac_available() else "wav"


def require_format(audio_format: str, where: str) -> None:
    """Raises `CorpusError`, naming `where`, unless sound of this format can be decoded in the graph here."""
    if audio_format == "flac" and not flac_available():
        raise CorpusError(
            f"{where} holds FLAC, which takes the native ops of tensorflow-io, and they do not load on TensorFlow "
            f"{tf.__version__}: install the `io` extra (on TensorFlow 2.17), or make the corpus again with WAV"
        )
    if audio_format not in ("flac", "wav"):
        raise CorpusError(f"{where}: audio_format must be flac or wav, not {audio_format!r}")


def decode_sound(encoded: tf.Tensor, audio_format: str) -> tf.Tensor:
    """A clip's sound file, a string scalar, to float32 [S] in [-1, 1]: mono, 16 kHz, 16 bits, as `clip.encode` makes.

    Raises `CorpusError` where the format cannot be read here, and an error of TensorFlow's where the file is damaged.
    """
    require_format(audio_format, "the corpus")
    if audio_format == "flac":
        import tensorflow_io as tfio

        waveform = tf.cast(tfio.audio.decode_flac(encoded, dtype=tf.int16), tf.float32) / 2.0**15
    else:
        waveform, rate = tf.audio.decode_wav(encoded)
        with tf.control_dependencies([tf.debugging.assert_equal(rate, SAMPLE_RATE, "a clip's sound must be 16 kHz")]):
            waveform = tf.identity(waveform)
    return tf.squeeze(tf.ensure_shape(waveform, [None, None]), axis=1)


def random_window(waveform: tf.Tensor, samples: int, seed: tf.Tensor) -> tf.Tensor:
    """float32 [S] to [samples], from a random start.

    A shorter waveform is repeated, since zeros would tell a network how long it was.
    """
    length = tf.shape(waveform)[0]
    starts = tf.where(length >= samples, length - samples + 1, length)
    start = tf.random.stateless_uniform([], seed, maxval=starts, dtype=tf.int32)
    return tf.gather(waveform, (start + tf.range(samples)) % length)


def augment_waveform(waveform: tf.Tensor, seed: tf.Tensor, data: DataConfig) -> tf.Tensor:
    """The same voice as another microphone hears it: other level, noise, fades at its ends, upside down.

    Args:
        waveform: float32 [S].
        seed: int [2]; the same seed gives the same waveform.
        data: its `gain_db`, `noise_db`, `fade_seconds` and `polarity` say how much.

    Returns:
        float32 [S]. It may leave [-1, 1]: a waveform is not clipped.
    """
    samples = tf.shape(waveform)[0]
    draw_seed, noise_seed = tf.unstack(tf.random.split(seed, 2))
    draws = tf.random.stateless_uniform([5], draw_seed)
    gain = _from_db((2.0 * draws[0] - 1.0) * data.gain_db)
    if data.polarity:
        gain = tf.where(draws[1] < 0.5, gain, -gain)
    level = _from_db(data.noise_db - _NOISE_RANGE_DB * draws[2]) * tf.sqrt(tf.reduce_mean(tf.square(waveform)))
    # Uniform noise is as white as normal noise and four times as cheap; its RMS is its peak over the root of 3.
    peak = 3.0**0.5 * level
    waveform += tf.random.stateless_uniform([samples], noise_seed, minval=-peak, maxval=peak)
    fade_in, fade_out = tf.unstack(draws[3:] * (data.fade_seconds * SAMPLE_RATE))
    time = tf.range(1.0, tf.cast(samples, tf.float32) + 1.0)
    envelope = tf.minimum(1.0, time / (1.0 + fade_in)) * tf.minimum(1.0, time[::-1] / (1.0 + fade_out))
    return gain * envelope * waveform


def _from_db(level: tf.Tensor) -> tf.Tensor:
    return tf.pow(10.0, level / 20.0)
