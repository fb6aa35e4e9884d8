"""Sound: in files, and in the graph."""

import contextlib
import functools
import io
import itertools
import os
import struct
import warnings
from collections.abc import Iterable, Iterator
from typing import BinaryIO

import av
import numpy as np
import soundfile
import tensorflow as tf

from s2f_tf.config import MAX_SECONDS, MIN_SECONDS, SAMPLE_RATE
from s2f_tf.data.clip import CorpusError
from s2f_tf.data.voice import voiced_seconds
from s2f_tf.errors import UserError

MIN_RATE, MAX_RATE = 8_000, 48_000  # Hz; what `resample` and an exported model accept
SILENCE = 1e-4  # -80 dB relative to full scale: a sound that is nowhere louder is silent
UNKNOWN_LENGTH = 0x7FFF0000  # a WAV written to a pipe promises this much or more, since it cannot know
MAX_CHANNELS = 8

_PIECE = int(MAX_SECONDS * SAMPLE_RATE)  # samples of a long sound that are heard at once
_LOUD = 0.25  # the least that the loudest sample of a voice is, before it is rounded to 16 bits
_PCM, _FLOAT, _A_LAW, _MU_LAW, _EXTENSIBLE = 1, 3, 6, 7, 0xFFFE  # format tags of WAV
_KINDS_OF_SAMPLES = (  # of a client's WAV file: format tag, bits
    *((_PCM, bits) for bits in (8, 16, 24, 32)),
    *((_FLOAT, bits) for bits in (32, 64)),
    (_A_LAW, 8),
    (_MU_LAW, 8),
)
_SAMPLES_ALLOWED = "PCM of 8, 16, 24 or 32 bits, float of 32 or 64 bits, A-law or mu-law"
# What a clip's WAV file says of itself from its ninth byte on, up to the length of the sound.
_CLIP_HEADER = b"WAVEfmt " + struct.pack("<IHHIIHH", 16, _PCM, 1, SAMPLE_RATE, 2 * SAMPLE_RATE, 2, 16) + b"data"
_CLIP_HEADER_BYTES = 44
_MAX_CHUNKS = 256  # of a client's WAV file before its sound
_CHUNKS_BEHIND = (b"LIST", b"id3 ", b"ID3 ", b"bext", b"cue ", b"fact", b"iXML", b"smpl")  # the sound, in WAV files
_JOIN_SAMPLES = 2048  # in which `resample`'s filter has died away
_WAVEFORM = "the waveform"  # what messages call an array
_PASSBAND = 0.92  # of the lower of the two Nyquist frequencies; from here `resample` falls to zero at Nyquist

Sound = str | os.PathLike | np.ndarray  # the path of a file, or a waveform, beside which its rate is said


class SoundError(UserError):
    """A sound that cannot be used; the message names it and says what is wrong."""


class SilentError(SoundError):
    """A sound that is nowhere above -80 dBFS."""


class NoVoiceError(SoundError):
    """A sound in which nobody speaks, by the rule of `voice`."""


class TooShortError(SoundError):
    """A sound that lasts less than `MIN_SECONDS`."""


def read_sound(sound: Sound, rate: int | None = None) -> np.ndarray:
    """The whole of a sound, float32 [S], mono, 16 kHz: `read_pieces`, joined."""
    return np.concatenate([*read_pieces(sound, rate)])


def read_pieces(sound: Sound, rate: int | None = None) -> Iterator[np.ndarray]:
    """Reads any sound file that FFmpeg can: WAV, FLAC, MP3, Ogg, M4A, the sound track of a video... Or an array.

    Channels are mixed by `channel_weights`. Samples are in [-1, 1], except those of a float WAV that is louder.

    A WAV or FLAC file says how much sound it holds: where less can be read, the file is damaged, and is refused rather
    than read in part. Other formats make no exact promise, and are read as far as they go.

    Args:
        sound: path of a file, or a waveform, float [S] in [-1, 1], mono, or [S, C] of at most `MAX_CHANNELS`.
        rate: samples a second of a waveform, at least `MIN_RATE`, which must be given; not of a file, which says it.

    Yields:
        float32 [S], mono, 16 kHz: one up to `MAX_SECONDS`; of a longer sound, pieces of so much that follow each other,
        but for the last two, which are alike and shorter. Memory does not grow with its length.

    Raises:
        SoundError: where there is no such file, it holds no sound, it is cut short, or its samples are not finite. What
            is wrong further on is found when the pieces before it are out. Where a waveform, or its rate, is not what
            is said above.
        SilentError: at the end, where it is nowhere above -80 dBFS.
        TooShortError: where it is shorter than `MIN_SECONDS`.
    """
    if isinstance(sound, np.ndarray):
        _require_rate(rate)
        _require_channels(sound, _WAVEFORM)
        blocks = (sound[start : start + _PIECE] for start in range(0, len(sound), _PIECE))
        yield from _pieces(resampled(blocks, int(rate), _WAVEFORM), _WAVEFORM)
        return
    path = os.fspath(sound)
    if rate is not None:
        raise SoundError(f"{path} is a file, which says its rate: rate={rate} goes with an array alone")
    if os.path.isdir(path):
        raise SoundError(f"{path} is a folder: a sound file is wanted")
    try:
        with open(path, "rb") as file:
            if not file.read(1):
                raise SoundError(f"{path} is empty")
            _require_whole_wav(file, path)
            yield from _pieces(_decoded(file, path), path)
    except FileNotFoundError:
        raise SoundError(f"{path} does not exist") from None
    except (OSError, av.error.FFmpegError) as error:
        raise SoundError(f"{path} cannot be read as sound: {error.strerror}") from error


def channels_of(frame: av.AudioFrame) -> np.ndarray:
    """The samples of a frame in the format "flt", float32 [n, C]."""
    return frame.to_ndarray().reshape(frame.samples, -1)


def channel_weights(channels: np.ndarray) -> np.ndarray:
    """What each channel counts in the mix to mono, float32 [C], of channels, float [S, C]: equal parts, as a rule.

    Where the mean loses half of what it would of channels that have nothing to do with each other, they are in
    antiphase, as of a balanced cable in a stereo socket: then the one of the largest variance is all.
    """
    count, variances = channels.shape[1], channels.var(axis=0, dtype=np.float64)
    if 2 * count**2 * channels.mean(axis=1).var(dtype=np.float64) < variances.sum():
        return np.eye(count, dtype=np.float32)[variances.argmax()]
    return np.full(count, 1 / count, np.float32)


def encode_wav(waveform: np.ndarray, rate: int = SAMPLE_RATE) -> bytes:
    """A 16-bit mono WAV file of a waveform, float [S]; what is beyond [-1, 1) is cut off.

    `decode_wav_bytes` gives back what it holds to the bit, which a file's own rounding would not.
    """
    samples = np.clip(np.rint(waveform * 32768.0), -32768, 32767).astype(np.int16)
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format="WAV", subtype="PCM_16")
    return file.getvalue()


def encode_voice(voice: Sound, any_sound: bool = False, *, rate: int | None = None) -> Iterator[tuple[bytes, float]]:
    """A voice as an exported model takes it, piece by piece: see `read_pieces`. Those without a voice are left out.

    Args:
        voice: path of a sound file, or a waveform: see `read_pieces`.
        any_sound: whether a sound without a voice is taken as well: all of it that is not silent.
        rate: of a waveform, in Hz.

    Yields:
        A 16-bit WAV file of up to `MAX_SECONDS`, and how much its embedding counts in that of the whole: seconds of
        voice, or 1 where there is none. See `latent.mean_embedding`.

    Raises:
        SoundError: as `read_pieces` does.
        NoVoiceError: at the end, where no piece holds a voice, unless `any_sound`.
    """
    is_voice = False
    for piece in read_pieces(voice, rate):
        if seconds := voiced_seconds(piece):
            is_voice = True
            yield encode_wav(raised(piece)), seconds
    if is_voice:
        return
    if not any_sound:
        name = _WAVEFORM if isinstance(voice, np.ndarray) else voice
        raise NoVoiceError(f"{name} holds no voice: hum, noise or music alone (--any_sound draws all the same)")
    for piece in read_pieces(voice, rate):
        if np.abs(piece).max() >= SILENCE:
            yield encode_wav(raised(piece)), 1.0


def resampled(blocks: Iterable[np.ndarray], rate: int, name: str) -> Iterator[np.ndarray]:
    """Brings one sound in blocks to 16 kHz, without a seam between them.

    Args:
        blocks: float [n] in [-1, 1], or [n, C], of any n.
        rate: of the blocks, in Hz.
        name: of a block, for messages.

    Yields:
        float32 [n, C].

    Raises:
        SoundError: where a block is not what is said above.
    """
    resampler = av.AudioResampler(format="flt", rate=SAMPLE_RATE)
    channels = None
    for block in blocks:
        block = np.asarray(block)
        _require_channels(block, name)
        if not np.isfinite(block).all():
            raise SoundError(f"{name} has samples that are NaN or infinite")
        if not block.size:
            continue
        block = block.reshape(len(block), -1)
        channels = channels or block.shape[1]
        if block.shape[1] != channels:
            raise SoundError(f"{name} has {block.shape[1]} channels, and those before it {channels}")
        packed = np.ascontiguousarray(block, np.float32).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(packed, format="flt", layout=f"{channels}c")
        frame.sample_rate = rate
        yield from map(channels_of, resampler.resample(frame))
    if channels:
        yield from map(channels_of, resampler.resample(None))


def _require_channels(block: np.ndarray, name: str) -> None:
    of_floats = np.issubdtype(block.dtype, np.floating)
    if not (of_floats and (block.ndim == 1 or (block.ndim == 2 and block.shape[1] <= MAX_CHANNELS))):
        raise SoundError(
            f"{name} is {block.dtype} {list(block.shape)}: float [n] or [n, C], in [-1, 1], of at most {MAX_CHANNELS} "
            "channels, is wanted"
        )


def _require_rate(rate: float | None) -> None:
    if rate is None:
        raise SoundError(f"{_WAVEFORM} comes without its rate: add rate=44_100, or how many samples a second it has")
    if not (rate >= MIN_RATE and rate % 1 == 0):
        raise SoundError(f"rate={rate}: the samples a second are wanted, a whole number from {MIN_RATE} on")


def _pieces(blocks: Iterable[np.ndarray], name: str) -> Iterator[np.ndarray]:
    """Sound in blocks of any length, channels, float [n, C], to what `read_pieces` yields and raises."""
    waiting: list[np.ndarray] = []
    count, loudest = 0, 0.0

    def mixed(channels: np.ndarray) -> np.ndarray:
        nonlocal loudest
        if not np.isfinite(channels).all():
            raise SoundError(f"{name} has samples that are NaN or infinite")
        waveform = channels @ channel_weights(channels)
        loudest = max(loudest, np.abs(waveform).max())
        return waveform

    for block in blocks:
        waiting.append(block)
        count += len(block)
        while count >= 2 * _PIECE:
            channels = np.concatenate(waiting)
            yield mixed(channels[:_PIECE])
            waiting, count = [channels[_PIECE:]], count - _PIECE
    if not count:
        raise SoundError(f"{name} holds no sound")
    last = [mixed(channels) for channels in np.array_split(np.concatenate(waiting), 1 + (count > _PIECE))]
    if len(last[0]) < MIN_SECONDS * SAMPLE_RATE:
        seconds = len(last[0]) / SAMPLE_RATE
        raise TooShortError(f"{name} lasts {seconds:.4g} s: a voice must last at least {MIN_SECONDS} s")
    yield from last
    if loudest < SILENCE:
        raise SilentError(f"{name} is silent: it is nowhere louder than -80 dBFS")


def raised(waveform: np.ndarray) -> np.ndarray:
    """A waveform, float [S], louder where it is so quiet that 16 bits would leave little of it.

    The model hears no difference of level.
    """
    return waveform * max(1.0, _LOUD / np.abs(waveform).max(initial=SILENCE))


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
        promised = tf.io.decode_raw(tf.strings.substr(encoded, 40, 4), tf.int32)
        whole = tf.reduce_all(promised == tf.strings.length(encoded) - _CLIP_HEADER_BYTES)
        usual = whole & (tf.strings.substr(encoded, 8, 32) == _CLIP_HEADER)
        # `decode_wav` takes six times as long, sample by sample, and is asked about what is unusual alone.
        waveform = tf.cond(usual, lambda: _samples_of_clip(encoded), lambda: _decode_wav(encoded))
    return tf.squeeze(tf.ensure_shape(waveform, [None, None]), axis=1)


def _samples_of_clip(encoded: tf.Tensor) -> tf.Tensor:
    samples = tf.io.decode_raw(tf.strings.substr(encoded, _CLIP_HEADER_BYTES, -1), tf.int16)
    return tf.cast(samples[:, None], tf.float32) / 2.0**15


def _decode_wav(encoded: tf.Tensor) -> tf.Tensor:
    waveform, rate = tf.audio.decode_wav(encoded)
    with tf.control_dependencies([tf.debugging.assert_equal(rate, SAMPLE_RATE, "a clip's sound must be 16 kHz")]):
        return tf.identity(waveform)


def decode_wav_bytes(wav_bytes: tf.Tensor) -> tf.Tensor:
    """A graph op of core TensorFlow alone: a client's WAV file, a string scalar, to float32 [S], mono, 16 kHz.

    PCM of 8, 16, 24 or 32 bits, float of 32 or 64 bits, A-law or mu-law, also as WAVE_FORMAT_EXTENSIBLE; 1 to 8
    channels (mixed as `channel_weights` says), at any rate from 8 to 48 kHz (resampled), from 0.5 s to 30 s. Chunks
    other than the format and the data are passed over, and a file written to a pipe, whose length is not known, is read
    to its end: `tf.audio.decode_wav` refuses such files, and answers others with a message that tells a client nothing.

    The loudest sample is brought to between 0.25 and 1 where it is not, since the networks hear a level that is very
    low, and floats may be of any.

    Raises `InvalidArgumentError`, whose message says what is wrong and what is allowed.
    """
    size = tf.cast(tf.strings.length(wav_bytes), tf.int64)
    # The zeros let every field be read, so that nothing but the check at the end fails.
    padded = tf.strings.join([wav_bytes, b"\0" * 32])

    def more(at: tf.Tensor, format_at: tf.Tensor, data_at: tf.Tensor) -> tf.Tensor:
        return (at + 8 <= size) & (data_at < 0)

    def next_chunk(at: tf.Tensor, format_at: tf.Tensor, data_at: tf.Tensor) -> tuple[tf.Tensor, ...]:
        name, length = tf.strings.substr(padded, at, 4), _unsigned(padded, at + 4, 4)
        return (
            at + 8 + length + length % 2,
            tf.where(name == b"fmt ", at + 8, format_at),
            tf.where(name == b"data", at + 8, data_at),
        )

    none = tf.constant(-1, tf.int64)
    _, format_at, data_at = tf.while_loop(
        more, next_chunk, [tf.constant(12, tf.int64), none, none], maximum_iterations=_MAX_CHUNKS
    )
    is_wav = (
        (tf.strings.substr(padded, 0, 4) == b"RIFF")
        & (tf.strings.substr(padded, 8, 4) == b"WAVE")
        & (format_at >= 0)
        & (data_at >= 0)
    )
    format_at, data_at = tf.maximum(format_at, 4), tf.maximum(data_at, 4)
    format_bytes, tag, channels, rate, bits, extension = (
        _unsigned(padded, format_at + at, width) for at, width in ((-4, 4), (0, 2), (2, 2), (4, 4), (14, 2), (24, 2))
    )
    # Where the extension is missing, PCM is meant.
    tag = tf.where(tag == _EXTENSIBLE, tf.where(format_bytes < 26, tf.constant(_PCM, tf.int64), extension), tag)
    matches = tf.reduce_all(tf.stack([tag, bits]) == tf.constant(_KINDS_OF_SAMPLES, tf.int64), axis=1)
    promised, present = _unsigned(padded, data_at - 4, 4), tf.maximum(size - data_at, 0)
    # A pipe's writer does not know the length, and leaves 0 or the most there is in its place. 0 is a length where
    # another chunk follows.
    follows = tf.reduce_any(tf.strings.substr(padded, data_at, 4) == _CHUNKS_BEHIND)
    follows &= _unsigned(padded, data_at + 4, 4) <= present - 8
    is_promise = ((promised > 0) | follows) & (promised < UNKNOWN_LENGTH)
    frame_bytes = tf.clip_by_value(channels, 1, MAX_CHANNELS) * tf.maximum(bits // 8, 1)
    frames = tf.where(is_promise, tf.minimum(promised, present), present) // frame_bytes
    seconds = tf.cast(frames, tf.float32) / tf.cast(tf.maximum(rate, 1), tf.float32)
    problem = _first_problem(
        (~is_wav, [f"not a WAV file: WAV of {_SAMPLES_ALLOWED} is allowed"]),
        (~tf.reduce_any(matches), ["WAV of ", bits, " bits in format ", tag, f": {_SAMPLES_ALLOWED} is allowed"]),
        (
            (channels < 1) | (channels > MAX_CHANNELS),
            ["WAV of ", channels, f" channels: 1 to {MAX_CHANNELS} are allowed"],
        ),
        (
            (rate < MIN_RATE) | (rate > MAX_RATE),
            ["WAV at a rate of ", rate, f" Hz: {MIN_RATE} to {MAX_RATE} Hz are allowed"],
        ),
        (
            is_promise & (promised > present),
            ["WAV cut short: its header promises ", promised, " bytes of sound and ", present, " are there"],
        ),
        (seconds < MIN_SECONDS, ["WAV too short: it lasts ", seconds, f" s, and {MIN_SECONDS} s is the least allowed"]),
        (seconds > MAX_SECONDS, ["WAV too long: it lasts ", seconds, f" s, and {MAX_SECONDS} s is the most allowed"]),
    )
    with tf.control_dependencies([tf.debugging.Assert(problem == b"", [problem])]):
        sound = tf.strings.substr(padded, data_at, frames * frame_bytes)
    branches = [functools.partial(_samples, sound, *kind) for kind in _KINDS_OF_SAMPLES]
    samples = tf.switch_case(tf.argmax(matches, output_type=tf.int32), branches)
    waveform = _mixed(tf.reshape(samples, [frames, -1]))
    are_finite = tf.reduce_all(tf.math.is_finite(waveform))
    with tf.control_dependencies([tf.debugging.Assert(are_finite, ["WAV with samples that are NaN or infinite"])]):
        loudest = tf.reduce_max(tf.abs(waveform))
    level = tf.clip_by_value(loudest, _LOUD, 1.0) / tf.maximum(loudest, SILENCE)
    return resample(level * waveform, tf.cast(rate, tf.int32))


def resample(waveform: tf.Tensor, rate: tf.Tensor) -> tf.Tensor:
    """A graph op of core TensorFlow alone: brings a waveform to 16 kHz.

    The spectrum of the whole waveform is cut, or filled with zeros, at the lower Nyquist frequency, above a pass band
    that a raised cosine ends. It is as exact as float32 for any ratio of rates, however odd, in time and memory that
    do not depend on the ratio, which a polyphase filter is not.

    Args:
        waveform: float32 [..., S].
        rate: int scalar, from `MIN_RATE` to `MAX_RATE` Hz.

    Returns:
        float32 [..., ceil(S * 16000 / rate)]; at 16 kHz, the waveform itself.
    """
    rate = tf.cast(rate, tf.int64)
    return tf.cond(tf.equal(rate, SAMPLE_RATE), lambda: waveform, lambda: _resample(waveform, rate))


def random_window(waveform: tf.Tensor, samples: int, seed: tf.Tensor) -> tf.Tensor:
    """float32 [S] to [samples], from a random start.

    A shorter waveform is repeated, since zeros would tell a network how long it was.
    """
    length = tf.shape(waveform)[0]
    repeats = tf.where(length < samples, samples // length + 2, 1)
    starts = repeats * length - samples + 1
    start = tf.random.stateless_uniform([], seed, maxval=starts, dtype=tf.int32)
    return tf.ensure_shape(tf.tile(waveform, [repeats])[start : start + samples], [samples])


def _require_whole_wav(file: BinaryIO, path: str) -> None:
    """FFmpeg reads what is there of a WAV and says nothing of what is not."""
    file.seek(0)
    if file.read(4) == b"RIFF":
        file.seek(12)
        while len(header := file.read(8)) == 8:
            name, promised = struct.unpack("<4sI", header)
            if name == b"data":
                present = os.path.getsize(path) - file.tell()
                if present < promised < UNKNOWN_LENGTH:
                    raise SoundError(
                        f"{path} is cut short: its header promises {promised} bytes of sound and {present} are there"
                    )
                name, behind = struct.unpack("<4sI", file.read(8).ljust(8, b"\0"))
                if not promised and name in _CHUNKS_BEHIND and behind <= present - 8:
                    raise SoundError(f"{path} holds no sound")  # FFmpeg would take what is behind for it
                break
            file.seek(promised + promised % 2, os.SEEK_CUR)
    file.seek(0)


def _decoded(file: BinaryIO, path: str) -> Iterator[np.ndarray]:
    """The channels of a sound file in blocks, float32 [n, C], 16 kHz."""
    # From an open file, since FFmpeg would take a path with a colon for an address.
    with av.open(file, metadata_errors="ignore") as container:
        if not container.streams.audio:
            raise SoundError(f"{path} holds no sound")
        stream = container.streams.audio[0]
        # Packed samples: PyAV's arrays of planar ones crash beyond seven channels.
        resampler = av.AudioResampler(format="flt", rate=SAMPLE_RATE)
        samples = 0
        for frame in itertools.chain(_frames(container, stream), [None]):
            if frame is None and not samples:
                break
            for resampled in resampler.resample(frame):
                samples += resampled.samples
                yield channels_of(resampled)
        if container.format.name == "flac" and stream.duration:
            promised, present = float(stream.duration * stream.time_base), samples / SAMPLE_RATE
            if present < promised - 0.01:
                raise SoundError(f"{path} is damaged: it promises {promised:.2f} s and {present:.2f} s can be read")


def _frames(container: av.container.InputContainer, stream: av.AudioStream) -> Iterator[av.AudioFrame]:
    for packet in container.demux(stream):
        with contextlib.suppress(av.error.InvalidDataError):  # a damaged packet is lost, and the length will tell
            yield from packet.decode()


def _resample(waveform: tf.Tensor, rate: tf.Tensor) -> tf.Tensor:
    samples = tf.shape(waveform, out_type=tf.int64)[-1]
    common = _greatest_common_divisor(rate, SAMPLE_RATE)
    step_in, step_out = rate // common, SAMPLE_RATE // common  # so many samples in take as long as so many out
    # Zeros behind the waveform, since a spectrum joins its end to its start.
    steps = -(-(samples + _JOIN_SAMPLES) // step_in)
    count_in, count_out = steps * step_in, steps * step_out
    spectrum = tf.signal.rfft(tf.pad(waveform, _last_axis(waveform, count_in - samples)), [tf.cast(count_in, tf.int32)])
    bins_in, bins_out = count_in // 2 + 1, count_out // 2 + 1
    spectrum = tf.pad(spectrum[..., :bins_out], _last_axis(spectrum, tf.maximum(bins_out - bins_in, 0)))
    nyquist = tf.cast(tf.minimum(count_in, count_out), tf.float32) / 2
    place = (tf.range(tf.cast(bins_out, tf.float32)) / nyquist - _PASSBAND) / (1 - _PASSBAND)
    gain = 0.5 + 0.5 * tf.cos(np.pi * tf.clip_by_value(place, 0.0, 1.0))
    gain *= tf.cast(count_out, tf.float32) / tf.cast(count_in, tf.float32)
    resampled = tf.signal.irfft(spectrum * tf.cast(gain, tf.complex64), [tf.cast(count_out, tf.int32)])
    return resampled[..., : -(-samples * SAMPLE_RATE // rate)]


def _last_axis(x: tf.Tensor, after: tf.Tensor) -> tf.Tensor:
    """Paddings for `tf.pad` that add so much behind the last axis."""
    return tf.concat([tf.zeros([x.shape.rank - 1, 2], tf.int64), [tf.stack([tf.zeros([], tf.int64), after])]], axis=0)


def _greatest_common_divisor(a: tf.Tensor, b: int) -> tf.Tensor:
    return tf.while_loop(lambda a, b: b > 0, lambda a, b: (b, a % b), [a, tf.constant(b, a.dtype)])[0]


def _mixed(channels: tf.Tensor) -> tf.Tensor:
    """The mix to mono, float32 [S], of channels, float32 [S, C], by `channel_weights`, in the graph."""
    mean, variances = tf.reduce_mean(channels, axis=1), tf.math.reduce_variance(channels, axis=0)
    count = tf.cast(tf.shape(channels)[1], tf.float32)
    is_lost = 2 * count**2 * tf.math.reduce_variance(mean) < tf.reduce_sum(variances)
    return tf.where(is_lost, tf.gather(channels, tf.argmax(variances), axis=1), mean)


def _samples(sound: tf.Tensor, tag: int, bits: int) -> tf.Tensor:
    """The samples in a string scalar, float32 [n]: in [-1, 1), unless they are floats."""
    if tag == _FLOAT:
        return tf.cast(tf.io.decode_raw(sound, tf.float32 if bits == 32 else tf.float64), tf.float32)
    if tag in (_A_LAW, _MU_LAW):
        return tf.gather(_expanded(tag), tf.cast(tf.io.decode_raw(sound, tf.uint8), tf.int32))
    if bits == 8:
        return tf.cast(tf.io.decode_raw(sound, tf.uint8), tf.float32) / 2.0**7 - 1.0
    if bits == 24:  # with a byte of zeros below, they have 32
        three = tf.reshape(tf.io.decode_raw(sound, tf.uint8), [-1, 3])
        return tf.cast(tf.bitcast(tf.pad(three, [[0, 0], [1, 0]]), tf.int32), tf.float32) / 2.0**31
    return tf.cast(tf.io.decode_raw(sound, tf.int16 if bits == 16 else tf.int32), tf.float32) / 2.0 ** (bits - 1)


def _expanded(tag: int) -> np.ndarray:
    """What each byte of A-law or mu-law stands for (ITU-T G.711), float32 [256]."""
    code = np.arange(256) ^ (0x55 if tag == _A_LAW else 0xFF)
    exponent, mantissa = code >> 4 & 7, code & 15
    if tag == _A_LAW:
        magnitude = 16 * mantissa + 8 + 256 * (exponent > 0) << np.maximum(exponent - 1, 0)
    else:
        magnitude = (8 * mantissa + 132 << exponent) - 132
    is_positive = (code >= 128) == (tag == _A_LAW)
    return (np.where(is_positive, magnitude, -magnitude) / 2.0**15).astype(np.float32)


def _unsigned(data: tf.Tensor, at: tf.Tensor, width: int) -> tf.Tensor:
    """A little-endian number of 2 or 4 bytes in a string scalar, as int64."""
    halves = tf.cast(tf.io.decode_raw(tf.strings.substr(data, at, width), tf.uint16), tf.int64)
    return tf.reduce_sum(halves * tf.constant([1, 2**16][: width // 2], tf.int64))


def _first_problem(*cases: tuple[tf.Tensor, list[str | tf.Tensor]]) -> tf.Tensor:
    """The message of the first case that holds, a string scalar; empty where none does."""
    problem = tf.constant(b"")
    for holds, words in reversed(cases):
        message = tf.strings.join([w if isinstance(w, str) else _as_string(w) for w in words])
        problem = tf.where(holds, message, problem)
    return problem


def _as_string(number: tf.Tensor) -> tf.Tensor:
    return tf.strings.as_string(number, shortest=number.dtype.is_floating)
