"""``python -m backproplab.exercises report FILES...``: a class at a glance."""

import argparse
import os
import sys
from io import TextIOWrapper
from pathlib import Path

from .report import class_report


def main(arguments: list[str] | None = None) -> int:
    """Read the command line, print the report.

    Returns:
        0, or 1 where no file could be read.
    """
    parser = argparse.ArgumentParser(
        prog="python -m backproplab.exercises",
        description="Exercises, for instructors.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    report = commands.add_parser(
        "report",
        help="who has solved what, and which link breaks most often",
        description="Read the progress files of a class. A learner is called as the "
        "file is (ada.json), or as the folder is (ada/.backproplab/progress.json).",
    )
    report.add_argument(
        "files", nargs="+", type=Path, metavar="FILE",
        help="progress.json, an exported block saved as .txt, or a folder of these",
    )  # fmt: skip
    report.add_argument(
        "--problem", default="", metavar="ID", help="only ids that begin so: bn."
    )
    report.add_argument(
        "--csv", type=Path, metavar="FILE", help="also write one row an answer there"
    )
    given = parser.parse_args(arguments)

    found = class_report(given.files, given.problem)
    says, code = str(found), 0 if found.learners else 1
    if given.csv:
        try:
            found.write_csv(given.csv)
            says += f"\n\nOne row an answer: {given.csv}"
        except OSError as error:
            print(f"{given.csv} cannot be written: {error.strerror}", file=sys.stderr)
            code = 1
    _show(says)
    return code


def _show(text: str) -> None:
    """Print, whatever the terminal can write, and for as long as somebody reads."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        print(text, flush=True)
    except BrokenPipeError:  # `| head`: what is still held must go somewhere
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main())
