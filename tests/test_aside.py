import pathlib

import pytest

from s2f_tf.aside import written_aside


@pytest.mark.parametrize("shared", [False, True])
def test_a_file_is_whole_or_as_it_was(tmp_path, shared):
    path = tmp_path / "x.txt"
    for text in ("one", "two"):
        with written_aside(str(path), shared=shared) as part:
            pathlib.Path(part).write_text(text)
            assert not path.exists() or path.read_text() == "one"
        assert path.read_text() == text
    with pytest.raises(ZeroDivisionError), written_aside(str(path), shared=shared) as part:
        pathlib.Path(part).write_text("half")
        1 / 0  # noqa: B018
    assert path.read_text() == "two" and list(tmp_path.iterdir()) == [path]


def test_workers_that_write_one_file_do_not_disturb_each_other(tmp_path):
    path = tmp_path / "x.txt"
    with written_aside(str(path), shared=True) as one, written_aside(str(path), shared=True) as other:
        pathlib.Path(one).write_text("one")
        pathlib.Path(other).write_text("other")
    assert path.read_text() == "one" and list(tmp_path.iterdir()) == [path]
