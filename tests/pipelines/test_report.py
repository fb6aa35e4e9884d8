import base64
import html.parser
import io
import os
import re

import corpora
import numpy as np
import pytest
from PIL import Image

from pipelines import holdings, report
from s2f_tf.data import clip
from s2f_tf.errors import UserError

DROPPED = {"dropped": {"no face": 12, "silent": 2}, "examples": {"no face": "<b>a&b</b>.mp4 at 0.0-2.0 s"}}


class Reader(html.parser.HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.words, self.links, self.tags = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.links += [value for name, value in attributes if name in ("src", "href")]

    def handle_data(self, words):
        self.words.append(words)


@pytest.fixture(scope="module")
def page(tiny_corpus, tmp_path_factory):
    folder = corpora.copy(tiny_corpus, tmp_path_factory.mktemp("report") / "clips", **DROPPED)
    path = folder.parent / "report.html"
    report.write(str(folder), str(path))
    assert sorted(os.listdir(folder.parent)) == ["clips", "report.html"]
    return path.read_text()


def test_the_page_needs_nothing_else(page):
    read = Reader(page)
    assert len(read.links) == 3 and all(link.startswith("data:image/png;base64,") for link in read.links)
    assert not {"script", "link", "iframe"} & set(read.tags)
    assert "url(" not in page
    for link in read.links:
        picture = Image.open(io.BytesIO(base64.b64decode(link.split(",")[1])))
        assert len(np.unique(np.asarray(picture.convert("L")))) > 10


def test_the_page_tells_counts_and_reasons(page, tiny_corpus):
    words = " ".join(Reader(page).words)
    for split in clip.SPLITS:
        told = clip.read_description(tiny_corpus)
        assert re.search(rf"{split} {told['clips'][split]} {told['speakers'][split]} \d+\.\d\d 0", words)
    assert "no face 12 <b>a&b</b>.mp4 at 0.0-2.0 s" in words  # as words: the name of a file is not HTML
    assert "silent 2 -" in words


def test_bars_hold_everything_that_was_counted():
    counts = holdings.Counts(holdings.DURATION)
    for value in (1.0, 1.0, 1.5, 7.25, 100.0):
        counts.add(value)
    edges, heights = report._bars(counts)
    assert len(heights) <= 40 and heights.sum() == 5 and len(edges) == len(heights) + 1
    assert edges[0] == pytest.approx(1.0) and heights[0] == 3 - (edges[1] <= 1.5)


def test_a_corpus_of_which_nothing_can_be_read_has_a_page_too(tiny_corpus, tmp_path):
    folder = corpora.copy(tiny_corpus, tmp_path / "clips")
    for path in folder.glob("*.tfrecord"):
        path.write_bytes(b"")
    report.write(str(folder), str(tmp_path / "report.html"))
    read = Reader((tmp_path / "report.html").read_text())
    assert "Nothing." in read.words and not read.links


def test_a_page_that_cannot_be_written_is_refused_before_the_corpus_is_read(tmp_path):
    with pytest.raises(UserError, match="nowhere/report.html cannot be written"):
        report.write(str(tmp_path / "no corpus"), str(tmp_path / "nowhere" / "report.html"))
