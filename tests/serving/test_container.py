"""The image, and what compose runs in it, where no container engine is: the Dockerfile's instructions are followed in
overlays of this machine's root, whose packages stand for those that pip would fetch. That takes Linux and root."""

import itertools
import json
import os
import pathlib
import re
import shlex
import shutil
import string
import subprocess
import sys
import sysconfig
import threading

import pytest
import yaml

ROOT = pathlib.Path(__file__).parents[2]
DEPLOY = ROOT / "serving" / "deploy"

TOOLS = ("unshare", "nsenter", "setpriv", "chroot", "ip")
NAMESPACES = ("unshare", "--mount", "--net", "--propagation=private")
# $0 is a folder, which gets the root of each stage; $PACKAGES is where those are that stand for pip's.
MOUNTS = """
set -e
mount -t tmpfs tmpfs "$0"
mkdir "$0/volume"
for stage in "$@"; do
    cd "$0" && mkdir $stage && cd $stage && mkdir upper work root
    mount -t overlay overlay -o lowerdir=/,upperdir=$PWD/upper,workdir=$PWD/work root
    mkdir root/packages root/config && mount --bind "$PACKAGES" root/packages
    for place in proc dev; do mount --rbind /$place root/$place; done
done
ip link set lo up
"""
# In a directory, and with the home that the user has: container engines see to both.
SET_PLACE = 'cd "$0"; HOME=$(getent passwd "$(id -u)" | cut -d: -f6); export HOME; exec "$@"'

DRAW = """
import base64, io, json, sys, urllib.request, wave
import numpy as np
sound = io.BytesIO()
with wave.open(sound, "wb") as file:
    file.setparams((1, 2, 16000, 0, "NONE", ""))
    file.writeframes((3000 * np.sin(np.arange(16000) / 10)).astype("<i2").tobytes())
instance = {"wav_bytes": {"b64": base64.b64encode(sound.getvalue()).decode()}, "seed": 1}
body = json.dumps({"instances": [instance]}).encode()
answer = json.load(urllib.request.urlopen("http://localhost:8501/v1/models/s2f:predict", body, 60))
sys.stdout.write(base64.b64decode(answer["predictions"][0]["png_bytes"]["b64"])[1:4].decode())
"""


def namespaces_and_overlays():
    if not hasattr(os, "geteuid") or os.geteuid() != 0 or not all(map(shutil.which, TOOLS)):
        return False
    environment = {**os.environ, "PACKAGES": sysconfig.get_path("purelib")}
    command = [*NAMESPACES, "sh", "-c", MOUNTS, "/mnt", "stage"]
    return subprocess.run(command, capture_output=True, env=environment).returncode == 0


pytestmark = [
    pytest.mark.tools(*TOOLS),
    pytest.mark.skipif(not namespaces_and_overlays(), reason="no namespaces or no overlays can be made here"),
]


class Machine:
    """Namespaces in which `folder` holds a root for each stage, and ports are free."""

    def __init__(self, folder, stages):
        self.folder = folder
        script = f"{MOUNTS}\necho; exec sleep infinity"
        environment = {**os.environ, "PACKAGES": sysconfig.get_path("purelib")}
        self.keeper = subprocess.Popen(
            [*NAMESPACES, "sh", "-c", script, folder, *stages], stdout=subprocess.PIPE, env=environment
        )
        assert self.keeper.stdout.readline()

    def inside(self, *command):
        return ["nsenter", "--mount", "--net", f"--target={self.keeper.pid}", "--", *map(str, command)]

    def run(self, *command):
        """Its output; it must succeed."""
        result = subprocess.run(self.inside(*command), capture_output=True, text=True)
        assert result.returncode == 0, result.stdout + result.stderr
        return result.stdout


class Stage:
    """What the instructions after one FROM make."""

    def __init__(self, machine, name):
        self.machine, self.root = machine, f"{machine.folder}/{name}/root"
        self.cwd, self.user = "/", "0:0"
        self.said = {}  # by instruction: what changes nothing before a container runs
        self.env = {
            "PATH": f"{pathlib.Path(sys.executable).parent}:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "PYTHONPATH": "/packages",
            "PIP_NO_DEPS": "1",
            "PIP_NO_INDEX": "1",
            "PIP_NO_BUILD_ISOLATION": "0",  # pip's way to say yes to that
        }
        open_to_all = [f"{self.root}{folder}" for folder in list(pathlib.Path(sys.base_prefix).parents)[:-1]]
        machine.run("chmod", "a+x", self.root, *open_to_all)

    def command(self, *command):
        """What runs it, as the stage's user, who can never become another."""
        uid, gid = self.user.split(":")
        bound = [] if uid == "0" else ["--inh-caps=-all", "--bounding-set=-all", "--no-new-privs"]
        user = ["setpriv", f"--reuid={uid}", f"--regid={gid}", "--clear-groups", *bound]
        variables = [f"{name}={value}" for name, value in self.env.items()]
        placed = ["sh", "-c", SET_PLACE, self.cwd, *command]
        return self.machine.inside("chroot", self.root, *user, "env", "-i", *variables, *placed)

    def run(self, *command):
        """Its output; it must succeed."""
        result = subprocess.run(self.command(*command), capture_output=True, text=True)
        assert result.returncode == 0, result.stdout + result.stderr
        return result.stdout

    def follow(self, instruction, argument, context, stages):
        match instruction:
            case "RUN":
                self.run("sh", "-c", argument)
            case "COPY":
                *sources, place = argument.split()
                if sources[0].startswith("--from="):
                    context = stages[sources.pop(0).removeprefix("--from=")].root
                place = self.root + os.path.join(self.cwd, place)
                self.machine.run("mkdir", "--parents", os.path.dirname(place))
                into = [] if place.endswith("/") else ["--no-target-directory"]
                self.machine.run("cp", "--archive", *into, *(f"{context}/{source}" for source in sources), place)
            case "WORKDIR":
                self.machine.run("mkdir", "--parents", self.root + argument)
                self.cwd = argument
            case "USER":
                self.user = argument
            case "ENV":
                for name, value in (setting.split("=", 1) for setting in shlex.split(argument)):
                    self.env[name] = string.Template(value).substitute(self.env)
            case _:
                self.said[instruction] = argument


def copy_context(folder):
    """What `docker build` would be sent: .dockerignore ignores everything, then not some, then some of those."""
    lines = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
    for line in lines:
        if line.startswith("!"):
            source, place = ROOT / line[1:], folder / line[1:]
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copytree(source, place) if source.is_dir() else shutil.copy(source, place)
    for pattern in (line for line in lines if line[:1] not in "#!*" or line.startswith("**")):
        for path in folder.glob(pattern):
            shutil.rmtree(path) if path.is_dir() else path.unlink()


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    """The last stage of the Dockerfile, its root as compose has it: not to be written to, but for /tmp."""
    context = tmp_path_factory.mktemp("context")
    copy_context(context)
    text = re.sub(r"^#.*\n", "", (DEPLOY / "Dockerfile").read_text(), flags=re.M).replace("\\\n", " ")
    instructions = [line.split(maxsplit=1) for line in text.splitlines() if line.strip()]
    names = [(argument.split(" AS ") + ["image"])[1] for name, argument in instructions if name == "FROM"]
    machine = Machine(tmp_path_factory.mktemp("machine"), names)
    stages = {}
    for name, argument in instructions:
        if name == "FROM":
            stage = stages[names[len(stages)]] = Stage(machine, names[len(stages)])
        else:
            stage.follow(name, argument, context, stages)
    # As Docker does with a volume that is new.
    machine.run("chown", f"--reference={stage.root}/models", f"{machine.folder}/volume")
    machine.run("mount", "--bind", f"{machine.folder}/volume", f"{stage.root}/models")
    machine.run("mount", "--bind", DEPLOY, f"{stage.root}/config")
    machine.run("mount", "-o", "remount,ro", stage.root)
    machine.run("mount", "-t", "tmpfs", "tmpfs", f"{stage.root}/tmp")
    yield stage
    machine.keeper.kill()
    machine.keeper.wait()


@pytest.fixture(scope="module")
def services():
    return yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]


@pytest.fixture(scope="module")
def page(image, services):
    """The page's server, in the order in which compose starts it."""
    assert services["page"]["depends_on"] == {"model": {"condition": "service_completed_successfully"}}
    image.run(*services["model"]["entrypoint"])
    command = [*json.loads(image.said["ENTRYPOINT"]), *services["page"]["command"]]
    process = subprocess.Popen(image.command(*command), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    timer = threading.Timer(240, process.kill)  # its output ends then
    timer.start()
    said = list(itertools.takewhile(lambda line: not line.startswith("Serving "), process.stdout))
    timer.cancel()
    assert process.poll() is None, "".join(said)
    yield process
    process.kill()
    process.communicate()


def test_the_package_is_the_images_and_nothing_else_can_be_written(image):
    assert image.run("python", "-c", "import s2f_tf; print(s2f_tf.__file__)").startswith("/opt/s2f/")
    assert image.run("id", "-u") == "10001\n"
    for place in ("/", "/opt/s2f", "~", "/config"):
        image.run("sh", "-c", f"! touch {place}/file")
    image.run("mktemp")


def test_compose_serves_from_the_repository_alone(image, services, page):
    """By the image's user, on a root that is read-only, to the health checks of the image and of compose."""
    image.run(*json.loads(re.search(r"\[.*\]", image.said["HEALTHCHECK"])[0]))
    image.run(*services["serving"]["healthcheck"]["test"][1:])
    assert image.run("python", "-c", DRAW) == "PNG"


def test_a_model_that_is_there_stays(image, services, page):
    image.run("touch", "/models/s2f/mine")
    image.run(*services["model"]["entrypoint"])
    assert image.run("sh", "-c", "ls /models /models/s2f").split() == ["/models:", "s2f", "/models/s2f:", "1", "mine"]


def test_a_container_that_is_stopped_ends_well(page):
    page.terminate()
    page.communicate(timeout=60)
    assert page.returncode == 0
