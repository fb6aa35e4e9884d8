import av
import numpy as np
import pytest
import videos

from pipelines import sound, utterances
from pipelines.video import LONGEST_SIDE, Pictures
from s2f_tf.config import SAMPLE_RATE


def grey(level):
    return np.full((48, 64, 3), level, np.uint8)


def levels(path, times):
    """The brightness of what is to be seen at these times after the file begins."""
    with Pictures(str(path)) as pictures:
        found = pictures.at([pictures.start + time for time in times])
        return [(time - pictures.start, round(float(picture.mean()))) for time, picture in found]


def alike(a, b):
    """Mean difference of two pictures in levels."""
    return np.abs(a.astype(int) - b.astype(int)).mean()


@pytest.mark.parametrize("suffix", videos.CODECS)
def test_every_container_gives_the_picture_and_the_sound_of_a_time(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    # From 0.6 s on it is bright, and a tone sounds: what is seen and what is heard must change together.
    pictures = [videos.portrait() // (1 if index >= 12 else 4) for index in range(24)]
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(1.2 * SAMPLE_RATE) / SAMPLE_RATE)
    tone[: round(0.6 * SAMPLE_RATE)] = 0
    videos.write(path, pictures, [(0.0, tone)], rate=20)
    with Pictures(str(path)) as opened:
        ((_, before), (_, after)) = opened.at([opened.start + 0.53, opened.start + 0.67])
        assert after.mean() > 2.5 * before.mean()
        (track,) = sound.tracks(str(path))
        heard = [(time, piece) for time, piece in sound.pieces(str(path), track)]
        waveform = np.concatenate([piece for _, piece in heard])
        loud = np.flatnonzero(np.abs(waveform) > 0.2)[0] / SAMPLE_RATE
        assert heard[0][0] + loud - opened.start == pytest.approx(0.6, abs=0.05)


def test_a_picture_is_shown_until_the_next_whatever_the_rate(tmp_path):
    path = tmp_path / "variable.mkv"
    times = [0.0, 0.04, 0.5, 2.0, 2.04, 2.9]
    videos.write(path, [grey(level) for level in (20, 60, 100, 140, 180, 220)], times=times)
    wanted = (0.02, 0.3, 1.99, 2.01, 2.5, 2.95)
    found = levels(path, wanted)
    assert [time for time, _ in found] == pytest.approx(times, abs=0.002)
    assert [level for _, level in found] == pytest.approx([20, 60, 100, 140, 180, 220], abs=4)
    assert levels(path, [6.0]) == []  # long after the last one
    with Pictures(str(path)) as pictures:
        assert pictures.at([pictures.start - 1]) == []


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi", ".mpg", ".flv"])
def test_seeking_gives_what_decoding_in_order_gives(tmp_path, suffix):
    path = tmp_path / f"long{suffix}"
    videos.write(path, [grey(2 * (index // 5)) for index in range(600)], rate=25)
    times = np.arange(0.1, 24, 0.2)
    in_order = dict(zip(times.round(1), levels(path, times), strict=True))
    jumps = [0.1, 7.1, 7.3, 16.1, 23.9]
    # MPEG stamps only some pictures, and FFmpeg may be one off when it begins in their midst.
    for (time, level), (exact, known) in zip(levels(path, jumps), [in_order[time] for time in jumps], strict=True):
        assert time == pytest.approx(exact, abs=0.041) and level == pytest.approx(known, abs=2)
    with Pictures(str(path)) as pictures:
        back = [pictures.at([pictures.start + time])[0] for time in (20.1, 3.1)]
    assert [picture.mean() for _, picture in back] == pytest.approx([in_order[20.1][1], in_order[3.1][1]], abs=2)


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_a_phone_that_was_turned_gives_an_upright_picture(tmp_path, degrees):
    path = tmp_path / "turned.mp4"
    videos.write(path, videos.scene(1, 8), degrees=degrees)
    with Pictures(str(path)) as pictures:
        ((_, picture),) = pictures.at([0.35])
    assert alike(picture, videos.scene(1, 4)[3]) < 5


def test_pixels_are_made_square_and_large_pictures_smaller(tmp_path):
    wide = tmp_path / "wide.mkv"
    videos.write(wide, [videos.portrait(width=160)] * 3, aspect=2)
    with Pictures(str(wide)) as pictures:
        assert pictures.at([0.0])[0][1].shape == (240, 320, 3)
    large = tmp_path / "large.mp4"
    videos.write(large, [np.zeros((1600, 2560, 3), np.uint8)] * 2)
    with Pictures(str(large)) as pictures:
        assert pictures.at([0.0])[0][1].shape == (1200, LONGEST_SIDE, 3)


def test_a_file_without_moving_pictures_is_told(tmp_path):
    path = tmp_path / "sound.mkv"
    videos.write(path, None, [(0.0, videos.voice(1, 1.0))])
    with pytest.raises(LookupError):
        Pictures(str(path))


def test_damage_in_the_midst_loses_what_is_damaged(tmp_path):
    path = tmp_path / "damaged.mkv"
    videos.write(path, videos.scene(1, 80), [(0.0, videos.voice(1, 8.0))])
    data = bytearray(path.read_bytes())
    middle = slice(len(data) // 2, len(data) // 2 + len(data) // 20)
    data[middle] = bytes(len(range(*middle.indices(len(data)))))
    path.write_bytes(data)
    assert len(levels(path, [0.5, 1.5, 7.0, 7.5])) == 4
    (track,) = sound.tracks(str(path))
    pieces = list(sound.pieces(str(path), track))
    assert pieces[-1][0] + len(pieces[-1][1]) / SAMPLE_RATE > 7.5  # what comes behind the damage keeps its time
    assert sum(len(piece) for _, piece in pieces) > 6 * SAMPLE_RATE


def test_sound_that_begins_late_or_has_a_hole_keeps_its_time(tmp_path):
    path = tmp_path / "late.mkv"
    words = videos.voice(1, 1.5)
    videos.write(path, videos.scene(1, 60), [(1.5, words)])
    (track,) = sound.tracks(str(path))
    assert track.start == pytest.approx(1.5, abs=0.05)
    (utterance,) = utterances.Listener(1.0, 20.0).utterances(sound.pieces(str(path), track))
    assert utterance.start == pytest.approx(1.5, abs=0.1)
    within = list(sound.pieces(str(path), track, 2.0, 2.5))
    assert within[0][0] <= 2.0 and within[-1][0] + len(within[-1][1]) / SAMPLE_RATE >= 2.45
    assert within[-1][0] < 2.6
    waveform = np.concatenate([piece for _, piece in within])
    reference = np.concatenate([piece for time, piece in sound.pieces(str(path), track)])
    at = round((within[0][0] - track.start) * SAMPLE_RATE)
    cut = reference[at : at + len(waveform)]
    assert np.corrcoef(waveform[4000:6000], cut[4000:6000])[0, 1] > 0.9  # opus leans on what came before


def test_the_track_marked_as_default_comes_first(tmp_path):
    path = tmp_path / "tracks.mkv"
    videos.write(path, videos.scene(1, 10), [(0.0, videos.voice(1, 1.0)), (0.0, videos.voice(2, 1.0))], default=1)
    assert [track.index for track in sound.tracks(str(path))] == [2, 1]


def stereo(path, left, right):
    """A video without pictures, of PCM sound in two channels."""
    with av.open(str(path), "w") as container:
        track = container.add_stream("pcm_f32le", rate=SAMPLE_RATE, layout="stereo")
        for at in range(0, len(left), 1000):
            both = np.stack([left[at : at + 1000], right[at : at + 1000]], axis=1)
            frame = av.AudioFrame.from_ndarray(both.reshape(1, -1).astype(np.float32), "flt", "stereo")
            frame.sample_rate, frame.pts = SAMPLE_RATE, at
            container.mux(track.encode(frame))
        container.mux(track.encode(None))


def mixed(path):
    (track,) = sound.tracks(str(path))
    return np.concatenate([piece for _, piece in sound.pieces(str(path), track)])


def test_channels_give_the_voice_whatever_their_phases(tmp_path):
    voice = videos.voice(1, 3.0)
    for name, left, right in (
        ("opposite", voice, -voice),
        ("one", 0 * voice, voice),
        ("constant", voice + 0.3, voice + 0.3),
    ):
        stereo(tmp_path / f"{name}.mkv", left, right)
        heard = mixed(tmp_path / f"{name}.mkv")
        assert np.corrcoef(heard, voice)[0, 1] > 0.99
    (utterance,) = utterances.Listener(1.0, 20.0).utterances([(0.0, mixed(tmp_path / "opposite.mkv"))])
    assert utterance.seconds > 2.5


def test_one_mix_goes_over_into_the_next_without_a_click(tmp_path):
    time = np.arange(25 * SAMPLE_RATE) / SAMPLE_RATE
    tone = np.sin(2 * np.pi * 101.31 * time).astype(np.float32)
    right = 0.5 * tone * np.clip(10 - time, -1, 1)  # which turns upside down
    stereo(tmp_path / "a.mkv", tone, right)
    heard = mixed(tmp_path / "a.mkv")
    assert len(heard) == len(tone) and np.abs(np.diff(heard)).max() < 0.05
    np.testing.assert_allclose(heard[:SAMPLE_RATE], 0.75 * tone[:SAMPLE_RATE], atol=1e-4)
    np.testing.assert_allclose(heard[-SAMPLE_RATE:], tone[-SAMPLE_RATE:], atol=1e-4)
