import pathlib
import re

TESTS = pathlib.Path(__file__).parent
DOCS = TESTS.parents[1] / "docs" / "serving.md"


def test_every_row_of_the_conformance_table_names_tests_that_exist_or_says_why_not():
    table = DOCS.read_text().split("## What a TensorFlow Serving client may rely on")[1].split("\n## ")[0]
    rows = [line for line in table.splitlines() if line.startswith("| ")][1:]
    assert len(rows) > 25
    for row in rows:
        named = re.findall(r"`(test_\w+\.py)::(test_\w+)`", row)
        assert named or "left out: " in row, row
        for file, test in named:
            assert re.search(rf"^def {test}\(", (TESTS / file).read_text(), re.M), f"{file}::{test}"


def test_every_file_that_the_docs_name_is_there():
    named = set(re.findall(r"`([\w./]+\.(?:yaml|yml|sh|config|py))`", DOCS.read_text()))
    places = [TESTS, TESTS.parents[1], TESTS.parents[1] / "serving" / "deploy"]
    assert named and all(any((place / name).exists() for place in places) for name in named)
