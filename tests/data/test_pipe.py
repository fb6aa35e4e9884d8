import io
import struct

import numpy as np
import pytest
import soundfile

from s2f_tf.data.audio import SoundError
from s2f_tf.data.pipe import PipedSound

WAVEFORM = np.random.default_rng(0).uniform(-0.9, 0.9, (1000, 2)).astype(np.float32)


def wav(subtype="PCM_16", rate=8000):
    file = io.BytesIO()
    soundfile.write(file, WAVEFORM, rate, format="WAV", subtype=subtype)
    return file.getvalue()


class Slow(io.BytesIO):
    """A pipe that brings a few bytes at a time."""

    def read1(self, size=-1):
        return super().read1(min(size, 7))


def read(data, *given):
    sound = PipedSound(Slow(data), "standard input", *given)
    return sound, np.concatenate([np.zeros((0, sound.channels)), *sound])


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ALAW", "ULAW"])
def test_a_wav_file_says_what_its_samples_are(subtype):
    sound, samples = read(wav(subtype))
    assert (sound.rate, sound.channels, sound.missing) == (8000, 2, 0)
    expected, _ = soundfile.read(io.BytesIO(wav(subtype)), dtype="float32")
    np.testing.assert_array_equal(samples, expected)


def test_what_stands_before_the_sound_is_passed_over_and_what_stands_behind_is_no_sound():
    data, text = wav(), b"LIST" + struct.pack("<I", 5) + b"words\0"
    _, samples = read(data[:12] + text + data[12:] + text)
    np.testing.assert_array_equal(samples, read(data)[1])


@pytest.mark.parametrize("length", [0, 0x7FFFFFFF, 0xFFFFFFFF])
def test_a_wav_file_of_unknown_length_is_read_to_its_end(length):
    data = wav().replace(b"data" + struct.pack("<I", 4000), b"data" + struct.pack("<I", length))
    sound, samples = read(data)
    assert len(samples) == 1000 and sound.missing == 0


def test_samples_alone_are_16_bits_at_the_given_rate():
    samples = np.arange(-300, 300, dtype="<i2")
    sound, heard = read(samples.tobytes(), 44_100, 3)
    assert (sound.rate, sound.channels, sound.missing) == (44_100, 3, 0)
    np.testing.assert_array_equal(heard * 32768, samples.reshape(200, 3))
    assert read(samples.tobytes(), 16_000)[1].shape == (600, 1)


def test_what_is_missing_is_told_and_the_rest_is_heard():
    sound, samples = read(wav()[:-1001])
    assert sound.missing == 1001 and len(samples) == 749
    sound, samples = read(bytes(4 * 10 + 3), 16_000, 2)
    assert sound.missing == 1 and len(samples) == 10


@pytest.mark.parametrize(
    "data, given, message",
    [
        (b"", [], "standard input is empty"),
        (b"fLaC and so on", [], "holds no WAV file: of samples alone .s16le. --rate must say the rate"),
        (wav()[:30], [], "breaks off, or is no WAV file, before its sound begins"),
        (b"RIFF\0\0\0\0AVI " + bytes(100), [], "breaks off, or is no WAV file"),
        (wav(), [16_000], "--rate=16000, but standard input is a WAV file that says 8000"),
        (wav(), [None, 1], "--channels=1, but standard input is a WAV file that says 2"),
        (wav()[:22] + b"\x09" + wav()[23:], [], "has 9 channels at 8000 Hz: 1 to 8 channels are allowed"),
        (wav()[:20] + b"\x77\x77" + wav()[22:], [], "cannot be read as sound"),
    ],
)
def test_what_is_no_sound_is_refused(data, given, message):
    with pytest.raises(SoundError, match=f"standard input.*{message}|{message}"):
        read(data, *given)
