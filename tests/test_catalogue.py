import subprocess
import sys

import pytest

import backproplab as bp
from backproplab.__main__ import PARTS, catalogue, claim, main

ALL = [(p, n, t) for p, things in catalogue().items() for n, t in things.items()]


@pytest.mark.parametrize(
    ("part", "name", "thing"), ALL, ids=[f"{p}.{n}".lstrip(".") for p, n, _ in ALL]
)
def test_every_public_name_says_in_one_sentence_what_it_is(part, name, thing):
    said = claim(thing)

    assert said, f"bp.{part}.{name} has no docstring"
    assert said[-1] in ".:;" or ". " in said


def test_every_part_that_loads_when_asked_for_is_listed():
    asked = {p.partition(".")[0] for p in PARTS}

    assert bp._LATER - asked <= {"anomaly", "check", "saving", "transforms"}


def test_functions_made_of_ops_are_listed_beside_the_ops():
    assert {"tanh", "split", "svd", "table"} <= set(catalogue()["ops"])


def test_a_word_finds_names_and_what_is_said_of_them(capsys):
    assert 0 == main(["jvp", "Return"])
    assert "bp.jvp" in capsys.readouterr().out
    assert 1 == main(["nothing-like-it"])
    assert "No public name has nothing-like-it" in capsys.readouterr().err


def test_help_says_how_to_ask(capsys):
    assert 0 == main(["--help"])
    assert "python -m backproplab [WORD ...]" in capsys.readouterr().out


def test_the_list_is_printed_by_the_package():
    done = subprocess.run(
        [sys.executable, "-m", "backproplab"], capture_output=True, text=True
    )

    assert 0 == done.returncode, done.stderr
    assert done.stdout.count("\n  bp.") == len(ALL)


@pytest.mark.parametrize(
    ("part", "misspelt", "meant"),
    [
        ("ops", "sofmax", "softmax"),
        ("nn", "Linaer", "Linear"),
        ("optim", "Adamw", "AdamW"),
        ("widgets", "DeptLab", "DepthLab"),
        ("exercises", "export", "export_progress"),
        ("parallel", "LocalGruop", "LocalGroup"),
        ("plot", "gradientflow", "gradient_flow"),
    ],
)
def test_a_misspelt_name_of_a_part_raises_with_the_near_ones(part, misspelt, meant):
    with pytest.raises(AttributeError, match=f"no '{misspelt}'; .*{meant}"):
        getattr(getattr(bp, part), misspelt)
