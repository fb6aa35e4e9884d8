"""Sound from a pipe, such as a recorder's: a WAV file, or samples alone, as far as they come."""

import io
import struct
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
import soundfile

from s2f_tf.data.audio import MAX_CHANNELS, UNKNOWN_LENGTH, SoundError

_BLOCK = 65536  # bytes that are read at once, at most
_LONGEST_FORMAT = 64  # bytes; those of the kinds of WAV that are read have 16 to 40


class PipedSound:
    """What comes through a pipe, block by block, read no faster than it is asked for, and held no longer.

    A WAV file says what its samples are: what libsndfile reads, of up to 8 channels. What is behind its sound is not
    read. Anything else is taken for samples alone, signed, of 16 bits, little-endian (s16le).

    Args:
        file: the pipe, opened for buffered reading.
        name: of it, for messages.
        rate: of samples alone, in Hz; of a WAV file, None or its own.
        channels: of samples alone, by default one; of a WAV file, None or its own.

    Attributes:
        rate: in Hz.
        channels: how many.
        missing: bytes that did not come, once all is read: of what the WAV's header promised, else of the last sample.

    Raises:
        SoundError: where it is empty, neither a WAV file nor of a given rate, or a WAV file that is not read.
    """

    def __init__(self, file: BinaryIO, name: str, rate: int | None = None, channels: int | None = None) -> None:
        self._file, self._name, self.missing = file, name, 0
        self._start = file.read(4)
        if not self._start:
            raise SoundError(f"{name} is empty")
        if self._start == b"RIFF":
            self._start = b""
            self._format, self._promised = self._header()
        elif rate is None:
            raise SoundError(f"{name} holds no WAV file: of samples alone (s16le) --rate must say the rate")
        else:
            count = channels or 1
            self._format = struct.pack("<HHIIHH", 1, count, rate, 2 * count * rate, 2 * count, 16)
            self._promised = None
        _, self.channels, self.rate, _, self._frame = struct.unpack("<HHIIH", self._format[:14])
        if not (1 <= self.channels <= MAX_CHANNELS and self.rate and self._frame):
            raise SoundError(
                f"{name} has {self.channels} channels at {self.rate} Hz: 1 to {MAX_CHANNELS} channels are allowed"
            )
        for flag, given, own in (("rate", rate, self.rate), ("channels", channels, self.channels)):
            if given not in (None, own):
                raise SoundError(f"--{flag}={given}, but {name} is a WAV file that says {own}")

    def __iter__(self) -> Iterator[np.ndarray]:
        """Blocks as they come, float32 [n, C], in [-1, 1] unless they are floats."""
        waiting, left = self._start, self._promised
        while more := self._file.read1(_BLOCK if left is None else min(_BLOCK, left)):
            left = None if left is None else left - len(more)
            waiting += more
            whole = len(waiting) - len(waiting) % self._frame
            if whole:
                yield self._decoded(waiting[:whole])
            waiting = waiting[whole:]
        self.missing = left or -len(waiting) % self._frame

    def _header(self) -> tuple[bytes, int | None]:
        """What a WAV file says of its samples, and how many bytes of them it promises; None where it cannot know."""
        kind = b""
        if self._file.read(8)[4:] == b"WAVE":
            while len(chunk := self._file.read(8)) == 8:
                name, length = struct.unpack("<4sI", chunk)
                if name == b"data" and len(kind) >= 16:
                    return kind, length if 0 < length < UNKNOWN_LENGTH else None
                if name == b"fmt " and length <= _LONGEST_FORMAT:
                    kind = self._file.read(length + length % 2)
                else:
                    self._skip(length + length % 2)
        raise SoundError(f"{self._name} breaks off, or is no WAV file, before its sound begins")

    def _skip(self, count: int) -> None:
        while count and (skipped := len(self._file.read(min(count, _BLOCK)))):
            count -= skipped

    def _decoded(self, samples: bytes) -> np.ndarray:
        chunks = b"WAVEfmt " + struct.pack("<I", len(self._format)) + self._format
        chunks += b"data" + struct.pack("<I", len(samples)) + samples
        wav = io.BytesIO(b"RIFF" + struct.pack("<I", len(chunks)) + chunks)
        try:
            return soundfile.read(wav, dtype="float32", always_2d=True)[0]
        except soundfile.LibsndfileError as error:
            raise SoundError(f"{self._name} cannot be read as sound: {error.error_string}") from error
