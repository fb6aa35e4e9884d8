"""The rule for tests whose program is not here."""

import subprocess
import sys
import types

import pytest
import tools


@pytest.fixture
def without(tmp_path, monkeypatch):
    """Leaves every tool but one in the PATH."""

    def hide(tool):
        for other in tools.PACKAGES.keys() - {tool}:
            (tmp_path / other).write_text("#!/bin/sh\n")
            (tmp_path / other).chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path))

    return hide


def a_test(*needed, every_tool=False):
    """What pytest calls an item: a test that needs these."""
    config = types.SimpleNamespace(getoption={"every_tool": every_tool}.get)
    marks = [pytest.mark.tools(*needed).mark]
    return types.SimpleNamespace(config=config, user_properties=[], iter_markers=lambda name: marks)


@pytest.mark.parametrize("tool", tools.PACKAGES)
def test_without_a_tool_what_needs_it_is_left_out_or_fails(tool, without):
    without(tool)
    told = f"{tool} is not here: Debian's package {tools.PACKAGES[tool]} brings it"
    tools.pytest_runtest_setup(a_test(*tools.PACKAGES.keys() - {tool}))
    for every_tool, end in ((False, pytest.skip.Exception), (True, pytest.fail.Exception)):
        with pytest.raises(end, match=told):
            tools.pytest_runtest_setup(a_test(*tools.PACKAGES, every_tool=every_tool))


def test_the_last_lines_of_pytest_count_and_name_what_is_missing(without):
    without("promtool")
    left_out, lines = [a_test("mvn", "promtool"), a_test("promtool")], []
    for item in left_out:
        with pytest.raises(pytest.skip.Exception):
            tools.pytest_runtest_setup(item)
    elsewhere = types.SimpleNamespace(user_properties=[])  # skipped for another reason
    reporter = types.SimpleNamespace(
        stats={"skipped": [*left_out, elsewhere]}, section=lambda _: None, write_line=lines.append
    )
    tools.pytest_terminal_summary(reporter)
    assert lines == ["2 tests need promtool: Debian's package prometheus brings it"]


def test_the_packages_of_what_is_missing_are_told(without):
    without("zipalign")
    told = subprocess.run([sys.executable, tools.__file__], capture_output=True, text=True, check=True).stdout
    assert told == "zipalign\n"
