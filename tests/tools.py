"""Programs beside Python that tests use, and the one rule for a test whose program is not here.

It is marked with what it needs, `@pytest.mark.tools("aapt2", "mvn")`, and skipped where one of them is missing; the
last lines of pytest name it and the Debian package that brings it. With `--every-tool` such a test fails.

`python tests/tools.py` prints the packages that are missing here, for `make test-all`.
"""

import collections
import shutil

import pytest

PACKAGES = {
    "aapt2": "aapt",
    "apksigner": "apksigner",
    "chromedriver": "chromium-driver",
    "chromium": "chromium",
    "chroot": "coreutils",
    "ip": "iproute2",
    "jar": "default-jdk-headless",
    "java": "default-jdk-headless",
    "javac": "default-jdk-headless",
    "keytool": "default-jdk-headless",
    "mvn": "maven",
    "nsenter": "util-linux",
    "promtool": "prometheus",
    "qemu-aarch64-static": "qemu-user-static",
    "setpriv": "util-linux",
    "unshare": "util-linux",
    "zipalign": "zipalign",
}


def pytest_addoption(parser):
    parser.addoption("--every-tool", action="store_true", help="where a tool is missing, tests fail")


def pytest_configure(config):
    config.addinivalue_line("markers", "tools(*names): programs that the test needs")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    for mark in item.iter_markers("tools"):
        for tool in mark.args:
            remedy = f"Debian's package {PACKAGES[tool]} brings it"
            if not shutil.which(tool):
                lack(item, tool, remedy)


def lack(item, what, remedy):
    """Ends a test that needs something which is not here."""
    item.user_properties.append(("lacking", f"{what}: {remedy}"))
    end = pytest.fail if item.config.getoption("every_tool") else pytest.skip
    end(f"{what} is not here: {remedy}")


def pytest_terminal_summary(terminalreporter):
    skipped = terminalreporter.stats.get("skipped", [])
    lacking = collections.Counter(
        value for report in skipped for name, value in report.user_properties if name == "lacking"
    )
    if lacking:
        terminalreporter.section("left out for want of a tool")
    for what, tests in sorted(lacking.items()):
        terminalreporter.write_line(f"{tests} tests need {what}")


if __name__ == "__main__":
    print(*sorted({package for tool, package in PACKAGES.items() if not shutil.which(tool)}))
