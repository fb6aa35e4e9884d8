import io
import math
import struct
import subprocess
import sys

import av
import numpy as np
import pytest
import soundfile
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from voices import speak

from s2f_tf.config import SAMPLE_RATE
from s2f_tf.data import audio
from s2f_tf.data.audio import SoundError
from s2f_tf.data.clip import CorpusError

needs_flac = pytest.mark.skipif(not audio.flac_available(), reason="tensorflow-io's FLAC op does not load here")

RATES = (8000, 11025, 16000, 22050, 24000, 32000, 44100, 44101, 48000)
resample = tf.function(audio.resample, input_signature=[tf.TensorSpec([None], tf.float32), tf.TensorSpec([], tf.int32)])
decode_wav_bytes = tf.function(audio.decode_wav_bytes, input_signature=[tf.TensorSpec([], tf.string)])


def noise(samples, channels=None, seed=0):
    shape = samples if channels is None else (samples, channels)
    return np.random.default_rng(seed).uniform(-0.5, 0.5, shape).astype(np.float32)


def tone(hertz, rate, seconds=1.0):
    return (0.5 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def sound_file(samples, rate=SAMPLE_RATE, container="WAV", subtype="PCM_16"):
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=container, subtype=subtype)
    return file.getvalue()


def decibel(x):
    return 20 * math.log10(float(np.sqrt(np.mean(np.square(x)))) + 1e-12)


# Reading files.


def encoded_by_ffmpeg(path, codec, rate, layout):
    channels = {"mono": 1, "stereo": 2}[layout]
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, layout=layout)
        frame = av.AudioFrame.from_ndarray(np.tile(tone(440, rate), (channels, 1)), "fltp", layout)
        frame.rate = rate
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


@pytest.mark.parametrize("container", ["WAV", "FLAC", "AIFF", "AU", "CAF", "W64"])
def test_16_bit_sound_at_16_khz_is_read_exactly(tmp_path, container):
    samples = np.rint(noise(SAMPLE_RATE) * 2**15).astype(np.int16)
    (tmp_path / "voice").write_bytes(sound_file(samples, container=container))
    read = audio.read_sound(tmp_path / "voice")
    assert read.dtype == np.float32
    np.testing.assert_array_equal(read, samples / 2.0**15)


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW"])
def test_any_kind_of_sample_is_read(tmp_path, subtype):
    (tmp_path / "voice.wav").write_bytes(sound_file(tone(440, SAMPLE_RATE), subtype=subtype))
    difference = audio.read_sound(str(tmp_path / "voice.wav")) - tone(440, SAMPLE_RATE)
    assert decibel(difference) < -30


@pytest.mark.parametrize(
    ("name", "codec", "rate", "layout"),
    [
        ("a.mp3", "mp3", 44100, "stereo"),
        ("a.opus", "libopus", 48000, "mono"),
        ("a.m4a", "aac", 44100, "stereo"),
        ("a.mp4", "aac", 22050, "mono"),
        ("a.mkv", "aac", 32000, "stereo"),
    ],
)
def test_compressed_sound_is_read(tmp_path, name, codec, rate, layout):
    encoded_by_ffmpeg(tmp_path / name, codec, rate, layout)
    read = audio.read_sound(str(tmp_path / name))
    assert len(read) == pytest.approx(SAMPLE_RATE, abs=0.08 * SAMPLE_RATE)
    spectrum = np.abs(np.fft.rfft(read[2000:14000]))
    assert np.argmax(spectrum) * SAMPLE_RATE / 12000 == pytest.approx(440, abs=2)
    assert read[2000:14000].max() == pytest.approx(0.5, abs=0.05)


def test_ogg_vorbis_is_read(tmp_path):
    (tmp_path / "voice.ogg").write_bytes(sound_file(tone(440, 44100), 44100, container="OGG", subtype="VORBIS"))
    read = audio.read_sound(str(tmp_path / "voice.ogg"))
    assert len(read) == pytest.approx(SAMPLE_RATE, abs=100)
    assert np.argmax(np.abs(np.fft.rfft(read[2000:14000]))) * SAMPLE_RATE / 12000 == pytest.approx(440, abs=2)


def in_channels(waveform):
    """A voice as microphones and cables leave it in channels, float32 [S, C], by name."""
    ones, nothing = np.ones_like(waveform), 0 * waveform
    return {
        "antiphase": np.stack([waveform, -waveform], axis=1),
        "antiphase, one weaker": np.stack([-0.7 * waveform, waveform], axis=1),
        "one silent": np.stack([nothing, waveform], axis=1),
        "a constant on both": np.stack([waveform, waveform], axis=1) + 0.3 * ones[:, None],
        "a constant on both, antiphase": np.stack([waveform, -waveform], axis=1) + 0.3 * ones[:, None],
        "eight": np.stack([waveform] * 8, axis=1),
        "eight, four upside down": np.stack([waveform, -waveform] * 4, axis=1),
    }


CHANNELS = list(in_channels(tone(300, SAMPLE_RATE)))


def likeness(a, b):
    """The correlation of two waveforms, float [S], without their ends."""
    return np.corrcoef(a[1000:-1000], b[1000:-1000])[0, 1]


@pytest.mark.parametrize("name", CHANNELS)
def test_channels_give_the_voice_whatever_their_phases(name, tmp_path):
    waveform = noise(2 * SAMPLE_RATE)
    wav = sound_file(in_channels(waveform)[name], subtype="FLOAT")
    (tmp_path / "voice.wav").write_bytes(wav)
    assert abs(likeness(audio.read_sound(str(tmp_path / "voice.wav")), waveform)) > 0.99
    assert abs(likeness(decode_wav_bytes(wav).numpy(), waveform)) > 0.99


@pytest.mark.parametrize("channels", [2, 5, 8])
def test_channels_that_have_nothing_to_do_with_each_other_are_averaged(channels):
    weights = audio.channel_weights(noise(SAMPLE_RATE, channels))
    np.testing.assert_allclose(weights, np.full(channels, 1 / channels))
    wav = sound_file(noise(SAMPLE_RATE, channels), subtype="FLOAT")
    np.testing.assert_allclose(likeness(decode_wav_bytes(wav), noise(SAMPLE_RATE, channels).mean(axis=1)), 1, atol=1e-5)


def test_channels_a_quarter_apart_are_averaged():
    time = np.arange(SAMPLE_RATE) / SAMPLE_RATE * 2 * np.pi * 300
    weights = audio.channel_weights(np.stack([np.sin(time), np.cos(time)], axis=1))
    np.testing.assert_array_equal(weights, [0.5, 0.5])


@pytest.mark.parametrize("channels", [1, 2, 3, 6, 8, 16])
@pytest.mark.parametrize("rate", [SAMPLE_RATE, 44100])
def test_channels_are_averaged(tmp_path, channels, rate):
    levels = np.linspace(0.2, 1.0, channels, dtype=np.float32)
    (tmp_path / "voice.wav").write_bytes(sound_file(tone(300, rate)[:, None] * levels, rate, subtype="FLOAT"))
    read = audio.read_sound(str(tmp_path / "voice.wav"))
    np.testing.assert_allclose(read[500:-500], levels.mean() * tone(300, SAMPLE_RATE)[500:-500], atol=2e-3)


@pytest.mark.parametrize("rate", [8000, 11025, 22050, 44100, 44101, 48000, 96000, 192000])
def test_half_a_second_is_enough_at_any_rate(tmp_path, rate):
    (tmp_path / "voice.wav").write_bytes(sound_file(noise(math.ceil(rate / 2)), rate))
    assert len(audio.read_sound(str(tmp_path / "voice.wav"))) == pytest.approx(SAMPLE_RATE / 2, abs=2)


def test_a_path_with_a_colon_and_tags_that_are_no_text_are_read(tmp_path):
    tag = b"LIST" + struct.pack("<I", 16) + b"INFOIART" + struct.pack("<I", 4) + b"\xe9\xff\xfe\0"
    wav = sound_file(noise(SAMPLE_RATE))
    (tmp_path / "http:voice.wav").write_bytes(wav[:12] + tag + wav[12:])
    assert len(audio.read_sound(str(tmp_path / "http:voice.wav"))) == SAMPLE_RATE


def picture():
    file = io.BytesIO()
    Image.new("RGB", (16, 16)).save(file, "PNG")
    return file.getvalue()


def with_nan(value):
    samples = noise(SAMPLE_RATE)
    samples[500] = value
    return sound_file(samples, subtype="FLOAT")


NO_SOUND_BUT_TAGS = sound_file(noise(0)) + b"LIST" + struct.pack("<I", 40_000) + b"tags" * 10_000


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"not a sound at all\n" * 500, "cannot be read as sound: Invalid data"),
        (np.random.default_rng(0).bytes(5000), "cannot be read as sound: Invalid data"),
        (picture(), "holds no sound"),
        (sound_file(noise(0)), "holds no sound"),
        (NO_SOUND_BUT_TAGS, "holds no sound"),
        (sound_file(noise(SAMPLE_RATE))[:30], "cannot be read as sound: Invalid data"),
        (sound_file(noise(7999)), r"lasts 0.4999 s: a voice must last at least 0.5 s"),
        (sound_file(noise(3200)), r"lasts 0.2 s: a voice must last at least 0.5 s"),
        (sound_file(np.zeros(SAMPLE_RATE)), "is silent: it is nowhere louder than -80 dBFS"),
        (sound_file(1e-4 * noise(SAMPLE_RATE), subtype="FLOAT"), "is silent"),
        (with_nan(np.nan), "NaN or infinite"),
        (with_nan(np.inf), "NaN or infinite"),
        (sound_file(noise(SAMPLE_RATE))[:20_000], "cut short: its header promises 32000 bytes .* 19956 are there"),
        (sound_file(noise(4 * SAMPLE_RATE), container="FLAC")[:60_000], r"it promises 4.00 s and [12].\d\d s can be"),
        (sound_file(noise(SAMPLE_RATE), container="FLAC")[:100], "(holds no sound|promises|cannot be read)"),
    ],
)
def test_what_is_no_voice_is_refused_by_name(tmp_path, content, message):
    path = tmp_path / "voice.wav"
    path.write_bytes(content)
    with pytest.raises(SoundError, match=f"voice.wav .*{message}"):
        audio.read_sound(str(path))


def test_a_missing_file_and_a_folder_are_refused_by_name(tmp_path):
    with pytest.raises(SoundError, match="absent.wav does not exist"):
        audio.read_sound(str(tmp_path / "absent.wav"))
    with pytest.raises(SoundError, match="is a folder"):
        audio.read_sound(str(tmp_path))


@pytest.mark.parametrize("length", [2**32 - 1, 2**31 - 1])
def test_a_wav_that_was_written_to_a_pipe_is_read_to_its_end(tmp_path, length):
    wav = sound_file(noise(SAMPLE_RATE))
    (tmp_path / "voice.wav").write_bytes(wav[:40] + struct.pack("<I", length) + wav[44:])
    assert len(audio.read_sound(str(tmp_path / "voice.wav"))) == SAMPLE_RATE


def test_what_makes_no_exact_promise_is_read_as_far_as_it_goes(tmp_path):
    mp3 = sound_file(tone(440, SAMPLE_RATE, 3.0), container="MP3", subtype="MPEG_LAYER_III")
    (tmp_path / "voice.mp3").write_bytes(mp3[: len(mp3) // 2])
    assert 1.0 < len(audio.read_sound(str(tmp_path / "voice.mp3"))) / SAMPLE_RATE < 2.0


# Sound of clips, in the graph.


@pytest.mark.parametrize("audio_format", [pytest.param("flac", marks=needs_flac), "wav"])
def test_a_clips_sound_is_decoded_exactly(audio_format):
    samples = np.rint(noise(5000) * 2**15).astype(np.int16)
    encoded = sound_file(samples, container=audio_format.upper())
    decoded = tf.function(lambda e: audio.decode_sound(e, audio_format))(tf.constant(encoded))
    np.testing.assert_array_equal(decoded, samples / 2.0**15)
    for damaged in (encoded[:20], b"", sound_file(noise(5000, channels=2), container=audio_format.upper())):
        with pytest.raises(tf.errors.OpError):
            audio.decode_sound(tf.constant(damaged), audio_format)


def test_a_clips_wav_file_with_more_in_its_header_is_decoded_and_one_cut_short_is_refused():
    samples = np.rint(noise(5000) * 2**15).astype(np.int16)
    encoded = sound_file(samples)
    listed = b"LIST" + struct.pack("<I", 4) + b"INFO"
    longer = encoded[:4] + struct.pack("<I", len(encoded) + len(listed) - 8) + encoded[8:36] + listed + encoded[36:]
    np.testing.assert_array_equal(audio.decode_sound(tf.constant(longer), "wav"), samples / 2.0**15)
    for damaged in (encoded[:-1000], longer[:-1000], encoded[:40]):
        with pytest.raises(tf.errors.OpError):
            audio.decode_sound(tf.constant(damaged), "wav")


def test_a_clip_at_another_rate_is_refused():
    with pytest.raises(tf.errors.InvalidArgumentError, match="must be 16 kHz"):
        audio.decode_sound(tf.constant(sound_file(noise(5000), rate=8000)), "wav")


def test_the_default_format_can_be_read_here():
    audio.require_format(audio.default_format(), "the corpus")
    assert audio.default_format() == ("flac" if audio.flac_available() else "wav")


def test_flac_where_its_op_does_not_load_is_refused_with_a_way_out(monkeypatch):
    monkeypatch.setattr(audio, "flac_available", lambda: False)
    with pytest.raises(CorpusError, match="corpus holds FLAC.*install the `io` extra.*make the corpus again with WAV"):
        audio.require_format("flac", "corpus")
    with pytest.raises(CorpusError, match="must be flac or wav, not 'mp3'"):
        audio.require_format("mp3", "corpus")


def test_nothing_is_loaded_and_nothing_started_before_it_is_needed():
    # A multi-worker strategy must be made before TensorFlow's devices are used.
    code = (
        "import sys; from s2f_tf.data import audio; assert 'tensorflow_io' not in sys.modules; audio.default_format();"
        "from tensorflow.python.eager import context; assert not context.context()._initialized"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# Resampling.


@pytest.mark.parametrize("rate", RATES)
def test_resampled_tones_are_tones(rate):
    for hertz in (0, 50, 997, 0.9 * min(rate, SAMPLE_RATE) / 2):
        resampled = resample(tone(hertz, rate, 2.0) + np.float32(hertz == 0), rate).numpy()
        wanted = tone(hertz, SAMPLE_RATE, 2.0) + np.float32(hertz == 0)
        assert len(resampled) == math.ceil(round(2.0 * rate) * SAMPLE_RATE / rate) == len(wanted)
        middle = slice(1000, -1000)
        assert decibel(resampled[middle] - wanted[middle]) < -70, (rate, hertz)


@pytest.mark.parametrize("rate", [22050, 44100, 44101, 48000])
def test_what_16_khz_cannot_hold_is_taken_away(rate):
    for hertz in (8010, 9000, rate / 2 - 100):
        assert decibel(resample(tone(hertz, rate, 2.0), rate)[1000:-1000]) - decibel(tone(hertz, rate)) < -60


@pytest.mark.parametrize("rate", [8000, 11025])
def test_no_images_appear_above_what_the_sound_holds(rate):
    hertz = 0.8 * rate / 2
    spectrum = np.abs(np.fft.rfft(resample(tone(hertz, rate, 2.0), rate)[1000:-1000] * np.hanning(30000)))
    frequency = np.fft.rfftfreq(30000, 1 / SAMPLE_RATE)
    assert 20 * np.log10(spectrum[frequency > rate / 2].max() / spectrum.max()) < -60


@pytest.mark.parametrize("rate", RATES)
def test_resampling_agrees_with_ffmpeg(tmp_path, rate):
    # Noise without what is near the Nyquist frequencies, where filters differ.
    spectrum = np.fft.rfft(noise(rate))
    spectrum[int(0.75 * min(rate, SAMPLE_RATE) / 2) :] = 0
    samples = np.fft.irfft(spectrum, rate).astype(np.float32)
    (tmp_path / "voice.wav").write_bytes(sound_file(samples, rate, subtype="FLOAT"))
    ours, reference = resample(samples, rate).numpy(), audio.read_sound(str(tmp_path / "voice.wav"))
    middle = slice(500, min(len(ours), len(reference)) - 500)
    assert decibel(ours[middle] - reference[middle]) - decibel(reference) < -60


def test_the_end_of_a_waveform_does_not_reach_its_start():
    samples = np.zeros(44100, np.float32)
    samples[-200:] = 0.5
    assert np.abs(resample(samples, 44100)[:8000]).max() < 1e-4


def test_waveforms_are_resampled_in_any_number_at_once():
    batch = noise(44100).reshape(2, 3, 7350)
    resampled = audio.resample(tf.constant(batch), 44100)
    assert resampled.shape == (2, 3, math.ceil(7350 * SAMPLE_RATE / 44100))
    np.testing.assert_allclose(resampled[1, 2], resample(batch[1, 2], 44100), atol=1e-6)


def test_at_16_khz_a_waveform_is_left_as_it_is():
    np.testing.assert_array_equal(resample(noise(999), SAMPLE_RATE), noise(999))


# A client's WAV.


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("rate", RATES)
def test_a_clients_wav_is_decoded_as_read_sound_reads_it(tmp_path, rate, channels):
    samples = np.stack([tone(200 * (i + 1), rate) for i in range(channels)], axis=1)
    wav = sound_file(samples, rate)
    (tmp_path / "voice.wav").write_bytes(wav)
    decoded, read = decode_wav_bytes(wav).numpy(), audio.read_sound(str(tmp_path / "voice.wav"))
    assert decoded.shape == (SAMPLE_RATE,)
    np.testing.assert_allclose(decoded[1000:-1000], read[1000 : SAMPLE_RATE - 1000], atol=1e-3)


SUBTYPES = ("PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ALAW", "ULAW")


@pytest.mark.parametrize("container", ["WAV", "WAVEX"])
@pytest.mark.parametrize("subtype", SUBTYPES)
def test_samples_of_every_kind_are_decoded_exactly(subtype, container):
    wav = sound_file(noise(SAMPLE_RATE, channels=3), container=container, subtype=subtype)
    samples, _ = soundfile.read(io.BytesIO(wav))
    np.testing.assert_allclose(decode_wav_bytes(wav), samples.mean(axis=1), atol=1e-7)


@pytest.mark.parametrize("law", ["ALAW", "ULAW"])
def test_each_byte_of_a_law_stands_for_what_libsndfile_takes_it_for(law):
    wav = sound_file(noise(32 * 256), subtype=law)[: -32 * 256] + bytes(range(256)) * 32
    samples, _ = soundfile.read(io.BytesIO(wav))
    np.testing.assert_array_equal(decode_wav_bytes(wav), samples)


@pytest.mark.parametrize("channels", [1, 2, 3, 6, 8])
def test_a_clients_channels_are_averaged(channels):
    levels = np.linspace(0.6, 1.0, channels)
    wav = sound_file(tone(300, SAMPLE_RATE)[:, None] * levels)
    np.testing.assert_allclose(decode_wav_bytes(wav), levels.mean() * tone(300, SAMPLE_RATE), atol=1 / 2**15)


@pytest.mark.parametrize(("level", "heard"), [(1e-30, 2500e-30), (1e-4, 0.25), (0.2, 0.25), (0.5, 0.5), (1e30, 1.0)])
def test_the_loudest_sample_is_brought_to_where_all_levels_are_alike(level, heard):
    wav = sound_file(2 * level * tone(440, SAMPLE_RATE).astype(np.float64), subtype="DOUBLE")
    assert np.abs(decode_wav_bytes(wav)).max() == pytest.approx(heard, rel=1e-3)


def wav_variant(kind):
    wav = sound_file(noise(SAMPLE_RATE))
    return {
        "extensible without its extension": wav[:20] + b"\xfe\xff" + wav[22:],
        "padded chunk": wav[:36] + b"LIST" + struct.pack("<I", 3) + b"abc\0" + wav[36:],
        "chunk before the format": wav[:12] + b"JUNK" + struct.pack("<I", 4) + b"data" + wav[12:],
        "chunk after the data": wav + b"LIST" + struct.pack("<I", 4) + b"abcd",
        "piped": wav[:40] + b"\xff" * 4 + wav[44:],
        "piped, without a length": wav[:40] + b"\0" * 4 + wav[44:],
        "a byte too many": wav[:40] + b"\0" * 4 + wav[44:] + b"\0",
    }[kind]


@pytest.mark.parametrize(
    "kind",
    [
        "extensible without its extension",
        "padded chunk",
        "chunk before the format",
        "chunk after the data",
        "piped",
        "piped, without a length",
        "a byte too many",
    ],
)
def test_every_wav_that_is_valid_is_accepted(kind):
    np.testing.assert_allclose(decode_wav_bytes(wav_variant(kind)), noise(SAMPLE_RATE), atol=1 / 2**15)


@pytest.mark.parametrize(
    ("wav", "message"),
    [
        (b"", "not a WAV file: WAV of PCM of 8, 16, 24 or 32 bits, float .*, A-law or mu-law is allowed"),
        (b"RIFF", "not a WAV file"),
        (b"hello" * 100, "not a WAV file"),
        (sound_file(noise(SAMPLE_RATE), container="FLAC"), "not a WAV file"),
        (sound_file(noise(SAMPLE_RATE))[:36], "not a WAV file"),
        (sound_file(noise(SAMPLE_RATE), subtype="IMA_ADPCM"), "WAV of 4 bits in format 17: PCM of .* is allowed"),
        (with_nan(np.nan), "WAV with samples that are NaN or infinite"),
        (with_nan(-np.inf), "WAV with samples that are NaN or infinite"),
        (sound_file(1e300 * np.ones(SAMPLE_RATE), subtype="DOUBLE"), "WAV with samples that are NaN or infinite"),
        (sound_file(noise(SAMPLE_RATE, channels=9)), "WAV of 9 channels: 1 to 8 are allowed"),
        (sound_file(noise(7999), rate=7999), "rate of 7999 Hz: 8000 to 48000 Hz are allowed"),
        (sound_file(noise(96000), rate=96000), "rate of 96000 Hz: 8000 to 48000 Hz are allowed"),
        (sound_file(noise(SAMPLE_RATE))[:20000], "cut short: its header promises 32000 bytes of sound and 19956"),
        (sound_file(noise(0)), "too short: it lasts 0 s, and 0.5 s is the least allowed"),
        (NO_SOUND_BUT_TAGS, "too short: it lasts 0 s"),
        (sound_file(noise(7999)), r"too short: it lasts 0.49\d+ s, and 0.5 s is the least allowed"),
        (sound_file(noise(30 * SAMPLE_RATE + 1)), "too long: it lasts 30.0001 s, and 30.0 s is the most allowed"),
    ],
)
def test_a_clients_wav_that_cannot_be_used_is_an_invalid_argument(wav, message):
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        decode_wav_bytes(wav)


def test_the_shortest_and_the_longest_wav_are_accepted():
    assert decode_wav_bytes(sound_file(noise(8000))).shape == (8000,)
    assert decode_wav_bytes(sound_file(noise(30 * 48000), 48000)).shape == (30 * SAMPLE_RATE,)


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(SUBTYPES),
    st.sampled_from(["WAV", "WAVEX"]),
    st.dictionaries(st.integers(0, 80), st.sampled_from([0, 1, 3, 6, 7, 127, 128, 254, 255]), max_size=5),
    st.floats(0, 2),
)
def test_damaged_wavs_are_decoded_or_invalid_arguments(subtype, container, damage, share):
    wav = bytearray(sound_file(noise(8000), container=container, subtype=subtype))
    for place, byte in damage.items():
        wav[place] = byte
    try:
        assert np.isfinite(decode_wav_bytes(bytes(wav[: round(share * len(wav))]))).all()
    except tf.errors.InvalidArgumentError as error:
        assert "WAV" in error.message


@pytest.mark.parametrize(
    ("seconds", "pieces"), [(0.5, [0.5]), (30, [30]), (30.002, [15.001] * 2), (89, [30, 29.5, 29.5]), (120, [30] * 4)]
)
def test_a_long_sound_is_read_in_pieces_that_a_model_takes(seconds, pieces, tmp_path):
    waveform = noise(round(seconds * SAMPLE_RATE))
    soundfile.write(tmp_path / "x.wav", waveform, SAMPLE_RATE, subtype="FLOAT")
    read = list(audio.read_pieces(tmp_path / "x.wav"))
    assert [len(piece) for piece in read] == [round(piece * SAMPLE_RATE) for piece in pieces]
    np.testing.assert_array_equal(np.concatenate(read), waveform)
    encoded = list(audio.encode_voice(waveform, any_sound=True, rate=SAMPLE_RATE))
    assert [weight for _, weight in encoded] == [1.0] * len(pieces)
    again = np.concatenate([soundfile.read(io.BytesIO(wav))[0] for wav, _ in encoded])
    np.testing.assert_allclose(again, waveform, atol=1 / 2**15)


@pytest.fixture(scope="module")
def voice():
    return speak(1, 10.0)


def test_pieces_count_by_their_voice_and_those_without_are_left_out(voice):
    pause = np.zeros(20 * SAMPLE_RATE, np.float32)
    hiss = 1e-3 * noise(30 * SAMPLE_RATE)
    waveform = np.concatenate([voice, pause, hiss, 1e-3 * voice, voice, voice])
    (first, one), (last, three) = audio.encode_voice(waveform, rate=SAMPLE_RATE)
    first, last = (soundfile.read(io.BytesIO(wav))[0] for wav in (first, last))
    assert len(first) == len(last) == 30 * SAMPLE_RATE
    assert one > 3 and three == pytest.approx(2 * one, rel=0.05)  # what is 60 dB quieter does not count
    np.testing.assert_allclose(first[: len(voice)], voice, atol=1 / 2**15)


def test_a_quiet_piece_is_raised_and_counts_in_full(voice):
    ((loud, one),), ((quiet, other),) = (audio.encode_voice(x, rate=SAMPLE_RATE) for x in (voice, 1e-3 * voice))
    assert one == other
    loud, quiet = (soundfile.read(io.BytesIO(wav))[0] for wav in (loud, quiet))
    np.testing.assert_allclose(quiet, loud * 0.25 / np.abs(loud).max(), atol=1 / 2**15)


def test_what_holds_no_voice_is_said_by_name(tmp_path):
    soundfile.write(tmp_path / "x.wav", tone(50, SAMPLE_RATE, 40.0), SAMPLE_RATE)
    with pytest.raises(audio.NoVoiceError, match=r"x.wav holds no voice: hum, noise or music alone \(--any_sound"):
        list(audio.encode_voice(tmp_path / "x.wav"))
    assert [weight for _, weight in audio.encode_voice(tmp_path / "x.wav", any_sound=True)] == [1.0, 1.0]
    with pytest.raises(audio.NoVoiceError, match="the waveform holds no voice"):
        list(audio.encode_voice(noise(SAMPLE_RATE), rate=SAMPLE_RATE))
    for any_sound in (False, True):
        with pytest.raises(audio.SilentError, match="the waveform is silent"):
            list(audio.encode_voice(np.zeros(70 * SAMPLE_RATE), any_sound, rate=SAMPLE_RATE))


def test_of_a_sound_that_is_silent_here_and_there_the_rest_is_taken():
    hum = np.concatenate([noise(30 * SAMPLE_RATE), np.zeros(60 * SAMPLE_RATE, np.float32)])
    assert len(list(audio.encode_voice(hum, any_sound=True, rate=SAMPLE_RATE))) == 1


# Augmentation.


def seed(i):
    return tf.constant([0, i], tf.int64)


def test_a_window_is_a_part_of_the_waveform_from_anywhere_in_it():
    waveform = np.arange(100, dtype=np.float32)
    starts = set()
    for i in range(300):
        window = audio.random_window(tf.constant(waveform), 90, seed(i)).numpy()
        np.testing.assert_array_equal(np.diff(window), 1)
        starts.add(int(window[0]))
    assert starts == set(range(11))
    np.testing.assert_array_equal(audio.random_window(tf.constant(waveform), 100, seed(0)), waveform)


@pytest.mark.parametrize("length", [1, 7, 40, 99])
def test_a_short_waveform_is_repeated(length):
    waveform = np.arange(length, dtype=np.float32)
    for i in range(20):
        window = audio.random_window(tf.constant(waveform), 100, seed(i)).numpy()
        np.testing.assert_array_equal(window, (window[0] + np.arange(100)) % length)


def test_a_window_of_nothing_is_an_error():
    with pytest.raises(tf.errors.OpError):
        audio.random_window(tf.zeros([0]), 100, seed(0))
