"""One HTML page that holds its pictures and needs nothing else."""

import base64
import html
from collections.abc import Iterable, Sequence

from s2f_tf.aside import written_aside

_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; color: #22313f; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }}
h1, h2 {{ line-height: 1.2; font-weight: 600; }}
h2 {{ margin-top: 2.5rem; border-top: 1px solid #d9dee3; padding-top: 1.2rem; }}
p.note {{ color: #52606d; max-width: 46rem; }}
figure {{ margin: 1.2rem 0; }}
img {{ max-width: 100%; height: auto; image-rendering: auto; }}
figcaption {{ color: #52606d; font-size: .9rem; max-width: 46rem; }}
.scroll {{ overflow-x: auto; }}
table {{ border-collapse: collapse; font-size: .88rem; font-variant-numeric: tabular-nums; }}
th, td {{ padding: .25rem .7rem; text-align: right; border-bottom: 1px solid #e6eaee; white-space: nowrap; }}
th:first-child, td:first-child {{ text-align: left; }}
thead th {{ border-bottom: 2px solid #9aa5b1; vertical-align: bottom; }}
td small {{ color: #7b8794; }}
@media (prefers-color-scheme: dark) {{
  body {{ background: #14191f; color: #e4e9ee; }}
  p.note, figcaption {{ color: #a9b4bf; }}
  img {{ background: #fff; }}
  h2, th, td {{ border-color: #323c47; }}
}}
</style>
<h1>{title}</h1>
{body}
</html>
"""


class Page:
    """A page that grows from top to bottom.

    Args:
        title: in words, not HTML.
    """

    def __init__(self, title: str) -> None:
        self._title = html.escape(title)
        self._parts: list[str] = []

    def add(self, fragment: str) -> None:
        """Adds HTML as it is."""
        self._parts.append(fragment)

    def figure(self, png: bytes, caption: str) -> None:
        """Adds a PNG file with words, not HTML, below it."""
        encoded = base64.b64encode(png).decode()
        words = html.escape(caption)
        picture = f'<img alt="{words}" src="data:image/png;base64,{encoded}">'
        self.add(f"<figure>{picture}<figcaption>{words}</figcaption></figure>")

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """Adds a table. `columns` are words; the cells of `rows` are HTML."""
        head = "".join(f"<th>{html.escape(column)}</th>" for column in columns)
        body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
        self.add(f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>')

    def write(self, path: str) -> None:
        """Writes the page, aside and then renamed."""
        with written_aside(path) as part, open(part, "w", encoding="utf-8") as file:
            file.write(_PAGE.format(title=self._title, body="\n".join(self._parts)))
