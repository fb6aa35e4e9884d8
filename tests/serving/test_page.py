import base64
import io
import json
import pathlib
import shutil

import numpy as np
import pytest
import requests
import soundfile
from PIL import Image
from same import assert_same_picture
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait
from skimage import data

from s2f_tf import config
from s2f_tf.config import SyntheticConfig
from s2f_tf.data import synthetic
from s2f_tf.data.voice import voiced_seconds
from serving.page_api import FOLDER

pytestmark = pytest.mark.tools("chromium", "chromedriver")
EXAMPLES = pathlib.Path(FOLDER) / "examples"
WAIT = 60


def microphone(folder, samples, rate):
    """Flags by which Chromium plays sound, float [S] or [S, channels], again and again as the microphone."""
    soundfile.write(folder / "microphone.wav", samples, rate)
    return [
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
        f"--use-file-for-fake-audio-capture={folder / 'microphone.wav'}",
    ]


def hum(seconds, rate):
    """float [S]: of the mains, 50 Hz and seven harmonics."""
    time = np.arange(round(seconds * rate)) / rate
    return 0.1 * sum(np.sin(2 * np.pi * n * 50 * time) / n for n in range(1, 9))


@pytest.fixture(scope="module")
def browser():
    """Opens Chromium windows; the flags come on top."""
    drivers = []

    def launch(*flags, size=(1280, 900)):
        options = webdriver.ChromeOptions()
        options.binary_location = shutil.which("chromium")
        for flag in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", *flags):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
        driver = webdriver.Chrome(options, webdriver.ChromeService(shutil.which("chromedriver")))
        drivers.append(driver)
        driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": size[0] < 600},
        )
        return driver

    yield launch
    for driver in drivers:
        driver.quit()


@pytest.fixture(scope="module")
def page(browser, site, tmp_path_factory):
    """Whose microphone hears a voice, in two channels that cancel each other out."""
    samples, rate = soundfile.read(EXAMPLES / "1.wav")
    samples = np.interp(np.arange(0, len(samples), rate / 48_000), np.arange(len(samples)), samples)
    driver = browser(*microphone(tmp_path_factory.mktemp("voice"), np.stack([samples, -samples], axis=1), 48_000))
    driver.get(f"{site.url}/")
    return driver


@pytest.fixture(scope="module")
def site(start_server, demo):
    """A server as `python -m serving.server` starts it."""
    return start_server("--model_name=s2f", f"--model_base_path={demo}")


def find(driver, selector):
    return driver.find_element(By.CSS_SELECTOR, selector)


def status(driver, where="status"):
    return driver.find_element(By.ID, where).text


def wait(driver, condition):
    return WebDriverWait(driver, WAIT).until(lambda _: condition())


def faces(driver):
    """The faces that are shown, uint8 [6, H, W, 3], once they are drawn."""
    wait(driver, lambda: not driver.find_elements(By.CSS_SELECTOR, ".faces.busy"))
    encoded = driver.execute_script("return [...document.querySelectorAll('.faces canvas')].map(c => c.toDataURL())")
    return np.stack([np.asarray(Image.open(io.BytesIO(base64.b64decode(e.split(",")[1])))) for e in encoded])[..., :3]


def hear(driver, example):
    find(driver, f"[data-example='examples/{example}.wav']").click()
    wait(driver, lambda: status(driver).startswith(f"Faces for example {example}"))
    return faces(driver)


def start_to_speak(driver):
    record = find(driver, "#record")
    record.click()
    wait(driver, lambda: status(driver).startswith("Listening"))
    return record


def test_it_says_of_a_model_that_is_taught_alone_that_it_is(browser, site, start_server, demo, tmp_path):
    settings = config.preset("taught")
    shutil.copytree(f"{demo}/1", tmp_path / "1")
    config.save(settings, tmp_path / "1" / "assets.extra")
    driver = browser()
    driver.get(start_server("--model_name=s2f", f"--model_base_path={tmp_path}").url + "/")
    wait(driver, lambda: find(driver, "#taught").text == settings.taught)
    assert requests.get(f"{site.url}/info", timeout=WAIT).json()["taught"] == ""


def test_speaking_brings_faces(page):
    record = start_to_speak(page)
    quiet = page.execute_script("return document.querySelector('#waveform').toDataURL()")
    wait(page, lambda: page.execute_script("return document.querySelector('#waveform').toDataURL()") != quiet)
    assert record.get_attribute("aria-pressed") == "true"
    page.execute_async_script("setTimeout(arguments[0], 1500)")
    record.click()
    wait(page, lambda: status(page).startswith("Faces for voice 1"))
    drawn = faces(page)
    assert len(drawn) == 6
    assert all(face.std() > 20 for face in drawn)  # a face is no plain square
    assert min(np.abs(drawn[0].astype(int) - other).mean() for other in drawn[1:]) > 2


def test_a_microphone_that_hums_brings_no_faces_but_where_that_is_wanted(browser, site, tmp_path):
    driver = browser(*microphone(tmp_path, hum(3, 48_000), 48_000))
    driver.get(f"{site.url}/")
    anyway = find(driver, "#anyway")
    assert not anyway.is_displayed()
    record = start_to_speak(driver)
    driver.execute_async_script("setTimeout(arguments[0], 1500)")
    record.click()
    wait(driver, lambda: status(driver) == "That held no voice: hum, noise or music alone.")
    assert anyway.is_displayed() and not driver.find_elements(By.CSS_SELECTOR, ".faces li")
    anyway.click()
    wait(driver, lambda: status(driver).startswith("Faces for voice 1"))
    assert len(faces(driver)) == 6 and not anyway.is_displayed()


def watch(driver, still=False):
    """Has a page remember what it asks of signatures and is answered, `asked`, in order of the answers, and what it
    shows as its first face, `shown`; `still` asks for less motion. Answers come by `late` milliseconds late, and faces
    not before the promise `faces` is kept."""
    motion = {"name": "prefers-reduced-motion", "value": "reduce" if still else ""}
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [motion]})
    driver.refresh()
    driver.execute_script(
        """Object.assign(window, { asked: [], shown: [], faded: 0, late: 0, faces: null, underWay: [], most: 0 });
        const { fetch } = window, { putImageData, drawImage } = CanvasRenderingContext2D.prototype;
        window.fetch = async (...what) => {
            if (!what[1]) return fetch(...what);
            const one = JSON.parse(what[1].body);
            window.underWay.push(one.signature_name);
            window.most = Math.max(window.most, window.underWay.length);
            const response = await fetch(...what);
            one.outputs = (await response.clone().json()).outputs;
            await new Promise((go) => setTimeout(go, window.late));
            if (one.signature_name === "generate_from_embedding") await window.faces;
            window.underWay.splice(window.underWay.indexOf(one.signature_name), 1);
            window.asked.push(one);
            return response;
        };
        const isFirst = ({ canvas }) => canvas === document.querySelector(".faces canvas");
        CanvasRenderingContext2D.prototype.putImageData = function (image, ...at) {
            if (isFirst(this)) window.shown.push(Array.from(image.data.filter((_, i) => i % 4 < 3)));
            putImageData.call(this, image, ...at);
        };
        CanvasRenderingContext2D.prototype.drawImage = function (...what) {
            if (isFirst(this)) window.faded++;
            drawImage.call(this, ...what);
        };"""
    )


def asked(driver, signature):
    """The inputs and outputs of what a watched page has asked of a signature and was answered."""
    return driver.execute_script("return window.asked.filter((one) => one.signature_name === arguments[0])", signature)


def drawn(driver):
    """How often a watched page was answered with faces."""
    count = "return window.asked.filter((one) => one.signature_name === 'generate_from_embedding').length"
    return driver.execute_script(count)


def test_faces_come_while_somebody_speaks_and_none_after_newer_ones(page):
    watch(page, still=True)
    page.execute_script("window.late = 700")
    record = start_to_speak(page)
    wait(page, lambda: page.execute_script("return window.shown.length") >= 3)
    assert status(page).startswith("Listening") and page.execute_script("return window.most") == 1
    assert not find(page, "#others").is_enabled()  # there is no whole voice yet
    page.execute_script("window.faces = new Promise((come) => (window.come = come))")
    wait(page, lambda: page.execute_script("return window.underWay[0]") == "generate_from_embedding")
    record.click()
    wait(page, lambda: status(page).startswith("Drawing"))
    page.execute_script("window.come()")
    wait(page, lambda: status(page).startswith("Faces for voice 1"))
    *shown, late, last = [np.ravel(one["outputs"][0]).tolist() for one in asked(page, "generate_from_embedding")]
    assert page.execute_script("return window.shown") == [*shown, last] and late not in (*shown, last)
    assert page.execute_script("return window.faded") == 0
    zs = [one["inputs"]["z"] for one in asked(page, "generate_from_embedding")]
    assert all(z == zs[0] for z in zs)  # the same people from the first to the last


def test_faces_of_who_spoke_are_those_of_the_same_sound_from_a_file(page, tmp_path):
    watch(page)
    record = start_to_speak(page)
    wait(page, lambda: drawn(page) >= 3)
    record.click()
    wait(page, lambda: status(page).startswith("Faces for voice 1"))
    for button in page.find_elements(By.CSS_SELECTOR, ".faces button"):
        button.click()
    spoken = faces(page)
    # The whole sound is longer than each piece; on a slow machine, one of these may be sent after it.
    wav = max((one["inputs"]["wav_bytes"][-1] for one in asked(page, "embed_speech")), key=lambda wav: len(wav["b64"]))
    (tmp_path / "same.wav").write_bytes(base64.b64decode(wav["b64"]))
    find(page, "#file").send_keys(str(tmp_path / "same.wav"))
    wait(page, lambda: status(page).startswith("Faces for same.wav"))
    assert np.abs(np.asarray(faces(page), int) - spoken).max() <= 1  # the sound was rounded to 16 bits once more


def test_faces_fade_along_the_way_of_embeddings(page):
    watch(page)
    hear(page, 2)
    start = np.array(asked(page, "generate_from_embedding")[0]["inputs"]["embedding"])
    page.execute_script("window.asked = []")
    for button in page.find_elements(By.CSS_SELECTOR, ".faces button"):
        button.click()
    record = start_to_speak(page)
    wait(page, lambda: drawn(page) >= 2)
    record.click()
    wait(page, lambda: status(page).startswith("Faces for voice 2"))
    ways = [np.array(one["inputs"]["embedding"])[::6] for one in asked(page, "generate_from_embedding")]
    assert page.execute_script("return window.faded") > 0
    assert len(ways[0]) > 1 and len(ways[-1]) == 1  # from another voice it is far; what is not live is drawn once
    for before, way in zip([start, *ways], ways[:-1], strict=False):
        to_end = np.arccos(np.clip([before[-1] @ way[-1], *(way @ way[-1])], -1, 1))
        np.testing.assert_allclose(to_end, np.linspace(to_end[0], 0, len(way) + 1), atol=2e-3)


def test_nothing_is_asked_while_somebody_speaks_where_that_is_switched_off(page):
    watch(page)
    find(page, "#live").click()
    record = start_to_speak(page)
    page.execute_async_script("setTimeout(arguments[0], 2500)")
    assert not page.find_elements(By.CSS_SELECTOR, ".faces li")
    record.click()
    wait(page, lambda: status(page).startswith("Faces for voice 1"))
    signatures = page.execute_script("return window.asked.map((one) => one.signature_name)")
    assert signatures == ["embed_speech", "generate_from_embedding"]
    page.refresh()
    assert not find(page, "#live").is_selected()
    find(page, "#live").click()
    page.refresh()
    assert find(page, "#live").is_selected()


LISTEN = """const [samples, done] = arguments;
    const { Live } = await import("./live.js");
    const { Model, merged } = await import("./model.js");
    const { Recording, encodeVoice, toMono, weighed } = await import("./sound.js");
    const model = await Model.connect();
    const recording = new Recording(null, { sampleRate: 16000 });
    const seen = [], sent = [];
    const dot = (one, other) => one.reduce((sum, x, i) => sum + x * other[i], 0);
    const listened = { info: model.info, hear: (pieces) => (sent.push(...pieces), model.hear(pieces)) };
    const live = new Live(listened, recording, async (embedding) => {
        const whole = merged(await model.hear(await weighed(encodeVoice(await toMono(recording.sound()), 30))));
        seen.push([seconds, dot(whole, embedding)]);
    });
    let seconds = 0;
    for (let at = 0; at + 2048 <= samples.length; at += 2048) {
        const block = Float32Array.from(samples.slice(at, at + 2048));
        recording.blocks.push([block, block]);
        seconds = (at + 2048) / 16000;
        await live.update(seconds);
    }
    done([seen, sent.map(({ wav }) => (wav.length - 44) / 32000)]);"""


def listen(driver, samples):
    """What comes of a sound at 16 kHz: (seconds, cosine to the whole until then), and the seconds of pieces sent."""
    driver.set_script_timeout(WAIT)
    return driver.execute_async_script(f"(async (...arguments) => {{ {LISTEN} }})(...arguments)", samples.tolist())


@pytest.mark.parametrize("speaker", range(3))
def test_a_voice_heard_in_pieces_agrees_with_the_whole(page, speaker):
    voice = synthetic.make_clip(SyntheticConfig(seconds=12), 16, 3, speaker, 0).waveform[: 10 * 16_000]
    voice[3 * 16_000 : 5 * 16_000] = 0
    seen, sent = listen(page, voice)
    assert 7 <= len(seen) <= 10 and all(cosine > 0.98 for seconds, cosine in seen if seconds >= 3)
    assert min(sent) >= 0.5 and max(sent) < 4.5 and sum(sent) < 2.5 * 10


def test_nothing_is_asked_through_silence_and_hum(page):
    rng = np.random.default_rng(0)
    late = [np.concatenate([np.zeros(start), hum(2, 16_000)]) for start in range(5_000, 15_000, 1_200)]
    for sound in (np.zeros(160_000), 1e-3 * rng.normal(size=160_000), hum(10, 16_000), *late):
        assert listen(page, sound) == [[], []]


def test_what_is_pressed_before_the_server_has_answered_is_not_lost(browser, site):
    driver = browser()
    slow = """const fetch = window.fetch;
        window.fetch = (...what) => new Promise((go) => setTimeout(go, 1000)).then(() => fetch(...what));"""
    driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": slow})
    driver.get(f"{site.url}/")
    assert len(hear(driver, 1)) == 6


def test_a_recording_is_given_up_for_an_example(page):
    record = start_to_speak(page)
    hear(page, 3)
    assert record.get_attribute("aria-pressed") == "false" and record.text == "Speak"


def test_other_faces_are_others_and_kept_ones_stay(page):
    before = hear(page, 1)
    keep = page.find_elements(By.CSS_SELECTOR, ".faces button")
    keep[2].click()
    find(page, "#others").click()
    wait(page, lambda: (faces(page)[0] != before[0]).any())
    after = faces(page)
    assert [bool((after[i] == before[i]).all()) for i in range(6)] == [i == 2 for i in range(6)]
    other_voice = hear(page, 2)
    assert (other_voice[2] != after[2]).any()
    again = hear(page, 1)
    assert_same_picture(again[2], after[2])  # the same voice and the same z
    keep[2].click()


def test_the_slider_walks_between_the_last_two_voices_by_keyboard(page):
    hear(page, 1)
    for button in page.find_elements(By.CSS_SELECTOR, ".faces button"):
        if button.get_attribute("aria-pressed") == "false":
            button.click()
    first = faces(page)
    second = hear(page, 2)
    slider = find(page, "#share")
    assert slider.get_attribute("value") == "100"
    slider.send_keys(Keys.HOME)
    wait(page, lambda: (faces(page) == first).all())
    for _ in range(50):
        slider.send_keys(Keys.ARROW_RIGHT)
    wait(page, lambda: (faces(page) != first).any() and (faces(page) != second).any())
    slider.send_keys(Keys.END)
    wait(page, lambda: (faces(page) == second).all())
    for button in page.find_elements(By.CSS_SELECTOR, ".faces button"):
        button.click()


def test_a_sound_file_is_heard_and_what_is_none_is_refused(page, tmp_path):
    samples, rate = soundfile.read(EXAMPLES / "3.wav")
    soundfile.write(tmp_path / "stereo.flac", np.stack([samples, samples], axis=1), rate)
    (tmp_path / "none.txt").write_text("no sound")
    soundfile.write(tmp_path / "short.wav", samples[:3000], rate)
    upload = find(page, "#file")
    upload.send_keys(str(tmp_path / "stereo.flac"))
    wait(page, lambda: status(page).startswith("Faces for stereo.flac"))
    upload.send_keys(str(tmp_path / "none.txt"))
    wait(page, lambda: status(page) == "none.txt holds no sound that this browser can read.")
    upload.send_keys(str(tmp_path / "short.wav"))
    wait(page, lambda: status(page) == "That was too short: a voice must last at least 0.5 s.")


def asked_and_answered(driver, signature):
    """What the page has asked of a signature since `window.asked` was made, inputs and outputs."""
    return driver.execute_script("return window.asked.filter((one) => one.signature_name === arguments[0])", signature)


def test_pieces_of_a_long_sound_count_by_the_voice_they_hold(page, tmp_path):
    (much, rate), (little, _) = (soundfile.read(EXAMPLES / f"{example}.wav") for example in (3, 1))
    quiet = np.zeros(round(20.05 * rate) - len(little))
    pieces = [np.tile(much, 12)[: 30 * rate], hum(20.05, rate), np.concatenate([quiet, little])]
    weights = [voiced_seconds(piece) for piece in pieces]
    assert weights[0] > 3 * weights[2] and weights[1] == 0
    sounds = {"voices": (pieces, [weights[0], weights[2]]), "hum": ([pieces[1]] * 2, [1, 1])}
    page.execute_script(
        """const fetch = window.fetch;
        window.fetch = async (...what) => {
            const response = await fetch(...what);
            const { outputs } = await response.clone().json();
            window.asked.push({ ...JSON.parse(what[1].body), outputs });
            return response;
        };"""
    )
    for name, (parts, counts) in sounds.items():
        page.execute_script("window.asked = []")
        soundfile.write(tmp_path / f"{name}.flac", np.concatenate(parts), rate)
        find(page, "#file").send_keys(str(tmp_path / f"{name}.flac"))
        if name == "hum":
            wait(page, find(page, "#anyway").is_displayed)
            assert not page.execute_script("return window.asked")
            find(page, "#anyway").click()
        wait(page, lambda name=name: status(page).startswith(f"Faces for {name}.flac"))
        heard, drawn = (asked_and_answered(page, s)[0] for s in ("embed_speech", "generate_from_embedding"))
        assert len(heard["outputs"]) == len(counts)
        expected = np.array(counts) @ np.array(heard["outputs"])
        np.testing.assert_allclose(drawn["inputs"]["embedding"][0], expected / np.linalg.norm(expected), atol=2e-3)
    page.refresh()


def test_pieces_count_by_their_weight_when_faces_are_matched(page):
    probabilities = page.execute_async_script(
        """const done = arguments[0], { fetch } = window, answers = [[0.75, 0.25], [0.25, 0.75]];
        window.fetch = async () => new Response(JSON.stringify({ outputs: answers.shift() }));
        const pieces = [{ wav: new Uint8Array(1), weight: 3 }, { wav: new Uint8Array(1), weight: 1 }];
        import("./model.js")
            .then(({ Model }) => new Model({ model_name: "s2f" }).match(pieces, ["", ""]))
            .then(done).finally(() => (window.fetch = fetch));"""
    )
    assert probabilities == [0.625, 0.375]


def test_voice_is_told_from_what_is_none_as_python_tells_it(page):
    rng = np.random.default_rng(0)
    voices = [synthetic.make_clip(SyntheticConfig(), 16, 2, speaker, 0).waveform[:16_000] for speaker in range(3)]
    white = rng.normal(size=16_000)
    pink = np.fft.irfft(np.fft.rfft(white) / np.sqrt(np.arange(8_001) + 1))
    tone = np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000)
    noisy = voices[0] + voices[0].std() * white
    pauses = np.concatenate([np.zeros(20_000), voices[1], np.zeros(40_077), 0.3 * voices[2]])
    others = [hum(1, 16_000), tone, white, pink, np.zeros(16_000), np.zeros(50)]
    sounds = [np.rint(2_000 * sound).clip(-(2**15), 2**15 - 1) for sound in (*voices, noisy, pauses, *others)]
    levels = [1, 1e-2, 1e-4]
    seconds = page.execute_async_script(
        """const [sounds, levels, done] = arguments;
        const at = (level, samples) => Float32Array.from(samples, (sample) => (level * sample) / 32768);
        import("./voice.js").then(({ voicedSeconds }) =>
            done(levels.flatMap((level) => sounds.map((samples) => voicedSeconds(at(level, samples))))));""",
        [sound.astype(int).tolist() for sound in sounds],
        levels,
    )
    expected = [voiced_seconds(level * sound / 2**15) for level in levels for sound in sounds]
    assert [one > 0 for one in seconds] == [one > 0 for one in expected] == 3 * [i < 5 for i in range(11)]
    np.testing.assert_allclose(seconds, expected, atol=0.02)


def faces_of(page, folder, sounds, rate):
    """The faces of each sound, by name, with the same z: dropped on the page one after the other."""
    hear(page, 2)
    for button in page.find_elements(By.CSS_SELECTOR, ".faces button[aria-pressed=false]"):
        button.click()
    drawn = []
    for name, sound in sounds.items():
        soundfile.write(folder / f"{name}.wav", sound, rate)
        find(page, "#file").send_keys(str(folder / f"{name}.wav"))
        wait(page, lambda name=name: status(page).startswith(f"Faces for {name}.wav"))
        drawn.append(faces(page))
    for button in page.find_elements(By.CSS_SELECTOR, ".faces button[aria-pressed=true]"):
        button.click()
    return drawn


def test_channels_that_cancel_each_other_out_are_not_lost(page, tmp_path):
    samples, rate = soundfile.read(EXAMPLES / "2.wav")
    sounds = {"mono": samples, "antiphase": np.stack([samples, -0.9 * samples], axis=1)}
    np.testing.assert_array_equal(*faces_of(page, tmp_path, sounds, rate))


@pytest.mark.parametrize("hiss", [0.0, 1e-3])  # -60 dBFS
def test_pauses_have_no_vote(page, tmp_path, hiss):
    samples, rate = soundfile.read(EXAMPLES / "2.wav")
    pause = hiss * np.random.default_rng(0).standard_normal(60 * rate)
    half = len(samples) // 2
    sounds = {
        "alone": samples,
        "before": np.append(pause, samples),
        "within": np.concatenate([samples[:half], pause, samples[half:]]),
        "after": np.append(samples, pause),
    }
    alone, *paused = np.asarray(faces_of(page, tmp_path, sounds, rate), float)
    for drawn in paused:  # 8 of 255 in the mean is a cosine of 0.95, and 25 another voice
        assert np.abs(drawn - alone).mean() < 8


@pytest.mark.parametrize(
    "weights, expected",
    [
        ([[1, 0]], [1, 0]),
        ([[1, 0], [0, 1]], [0.5, 0.5]),  # unrelated
        ([[1, 0], [0, 0]], [0.5, 0]),
        ([[1, 0], [-1, 0]], [1, 0]),
        ([[0.5, 0], [-0.6, 0.1]], [-0.6, 0.1]),
        ([[1, 0], [-1, 0], [1, 0], [-1, 0], [1, 0], [-0.9, 0]], [1, 0]),
    ],
)
def test_channels_are_mixed_but_where_they_cancel_each_other_out(page, weights, expected):
    sounds = np.random.default_rng(0).normal(size=(2, 1000)) + 5  # an offset is no sound
    mixed = page.execute_async_script(
        """const [channels, done] = arguments;
        import("./sound.js").then(({mix}) => done(Array.from(mix(channels.map((c) => Float32Array.from(c))))));""",
        (np.array(weights) @ sounds).tolist(),
    )
    np.testing.assert_allclose(mixed, np.array(expected) @ sounds, atol=1e-5)


def test_a_long_voice_is_cut_into_pieces_but_for_silent_ones(page):
    lengths = page.execute_async_script(
        """const done = arguments[0], samples = new Float32Array(100 * 8000);
        samples.fill(0.5, 0, 26 * 8000);
        samples.fill(0.5, 99 * 8000);
        import("./sound.js").then(({encodeVoice}) =>
            done(encodeVoice({samples, rate: 8000}, 30).map((wav) => wav.length)));"""
    )
    assert lengths == [
        44 + 2 * 30 * 8000,
        44 + 2 * 20 * 8000,
    ]  # the first and the last of four, of which two are silent


@pytest.mark.parametrize("decibels", [0, -60, -79])
def test_a_quiet_voice_is_raised_before_it_is_rounded(page, decibels):
    voice, _ = soundfile.read(EXAMPLES / "1.wav")
    quiet = voice / np.abs(voice).max() * 10 ** (decibels / 20)
    wav = page.execute_async_script(
        """const [samples, done] = arguments;
        const sound = {samples: Float32Array.from(samples), rate: 16000};
        import("./sound.js").then(({encodeVoice}) => done(Array.from(encodeVoice(sound, 30)[0])));""",
        quiet.tolist(),
    )
    encoded, rate = soundfile.read(io.BytesIO(bytes(wav)))
    assert rate == 16_000 and np.abs(encoded).max() >= 0.24
    assert np.corrcoef(encoded, voice)[0, 1] > 0.99999


def test_a_downloaded_face_says_that_it_is_synthetic(page, tmp_path):
    page.execute_cdp_cmd("Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path)})
    hear(page, 1)
    wait(page, lambda: find(page, ".faces a").get_attribute("href"))
    find(page, ".faces a").click()
    wait(page, (tmp_path / "synthetic-face-1.png").exists)
    with Image.open(tmp_path / "synthetic-face-1.png") as picture:
        assert picture.text["Comment"] == "synthetic face generated from speech"
        np.testing.assert_array_equal(np.asarray(picture)[..., :3], faces(page)[0])


def test_what_the_faces_are_is_said_beside_them(page):
    notice = find(page, "section:has(#faces) .notice")
    assert notice.is_displayed()
    assert notice.text.startswith("These faces are synthetic.") and "must not be used to identify" in notice.text
    assert "is not stored" in find(page, "footer").text


def test_photographs_are_ranked(page, model, tmp_path):
    hear(page, 2)
    astronaut = Image.fromarray(data.astronaut())
    astronaut.save(tmp_path / "a.jpg")
    astronaut.transpose(Image.Transpose.FLIP_LEFT_RIGHT).point(lambda v: v * 0.6).save(tmp_path / "b.png")
    find(page, "#photographs").send_keys(f"{tmp_path}/a.jpg\n{tmp_path}/b.png")
    wait(page, lambda: status(page, "photographs-status").startswith("How well each face suits example 2"))
    shown = [float(text.text.split()[0]) for text in page.find_elements(By.CSS_SELECTOR, ".ranking span")]
    assert len(shown) == 2 and shown == sorted(shown, reverse=True) and sum(shown) == pytest.approx(100, abs=0.2)
    likely = model.match(EXAMPLES / "2.wav", [tmp_path / "a.jpg", tmp_path / "b.png"])  # as a program has it
    assert shown == pytest.approx(sorted(100 * likely, reverse=True), abs=1)
    first = page.find_element(By.CSS_SELECTOR, ".ranking img").get_attribute("alt")
    assert first == f"Face 1, from {('a.jpg', 'b.png')[likely.argmax()]}"


def test_everything_is_reached_by_keyboard(page):
    page.execute_script("document.activeElement.blur(); window.scrollTo(0, 0)")
    reached = set()
    for _ in range(40):
        webdriver.ActionChains(page).send_keys(Keys.TAB).perform()
        focused = page.switch_to.active_element
        reached.add(focused.get_attribute("id") or focused.get_attribute("aria-label") or focused.text)
    assert {
        "record",
        "live",
        "file",
        "Example 1",
        "others",
        "share",
        "photographs",
        "Keep face 1",
        "Download face 6",
    } <= reached


def test_nothing_is_asked_of_anyone_else_and_nothing_is_complained_of(page, site):
    requests = [json.loads(entry["message"])["message"] for entry in page.get_log("performance")]
    urls = [r["params"]["request"]["url"] for r in requests if r["method"] == "Network.requestWillBeSent"]
    assert urls and all(url.startswith((site.url, "data:", "blob:")) for url in urls), urls
    complaints = [entry["message"] for entry in page.get_log("browser") if entry["level"] == "SEVERE"]
    assert not complaints


@pytest.mark.parametrize(
    "script, message",
    [
        (
            "navigator.mediaDevices.getUserMedia = async () => { throw new DOMException('', 'NotAllowedError') }",
            "The microphone is not allowed here",
        ),
        (
            "navigator.mediaDevices.getUserMedia = async () => { throw new DOMException('', 'NotFoundError') }",
            "No microphone was found",
        ),
        (
            "Object.defineProperty(navigator, 'mediaDevices', {value: undefined})",
            "This browser gives the page no microphone: that takes https",
        ),
    ],
    ids=["refused", "none", "not secure"],
)
def test_without_a_microphone_the_page_says_so_and_the_rest_works(browser, site, script, message):
    driver = browser()
    driver.get(f"{site.url}/")
    driver.execute_script(script)
    find(driver, "#record").click()
    wait(driver, lambda: status(driver).startswith(message))
    assert find(driver, "#status").get_attribute("class") == "error"
    assert len(hear(driver, 1)) == 6


@pytest.mark.parametrize("width", [360, 390, 768, 1280])
def test_the_page_fits_its_screen(page, width):
    page.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": 844, "deviceScaleFactor": 1, "mobile": width < 600},
    )
    assert page.execute_script("return document.documentElement.scrollWidth") <= width
    assert all(face.size["width"] >= 44 for face in page.find_elements(By.CSS_SELECTOR, ".faces button"))
