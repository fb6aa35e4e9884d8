import pathlib
import re

TESTS = pathlib.Path(__file__).parent
DOCS = TESTS.parents[1] / "docs" / "serving.md"
SECURITY = DOCS.with_name("security.md")


def test_every_row_of_the_conformance_table_names_tests_that_exist_or_says_why_not():
    table = DOCS.read_text().split("## What a TensorFlow Serving client may rely on")[1].split("\n## ")[0]
    rows = [line for line in table.splitlines() if line.startswith("| ")][1:]
    assert len(rows) > 25
    for row in rows:
        named = re.findall(r"`(test_\w+\.py)::(test_\w+)`", row)
        assert named or "left out: " in row, row
        assert_that_tests_exist(named)


def test_every_limit_that_is_told_names_tests_that_exist_and_every_flag_of_a_limit_is_told():
    text = SECURITY.read_text()
    rows = [line for line in text.split("## What is limited")[1].splitlines() if line.startswith("| ")][1:]
    assert len(rows) > 10 and all("test_" in row for row in rows)
    assert_that_tests_exist(re.findall(r"`(test_\w+\.py)::(test_\w+)`", text))
    server = (TESTS.parents[1] / "serving" / "server.py").read_text()
    flags = re.findall(r'"(max_\w+bytes|max_connections|\w+_timeout_seconds)"', server)
    assert len(flags) == 6 and all(f"`--{flag}`" in text for flag in flags)


def assert_that_tests_exist(named):
    for file, test in named:
        assert re.search(rf"^def {test}\(", (TESTS / file).read_text(), re.M), f"{file}::{test}"


def test_every_file_that_the_docs_name_is_there():
    named = set(re.findall(r"`([\w./]+\.(?:yaml|yml|sh|config|py))`", DOCS.read_text()))
    places = [TESTS, TESTS.parents[1], TESTS.parents[1] / "serving" / "deploy"]
    assert named and all(any((place / name).exists() for place in places) for name in named)
