import pytest
from PIL import Image

from pipelines import results, sources
from pipelines.sources import Item, Span
from s2f_tf import text_file


def items(source, folder, aside, list_path=None):
    """Everything a source has, by way of the disk, as the job reads it."""
    results.write_items(str(aside), sources.rows(source, str(folder), list_path and str(list_path)))
    found = [item for part in results.buckets(str(aside)) for item in results.items(str(aside), source, part)]
    return sorted(found, key=lambda item: item.name)


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")
    return folder


def test_folders_are_speakers_and_so_is_a_video_in_none(tmp_path):
    folder = touch(
        tmp_path / "in", "anna/a.MP4", "anna/deep/b.mkv", "ben/a.mp4", "c.webm", "anna/notes.txt", ".x/d.mp4"
    )
    assert items("folder", folder, tmp_path / "aside") == [
        Item("anna/a.MP4", "anna", str(folder / "anna/a.MP4")),
        Item("anna/deep/b.mkv", "anna", str(folder / "anna/deep/b.mkv")),
        Item("ben/a.mp4", "ben", str(folder / "ben/a.mp4")),
        Item("c.webm", "c.webm", str(folder / "c.webm")),
    ]


def test_the_list_of_avspeech_meets_the_files_and_names_those_that_are_missing(tmp_path):
    folder = touch(tmp_path / "in", "x/-abc_1.mp4", "other.mp4")
    listed = tmp_path / "train.csv"
    listed.write_text("-abc_1,9.5,14.0,0.5,0.25\ngone,0,3,0.1,0.1\n-abc_1,1.0,4.5,0.4,0.3\n-abc_1,1.0,4.5,0.4,0.3\n")
    assert items("avspeech", folder, tmp_path / "aside", listed) == [
        Item(
            "-abc_1",
            "-abc_1",
            str(folder / "x/-abc_1.mp4"),
            spans=(Span(1.0, 4.5, (0.4, 0.3)), Span(9.5, 14.0, (0.5, 0.25))),
        ),
        Item("gone", "gone", None, spans=(Span(0.0, 3.0, (0.1, 0.1)),)),
    ]


@pytest.mark.parametrize("begin, end", [("", "\n"), ("\ufeff", "\r\n"), ("", "\r")])
def test_a_list_of_any_program_is_read(tmp_path, begin, end):
    folder = touch(tmp_path / "in", "Ä_1.mp4")
    listed = tmp_path / "train.csv"
    listed.write_bytes(f"{begin}Ä_1,1.0,4.5,0.4,0.3{end}{end}Ä_1,9.5,14.0,0.5,0.25{end}".encode())
    (item,) = items("avspeech", folder, tmp_path / "aside", listed)
    assert item.path == str(folder / "Ä_1.mp4")
    assert item.spans == (Span(1.0, 4.5, (0.4, 0.3)), Span(9.5, 14.0, (0.5, 0.25)))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("id,start,end,x,y", "line 2: .*: this is a header, which the list must not have"),
        ("abc;1,0;4,0;0,5;0,5", "line 2: .*: commas are expected between the values, and not semicolons"),
        ("abc,1.0,4.0,0.5", "line 2: 'video id, start, end, x, y' is expected, not 'abc,1.0,4.0,0.5': one value each"),
        ("abc,one,4.0,0.5,0.5", "line 2: 'video id"),
        ("abc,5.0,4.0,0.5,0.5", "line 2: start and end are 5.0 and 4.0: 0 <= start < end"),
        ("abc,1.0,4.0,320,0.5", "line 2: x and y are 320.0 and 0.5: shares of the picture"),
    ],
)
def test_a_line_that_is_not_as_it_should_be_is_named(tmp_path, line, said):
    listed = tmp_path / "train.csv"
    listed.write_text(f"abc,1.0,4.0,0.5,0.5\n{line}\n")
    with pytest.raises(sources.SourceError, match=said):
        list(sources.rows("avspeech", str(tmp_path), str(listed)))


def test_a_list_is_asked_for_and_must_be_there(tmp_path):
    with pytest.raises(sources.SourceError, match="needs --list"):
        list(sources.rows("avspeech", str(tmp_path), None))
    with pytest.raises(text_file.TextFileError, match="gone.csv cannot be read"):
        list(sources.rows("avspeech", str(tmp_path), str(tmp_path / "gone.csv")))
    with pytest.raises(sources.SourceError, match="is not a folder"):
        list(sources.rows("folder", str(tmp_path / "gone"), None))


def test_both_trees_of_voxceleb_join_pictures_and_sound(tmp_path):
    folder = touch(
        tmp_path / "in",
        "dev/mp4/id10001/v1/00001.mp4",
        "dev/aac/id10001/v1/00001.m4a",
        "dev/mp4/id10001/v1/00002.mp4",
        "dev/mp4/id10002/v2/00001.mp4",
        "dev/mp4/id10002/v2/00001.wav",
        "dev/aac/id10003/v3/00001.m4a",
        "readme.mp4",
    )
    assert items("voxceleb", folder, tmp_path / "aside") == [
        Item(
            "id10001/v1/00001",
            "id10001",
            str(folder / "dev/mp4/id10001/v1/00001.mp4"),
            str(folder / "dev/aac/id10001/v1/00001.m4a"),
        ),
        Item("id10001/v1/00002", "id10001", str(folder / "dev/mp4/id10001/v1/00002.mp4")),
        Item(
            "id10002/v2/00001",
            "id10002",
            str(folder / "dev/mp4/id10002/v2/00001.mp4"),
            str(folder / "dev/mp4/id10002/v2/00001.wav"),
        ),
        Item("id10003/v3/00001", "id10003", *[str(folder / "dev/aac/id10003/v3/00001.m4a")] * 2),  # told as no video
    ]


def test_stills_and_sounds_alone_are_one_by_one_and_folders_are_speakers(tmp_path):
    folder = touch(tmp_path / "in", "anna/deep/a.jpg", "anna/a.WAV", "b.png", "b.wav", "c.m4a", "notes.txt", ".x/d.jpg")
    for source, names in (("stills", ("anna/deep/a.jpg", "b.png")), ("sounds", ("anna/a.WAV", "b.wav", "c.m4a"))):
        assert items(source, folder, tmp_path / source) == [
            Item(name, name.split("/")[0], str(folder / name)) for name in names
        ]


def test_stills_are_told_by_what_is_inside_and_sounds_by_their_name(tmp_path):
    folder = touch(tmp_path / "in", "anna/a.wav", "anna/broken.jpg", "anna/notes.txt", "anna/b.mp4")
    for name in ("c.jfif", "d", "e.PNG"):
        Image.new("RGB", (8, 8)).save(folder / "anna" / name, "JPEG")
    (item,) = items("pairs", folder, tmp_path / "aside")
    assert [name for name, _ in item.sounds] == ["anna/a.wav"]
    assert sorted(name for name, _ in item.stills) == ["anna/broken.jpg", "anna/c.jfif", "anna/d", "anna/e.PNG"]
