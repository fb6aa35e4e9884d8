"""Which Python an environment is made of, told by programs that stand for the Pythons of a machine."""

import pathlib
import shutil
import subprocess

import pytest

INSTALL = pathlib.Path(__file__).parents[2] / "requirements" / "install.sh"
# Tells its version, if it can be asked; makes an environment whose Python is itself; and notes what pip shall do.
PYTHON = """#!/bin/sh
case "$*" in
    -c*) {tell} ;;
    "-m venv --clear "*) mkdir -p "$4/bin" && cp "$0" "$4/bin/python" && echo "made with ${{0##*/}}" >> "$4/log" ;;
    "-m pip "*) echo "$*" >> "${{0%/bin/*}}/log" ;;
esac
"""


@pytest.fixture
def install(tmp_path):
    """Makes the default environment where Pythons, by their names, are of these versions; None does not run."""
    folder = tmp_path / "path"

    def run(pythons, choice=""):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for tool in ("cat", "cp", "dirname", "mkdir", "touch"):
            (folder / tool).symlink_to(shutil.which(tool))
        for name, version in pythons.items():
            (folder / name).write_text(PYTHON.format(tell=f"echo {version}" if version else "exit 127"))
            (folder / name).chmod(0o755)
        command = [INSTALL, tmp_path / "env", "default"]
        environment = {"PATH": str(folder), "PYTHON": choice}
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)

    return run


@pytest.mark.parametrize(
    "pythons, taken, requirements",
    [
        ({"python3.11": "3.11", "python3.12": "3.12", "python3.13": "3.13"}, "python3.12", "default"),
        ({"python3.11": "3.11", "python3.12": None}, "python3.11", "default"),
        ({"python3.11": "3.11", "python3.13": "3.13"}, "python3.11", "default"),
        ({"python3.13": "3.13", "python3": "3.13"}, "python3.13", "latest"),
        ({"python3": "3.12"}, "python3", "default"),
    ],
)
def test_the_first_python_that_will_do_is_taken_and_named(install, tmp_path, pythons, taken, requirements):
    result = install(pythons)
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith(f"Python {pythons[taken]} ({taken}): ")
    made, _, packages = (tmp_path / "env" / "log").read_text().splitlines()
    assert made == f"made with {taken}" and packages.endswith(f"/{requirements}.txt")
    assert (tmp_path / "env" / ".installed").exists()


def test_a_python_may_be_chosen(install, tmp_path):
    assert install({"python3.12": "3.12", "mine": "3.11"}, choice="mine").stdout.startswith("Python 3.11 (mine)")
    assert install({"python3.12": "3.12", "old": "3.9"}, choice="old").stderr.startswith("error: of old, none is")


def test_an_interrupted_installation_goes_on_with_its_python(install, tmp_path):
    install({"python3.11": "3.11"})
    (tmp_path / "env" / ".installed").unlink()
    assert install({"python3.11": "3.11", "python3.12": "3.12"}).stdout.startswith("Python 3.11 (")
    made_once = (tmp_path / "env" / "log").read_text().splitlines()
    assert made_once.count("made with python3.11") == 1 and made_once[-1].endswith("/default.txt")
    assert (tmp_path / "env" / ".installed").exists()


@pytest.mark.parametrize("pythons", [{}, {"python3": "3.10"}, {"python3": "3.14"}, {"python3.12": None}])
def test_where_none_will_do_it_says_what_to_install(install, tmp_path, pythons):
    result = install(pythons)
    assert result.returncode == 1 and not result.stdout and not (tmp_path / "env").exists()
    for system in ("Debian, Ubuntu", "Fedora", "macOS"):
        assert f"  {system} " in result.stderr
