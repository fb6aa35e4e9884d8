"""The wheel, which the source distribution makes, what it installs, and what must not be in the repository."""

import io
import json
import pathlib
import re
import subprocess
import sys
import sysconfig
import venv
import zipfile
from email.parser import Parser

import numpy as np
import pytest
import requests
import videos
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from PIL import Image
from same import assert_same_picture
from skimage import data

from benchmarks.server_process import ServerProcess

ROOT = pathlib.Path(__file__).parents[1]
PARTS = ("s2f_tf", "serving", "pipelines", "tflite")  # that the wheel holds
PIP = ("-m", "pip", "--quiet", "--disable-pip-version-check")
VOICE = ROOT / "serving" / "page" / "examples" / "1.wav"
# Says where the package is, then runs console scripts, a line of JSON each, in processes that have TensorFlow already,
# and says how they ended.
SCRIPTS = """
import json, os, runpy, signal, sys
import s2f_tf.command, keras, matplotlib.pyplot  # the first quiets TensorFlow
import s2f_tf.serving
print(s2f_tf.serving.__file__, flush=True)
for line in sys.stdin:
    stdout, stderr, *sys.argv = json.loads(line)
    child = os.fork()
    if not child:
        signal.alarm(300)  # ends it
        for descriptor, path in ((1, stdout), (2, stderr)):
            os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), descriptor)
        runpy.run_path(sys.argv[0], run_name="__main__")
        sys.exit()
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
EXTRAS = {"io", "pipelines", "teachers", "serving", "tflite", "onnx", "dev"}
EXACT = re.compile(r"(?P<name>[\w.-]+)==(?P<version>[\w.]+)(?:; sys_platform != .win32.)?")


def tracked_files():
    # The clone may belong to another user, as on a build server.
    listing = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True
    )
    return [ROOT / name for name in listing.stdout.split("\0") if name and (ROOT / name).is_file()]


@pytest.fixture(scope="module")
def wheel_path(tmp_path_factory):
    """The wheel that pip makes of the source distribution of what git tracks: whatever is in it was in both."""
    checkout, built = tmp_path_factory.mktemp("checkout"), tmp_path_factory.mktemp("built")
    for path in tracked_files():
        copy = checkout / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
    build = f"from setuptools import build_meta; build_meta.build_sdist({str(built)!r})"
    subprocess.run([sys.executable, "-c", build], cwd=checkout, check=True, timeout=120, capture_output=True)
    (source,) = built.glob("*.tar.gz")
    pip = [sys.executable, *PIP, "wheel", "--no-index", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--wheel-dir", built, source], check=True, timeout=120)
    (path,) = built.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def wheel(wheel_path):
    with zipfile.ZipFile(wheel_path) as archive:
        yield archive


def metadata(wheel):
    (name,) = [name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")]
    return Parser().parsestr(wheel.read(name).decode())


def exact_versions(environment):
    lines = (ROOT / "requirements" / f"{environment}.txt").read_text().splitlines()
    matches = [EXACT.fullmatch(line) for line in lines if line and not line.startswith("#")]
    assert all(matches), "requirements hold exact versions alone"
    return {canonicalize_name(match["name"]): match["version"] for match in matches}


def test_the_wheel_holds_all_that_people_run_and_nothing_else(wheel):
    tracked = [path.relative_to(ROOT) for path in tracked_files() if path.relative_to(ROOT).parts[0] in PARTS]
    shipped = [path for path in tracked if path.parts[:2] != ("tflite", "android")]
    expected = {str(path if path.parts[0] == "s2f_tf" else "s2f_tf" / path) for path in shipped}
    assert {"s2f_tf/model_card.md", "s2f_tf/serving/page/examples/1.wav", "s2f_tf/tflite/convert.py"} <= expected
    assert {name for name in wheel.namelist() if ".dist-info/" not in name} == expected


def test_what_has_another_name_in_the_wheel_is_never_imported_by_name():
    by_name = re.compile(r"^\s*(?:from|import) (?:serving|pipelines|tflite)\b.*", re.MULTILINE)
    shipped = [path for path in tracked_files() if path.relative_to(ROOT).parts[0] in PARTS and path.suffix == ".py"]
    found = {str(path.relative_to(ROOT)): by_name.findall(path.read_text()) for path in shipped}
    assert {name: lines for name, lines in found.items() if lines} == {}


@pytest.mark.parametrize(
    "environment, python, extras",
    [
        (["default"], "3.11", EXTRAS - {"teachers"}),
        (["default"], "3.12", EXTRAS - {"teachers"}),
        (["latest"], "3.11", EXTRAS - {"io", "teachers"}),
        (["latest"], "3.13", EXTRAS - {"teachers"}),
        (["default", "teachers"], "3.11", EXTRAS),
    ],
)
def test_ranges_contain_the_exact_versions(wheel, environment, python, extras):
    exact = {name: version for part in environment for name, version in exact_versions(part).items()}
    told = metadata(wheel)
    assert SpecifierSet(told["Requires-Python"]).contains(python)
    assert f"Programming Language :: Python :: {python}" in told.get_all("Classifier")
    assert set(told.get_all("Provides-Extra")) == EXTRAS
    for requirement in map(Requirement, told.get_all("Requires-Dist")):
        places = [{"extra": extra, "python_version": python} for extra in extras]
        if not requirement.marker or any(map(requirement.marker.evaluate, places)):
            version = exact[canonicalize_name(requirement.name)]
            assert requirement.specifier.contains(version), (requirement, version)


def test_no_file_names_a_folder_of_a_machine():
    # Checkpoints and notebooks like to hold such paths; a file that needs one makes it relative.
    home = re.compile(rb"(?<![\w.:/~$}-])/(?:home|root|Users|work)/[\w.-]+")
    found = {str(path.relative_to(ROOT)): home.findall(path.read_bytes()) for path in tracked_files()}
    assert {name: paths for name, paths in found.items() if paths} == {}


class Installed:
    """The wheel in an environment of its own, which finds what it depends on in the one that runs the tests.

    Attributes:
        bin: the folder of the console scripts.
        folder: where they run, outside of the checkout.
        ran: the names of those that were asked for.
        module: where `s2f_tf.serving` is.
    """

    def __init__(self, wheel, environment, folder):
        venv.create(environment, symlinks=True)
        folder.mkdir()
        self.bin, self.folder, self.ran = environment / "bin", folder, set()
        (packages,) = environment.glob("lib/python*/site-packages")
        # With its own .pth files: from 3.12 on, one of them brings the distutils that TensorFlow imports.
        (packages / "dependencies.pth").write_text(f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})")
        self._python(*PIP, "install", "--no-index", "--no-deps", wheel)
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "bufsize": 1}
        command = [self.bin / "python", "-c", SCRIPTS]
        self._scripts = subprocess.Popen(command, cwd=folder, **pipes)
        self.module = self._scripts.stdout.readline()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._scripts.kill()
        self._scripts.communicate()

    def _python(self, *arguments):
        subprocess.run([self.bin / "python", *arguments], cwd=self.folder, check=True, timeout=120)

    def script(self, name):
        """The path of a console script."""
        self.ran.add(name)
        return self.bin / name

    def run(self, name, *flags):
        """What a console script prints, which must succeed."""
        return self._finished(0, name, *flags)[0]

    def refusal(self, name, *flags):
        """The line with which a console script must end."""
        return self._finished(1, name, *flags)[1].splitlines()[-1]

    def _finished(self, status, name, *flags):
        said = [self.folder.with_name(pipe) for pipe in ("stdout", "stderr")]
        print(json.dumps([*map(str, (*said, self.script(name), *flags))]), file=self._scripts.stdin)
        ended = self._scripts.stdout.readline()
        output, errors = (path.read_text() for path in said)
        assert ended == f"{status}\n" and "Traceback" not in errors, errors
        return output, errors


def test_every_console_script_does_its_work_outside_of_the_checkout(wheel_path, tmp_path):
    with Installed(wheel_path, tmp_path / "environment", tmp_path / "elsewhere") as here:
        assert pathlib.Path(here.module).is_relative_to(tmp_path / "environment")
        _work(here)
        assert here.ran == {path.name for path in here.bin.glob("s2f-*")}


def _work(here):
    """All of them, one after another."""
    here.run("s2f-generate", f"--voice={VOICE}", "--faces=2", "--out=faces.png")
    assert here.run("s2f-export") == "models/s2f/1\n"
    here.run("s2f-publish", f"--workdir={ROOT}/s2f_tf/pretrained/demo", "--output=mine", "--command=none")
    _serve(here)
    assert_same_picture(*(np.asarray(Image.open(here.folder / name)) for name in ("served.png", "faces.png")))

    for person in range(5):
        words = [(0.0, videos.voice(person, videos.SECONDS))]
        videos.write(here.folder / f"videos/p{person}/a.mp4", videos.scene(person, 16), words)
    flags = ["--face_size=64", "--faces_per_clip=1", "--audio_format=wav", "--workers=1"]
    made = here.run("s2f-prepare", "--source=folder", "--input=videos", "--output=clips", *flags)
    assert re.search(r"^train +3 clips +3 speakers", made, re.MULTILINE)
    assert "5 clips drawn with seed 1" in here.run("s2f-inspect", "clips")
    assert "p0: 1 clips deleted" in here.run("s2f-exclude", "--corpus=clips", "--speaker=p0")
    # Its extra is in neither environment: 8 GB.
    assert "pip install 's2f_tf[teachers]'" in here.refusal("s2f-teach", "--corpus=clips")
    assert "pip install 's2f_tf[teachers]'" in here.refusal("s2f-networks", "--output=teachers")

    here.run("s2f-convert", "--corpus=clips", "--output=out")
    assert (here.folder / "out" / "s2f.json").exists()
    # The last three read what the others wrote, and see that nothing can be learnt from or said of so few.
    assert "10 are needed" in here.refusal("s2f-verify", "--corpus=clips", "--models=out")
    assert "fewer than a batch" in here.refusal("s2f-train", "--corpus=clips", "--preset=tiny")
    assert "4 are needed" in here.refusal("s2f-evaluate", "--corpus=clips", "--workdir=mine")


def _serve(here):
    """The server, its page, the detector of its page, and a client."""
    flags = ["--model_name=s2f", f"--model_base_path={here.folder}/models/s2f"]
    with ServerProcess(*flags, log=here.folder / "log", program=[str(here.script("s2f-serve"))]) as server:
        assert "<!doctype html>" in requests.get(f"{server.url}/", timeout=30).text
        assert requests.get(f"{server.url}/examples/1.wav", timeout=30).content == VOICE.read_bytes()
        photograph = io.BytesIO()
        Image.fromarray(data.astronaut()).save(photograph, "JPEG")
        answer = requests.post(f"{server.url}/faces", photograph.getvalue(), timeout=120)
        assert len(answer.json()["faces"]) == 1, answer.text
        here.run("s2f-client", f"--target={server.target}", f"--voice={VOICE}", "--faces=2", "--out=served.png")
