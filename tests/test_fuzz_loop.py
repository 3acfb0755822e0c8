"""The loop of the fuzz drivers: it counts, and what crashes is kept and told."""

import random
import time

import loop
import pytest
from fuzz_load_trace import mutated_records, one, seeds
from loop import BYTES, main, mutated_json, mutated_zip

from backproplab.errors import BackpropError


def run(one, tmp_path, *options, documented=(KeyError,)):
    argv = ["--executions", "50", "--artefacts", str(tmp_path), *options]
    return main("driver", one, [b"seed"], documented=documented, argv=argv)


def test_documented_exceptions_are_counted_and_are_no_crash(tmp_path, capsys) -> None:
    def one(data):
        if data != b"seed":
            raise KeyError

    assert 0 == run(one, tmp_path)
    out = capsys.readouterr().out
    assert out.startswith("driver: 50 executions, 0 crashes (")
    assert "KeyError" in out
    assert "returned" in out
    assert [] == list(tmp_path.iterdir())


def test_any_other_exception_is_a_crash_whose_input_is_kept(tmp_path, capsys) -> None:
    def one(data):
        if data != b"seed":
            raise ValueError("not ours")

    assert 1 == run(one, tmp_path)
    kept, text = sorted(tmp_path.iterdir())
    assert kept.suffix == ".bin"
    assert kept.name.startswith("fuzz-driver-")
    assert b"seed" != kept.read_bytes()
    assert "ValueError: not ours" in text.read_text()
    assert "ValueError" in capsys.readouterr().err
    with pytest.raises(ValueError, match="not ours"):
        run(one, tmp_path, str(kept))


def test_one_place_of_a_crash_is_kept_once(tmp_path) -> None:
    def one(data):
        raise ValueError(data) if len(data) % 2 else TypeError(data)

    run(one, tmp_path)

    assert 2 == len([p for p in tmp_path.iterdir() if p.suffix == ".bin"])


def test_what_does_not_come_to_an_end_is_a_crash(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(loop, "SLOW", 0.05)

    def one(data):
        try:
            time.sleep(5)
        except Exception:
            return

    assert 1 == run(one, tmp_path, "--executions", "1")


def test_the_time_that_was_given_is_the_time_that_it_takes(tmp_path) -> None:
    start = time.monotonic()

    assert 0 == run(len, tmp_path, "--executions", "1000000000", "--seconds", "0.2")

    assert 0.2 <= time.monotonic() - start < 5


def test_one_seed_gives_one_sequence_of_inputs(tmp_path) -> None:
    seen: list[list[bytes]] = [[], [], []]

    for k, seed in enumerate("112"):
        run(seen[k].append, tmp_path, "--seed", seed)

    assert seen[0] == seen[1] != seen[2]


@pytest.mark.parametrize("mutation", BYTES)
def test_bytes_change_and_empty_ones_are_no_trouble(mutation) -> None:
    draw = random.Random(0)

    assert len({mutation(b"some bytes", draw) for _ in range(20)}) > 3
    assert isinstance(mutation(b"", draw), bytes)


def test_structures_change_and_what_has_none_is_left() -> None:
    draw, (*_, run, _empty) = random.Random(0), seeds()
    value = {"records": [{"op": "relu", "inputs": [0, 1]}], "version": 1}

    assert len({repr(mutated_json(value, draw)) for _ in range(50)}) > 30
    assert {"records": [{"op": "relu", "inputs": [0, 1]}], "version": 1} == value
    assert len({mutated_zip(run, draw) for _ in range(20)}) > 15
    assert len({mutated_records(run, draw) for _ in range(20)}) > 15
    assert b"hello" == mutated_zip(b"hello", draw) == mutated_records(b"hello", draw)


def test_the_driver_of_traces_takes_what_was_saved_and_refuses_the_rest() -> None:
    *wrong, plain, layers, empty = seeds()

    for data in (plain, layers, empty):
        one(data)
    for data in wrong:
        with pytest.raises(BackpropError):
            one(data)
