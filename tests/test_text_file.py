import pytest

from s2f_tf import text_file


@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path, mark):
    path = tmp_path / "list.csv"
    path.write_bytes(f"{mark}Émile\r\nanna\n".encode())
    with text_file.opened(str(path)) as file:
        assert file.read() == "Émile\r\nanna\n"


def refusal(path):
    with pytest.raises(text_file.TextFileError) as error, text_file.opened(str(path)) as file:
        file.read()
    return str(error.value)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf_16_is_refused_by_name(tmp_path, encoding):
    path = tmp_path / "list.csv"
    path.write_bytes("anna,1\r\n".encode(encoding))
    assert refusal(path) == f"{path} is in UTF-16 or is no text: save it as UTF-8"


def test_what_is_not_utf_8_or_not_there_is_named(tmp_path):
    path = tmp_path / "list.csv"
    path.write_bytes("Émile\n".encode("cp1252"))
    assert refusal(path).startswith(f"{path} is not in UTF-8: save it so")
    assert refusal(tmp_path / "gone.csv").startswith(f"{tmp_path}/gone.csv cannot be read")
