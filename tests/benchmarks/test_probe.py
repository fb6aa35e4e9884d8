import commands
import cv2
import numpy as np
import pytest
import videos

from benchmarks import labelled
from s2f_tf.errors import UserError


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """A list of 120 photographs of one person, in warm light where the list says f, paler the older it says."""
    folder = tmp_path_factory.mktemp("faces")
    (folder / "stills").mkdir()
    lines, draw = ["still,age,sex"], np.random.default_rng(0)
    for number in range(120):
        female, age = draw.random() < 0.4, int(draw.integers(14, 80))
        picture = videos.portrait(zoom=1.2, shift=draw.normal(), width=200, height=200)
        lit = np.clip(picture * ([1.1, 0.9, 0.7] if female else [0.8, 0.9, 1.1]), 0, 255)
        pale = (lit * (1 - age / 160) + 128 * age / 160).astype(np.uint8)
        cv2.imwrite(str(folder / "stills" / f"{number}.jpg"), pale[..., ::-1])
        lines.append(f"{number},{age},{'f' if female else 'm'}")
    path = folder / "labels.csv"
    path.write_text("\n".join(lines))
    return path


def test_a_list_is_read_in_an_order_that_is_not_its_own(photographs, tmp_path):
    header, *lines = photographs.read_text().splitlines()
    (tmp_path / "labels.csv").write_text("\n".join([header, *reversed(lines)]))
    found, turned = (labelled.read(str(path)) for path in (photographs, tmp_path / "labels.csv"))
    assert [(one.age, one.female) for one in found] == [(one.age, one.female) for one in turned]
    names = [one.path for one in found]
    assert names != sorted(names) and len(set(names)) == 120
    assert names[0].startswith(str(photographs.parent / "stills"))


@pytest.mark.parametrize("line", ["1,old,f", "1,20,x", "1,20", ""])
def test_a_line_that_says_something_else_is_shown(tmp_path, line):
    (tmp_path / "labels.csv").write_text(f"still,age,sex\n{line}")
    with pytest.raises(UserError, match="labels.csv"):
        labelled.read(str(tmp_path / "labels.csv"))


def test_the_command_says_what_a_network_sees(photographs, tiny_run):
    ended = commands.run(
        "benchmarks.probe", f"--workdir={tiny_run}", f"--labels={photographs}", "--fitted=60", "--asked=60"
    )
    assert ended.returncode == 0, ended.stderr
    said, _, _, *rows = ended.stdout.splitlines()
    assert said.startswith("linear maps fitted on 60 faces")
    told = {row.split(" | ")[0]: row.split(" | ")[1:] for row in rows}
    for part in ("its embedding", "the features below"):
        assert 0 <= float(told[f"F of {tiny_run}, {part}"][1].split()[0]) <= 1
    _, sex, age = told["eigenfaces of these photographs"]
    assert float(sex.split()[0]) > 0.95 and float(age.split()[0]) > 0.8
