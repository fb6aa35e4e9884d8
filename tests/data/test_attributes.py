import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s2f_tf.data import attributes
from s2f_tf.data.clip import CorpusError
from s2f_tf.errors import UserError


def write(folder, text):
    (folder / "attributes.csv").write_text(text, encoding="utf-8")
    return str(folder)


def test_each_attribute_is_known_by_speaker(tmp_path):
    folder = write(tmp_path, "speaker,gender,nation\r\na,f,IE\r\nb,m,\r\n\r\n")
    assert attributes.read(folder) == {"gender": {"a": "f", "b": "m"}, "nation": {"a": "IE"}}


def test_a_corpus_without_the_file_has_none(tmp_path):
    assert attributes.read(str(tmp_path)) == {}


@pytest.mark.parametrize(
    "text, message",
    [
        ("", "first column must be headed 'speaker'"),
        ("id,gender\na,f\n", "first column must be headed 'speaker'"),
        ("speaker;gender\na;f\n", "headed 'speaker', and commas between columns, not 'speaker;gender'"),
        ("speaker,gender\na\n", "line 2 has 1 cells: 2 are wanted"),
        ("speaker,gender\na,f\na,m\n", "line 3: speaker 'a' was there before"),
    ],
)
def test_a_damaged_file_is_refused_by_its_line(tmp_path, text, message):
    with pytest.raises(CorpusError, match=message):
        attributes.read(write(tmp_path, text))


def test_a_file_that_is_no_text_is_refused_by_name(tmp_path):
    (tmp_path / "attributes.csv").write_bytes(b"speaker,g\n\xff\xfe,m\n")
    with pytest.raises(UserError, match="attributes.csv is not in UTF-8"):
        attributes.read(str(tmp_path))


words = st.text(st.characters(codec="utf-8", exclude_characters="\0\r\n"), min_size=1, max_size=8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("csv")


@given(st.dictionaries(words, st.tuples(words, words), min_size=1))
def test_whatever_csv_can_hold_comes_back(folder, speakers):
    file = io.StringIO()
    csv.writer(file).writerows([["speaker", "one", "two"], *([name, *values] for name, values in speakers.items())])
    found = attributes.read(write(folder, file.getvalue()))
    assert found == {
        "one": {name: one for name, (one, _) in speakers.items()},
        "two": {name: two for name, (_, two) in speakers.items()},
    }
