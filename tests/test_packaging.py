"""The wheel, the versions that it asks for, and what must not be in the repository."""

import pathlib
import re
import subprocess
import sys
import zipfile
from email.parser import Parser

import pytest
from packaging.requirements import Requirement

ROOT = pathlib.Path(__file__).parents[1]
EXACT = re.compile(r"(?P<name>[\w.-]+)==(?P<version>[\w.]+)")


def tracked_files():
    # The clone may belong to another user, as on a build server.
    listing = subprocess.run(
        ["git", "-c", "safe.directory=*", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True, text=True
    )
    return [ROOT / name for name in listing.stdout.split("\0") if name and (ROOT / name).is_file()]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel of a copy of what git tracks, so that the build leaves nothing in the checkout."""
    source = tmp_path_factory.mktemp("source")
    for path in tracked_files():
        copy = source / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-index"]
    subprocess.run(
        [*command, "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), str(source)],
        check=True,
        timeout=120,
    )
    (path,) = folder.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        yield archive


def metadata(wheel):
    (name,) = [name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")]
    return Parser().parsestr(wheel.read(name).decode())


def exact_versions(environment):
    lines = (ROOT / "requirements" / f"{environment}.txt").read_text().splitlines()
    matches = [EXACT.fullmatch(line) for line in lines if line and not line.startswith("#")]
    assert all(matches), "requirements hold exact versions alone"
    return {match["name"]: match["version"] for match in matches}


def test_the_wheel_holds_the_library_and_nothing_else(wheel):
    tops = {name.split("/")[0] for name in wheel.namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"s2f_tf"}


def test_the_wheel_holds_every_file_of_the_library(wheel):
    library = {str(path.relative_to(ROOT)) for path in tracked_files() if path.is_relative_to(ROOT / "s2f_tf")}
    assert "s2f_tf/model_card.md" in library
    assert library <= set(wheel.namelist())


def test_console_scripts_name_functions_that_exist(wheel):
    (name,) = [name for name in wheel.namelist() if name.endswith(".dist-info/entry_points.txt")]
    scripts = re.findall(r"^(s2f-\w+) = s2f_tf\.(\w+):run$", wheel.read(name).decode(), re.MULTILINE)
    assert [script for script, _ in scripts] == [f"s2f-{command}" for _, command in scripts]
    for _, command in scripts:
        assert "\ndef run() -> None:" in (ROOT / "s2f_tf" / f"{command}.py").read_text()


@pytest.mark.parametrize("environment", ["default", "latest"])
def test_ranges_contain_the_exact_versions(wheel, environment):
    exact = exact_versions(environment)
    asked = [Requirement(line) for line in metadata(wheel).get_all("Requires-Dist")]
    extras = {"dev", "io"} if environment == "default" else {"dev"}
    for requirement in asked:
        wanted = not requirement.marker or any(requirement.marker.evaluate({"extra": extra}) for extra in extras)
        if wanted:
            assert requirement.specifier.contains(exact[requirement.name]), (requirement, exact[requirement.name])


def test_no_file_names_a_folder_of_a_machine():
    # Checkpoints and notebooks like to hold such paths; a file that needs one makes it relative.
    home = re.compile(rb"(?<![\w.:/~$}-])/(?:home|root|Users|work)/[\w.-]+")
    found = {str(path.relative_to(ROOT)): home.findall(path.read_bytes()) for path in tracked_files()}
    assert {name: paths for name, paths in found.items() if paths} == {}
