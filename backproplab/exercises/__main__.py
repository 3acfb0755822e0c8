"""``python -m backproplab.exercises report FILES...``: a class at a glance."""

import argparse
import sys
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
        help="progress.json, an exported block saved as text, or a folder of these",
    )  # fmt: skip
    report.add_argument(
        "--problem", default="", metavar="ID", help="only ids that begin so: bn."
    )
    report.add_argument(
        "--csv", type=Path, metavar="FILE", help="also write one row an answer there"
    )
    given = parser.parse_args(arguments)

    found = class_report(given.files, given.problem)
    print(found)
    if given.csv:
        try:
            found.write_csv(given.csv)
        except OSError as error:
            print(f"{given.csv} cannot be written: {error.strerror}", file=sys.stderr)
            return 1
        print(f"\nOne row an answer: {given.csv}")
    return 0 if found.learners else 1


if __name__ == "__main__":
    sys.exit(main())
