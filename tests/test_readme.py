"""The README's example runs and prints what the README shows."""

import re
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def test_the_example_prints_what_the_readme_shows():
    code, shown = re.search(
        r"```python\n(import numpy.*?)```\s+```\n(.*?)```", README, re.S
    ).groups()

    printed = StringIO()
    with redirect_stdout(printed):
        exec(compile(code, "README.md", "exec"), {})

    assert shown == printed.getvalue()


def test_every_picture_that_the_readme_shows_is_there():
    pictures = re.findall(r"!\[.*?\]\((.*?)\)", README)

    assert pictures
    assert [p for p in pictures if not (Path(__file__).parents[1] / p).is_file()] == []
