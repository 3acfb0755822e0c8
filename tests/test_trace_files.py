"""Saved runs: they come back whole, and a file by another hand does no harm."""

import json
import pickle
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from loop import mutated_json, mutated_zip

import backproplab as bp
from backproplab import nn, ops
from backproplab.errors import BackpropError, GradError


def small_net():
    rng = np.random.default_rng(0)
    w1 = bp.tensor(rng.normal(size=(3, 4)), requires_grad=True, name="w1")
    w2 = bp.tensor(rng.normal(size=(4, 1)), requires_grad=True, name="w2")
    x = rng.normal(size=(5, 3))
    with bp.record() as run:
        z = x @ w1 + 1.0
        h = np.tanh(z)
        out = (h @ w2) * h.mean()
        loss = (out * out).mean()
        loss.backward()
    return run


def same(a, b) -> bool:
    return all(
        r.name == s.name
        and np.array_equal(r.value, s.value)
        and (r.grad is None) is (s.grad is None)
        and (r.grad is None or np.array_equal(r.grad, s.grad))
        for r, s in zip(a, b, strict=True)
    )


def test_a_saved_run_comes_back_whole(tmp_path) -> None:
    run = small_net()
    run.save(tmp_path / "run.npz")

    again = bp.load_trace(tmp_path / "run.npz")

    assert str(run) == str(again)
    assert same(run, again)
    assert [r.tex for r in run] == [r.tex for r in again]
    assert [s.name for s in run.backward_steps()] == [
        s.name for s in again.backward_steps()
    ]
    assert run.gain() == again.gain()
    np.testing.assert_array_equal(run["h"].local, again["h"].local)
    assert ["run.npz"] == [p.name for p in tmp_path.iterdir()]
    assert bp.grade.check(again, {"w1": run["w1"].grad}).ok


def test_a_model_run_comes_back_with_its_aliases_and_options(tmp_path) -> None:
    model = nn.Sequential(nn.Linear(3, 3, rng=np.random.default_rng(0)), nn.ReLU())
    with bp.record() as run:
        out = model(np.ones((2, 3)))
        out[:, [0, 2]].reshape(-1)[1:].mean(axis=0, keepdims=True).sum().backward()
    run.save(tmp_path / "run.npz")

    again = bp.load_trace(tmp_path / "run.npz")

    assert again["1"].id == run["1"].id == run["out"].id
    for r in run:
        np.testing.assert_array_equal(
            bp.trace.replay.saved_bytes(run, r.id), again[r.id].saved_bytes
        )
    got = bp.trace.replay.backward(again, bp.trace.replay.seeds(again))
    np.testing.assert_array_equal(run["0.weight"].grad, got[run["0.weight"].id])


def test_an_op_that_is_not_declared_here_loads_as_data(tmp_path) -> None:
    @bp.elementwise(lambda y, x: 2 * x, name="my_square")
    def my_square(x):
        return x * x

    w = bp.tensor(3.0, requires_grad=True, name="w")
    with bp.record() as run:
        my_square(w).named("h").backward()
    run.save(tmp_path / "run.npz")

    again = bp.load_trace(tmp_path / "run.npz")

    assert 6.0 == again["w"].grad
    assert again["h"].local is None
    assert "h" == again["h"].tex


class Bomb:
    """Pickles to code that a careless reader would run."""

    def __reduce__(self):
        return (pytest.fail, ("a pickle was run",))


def rewrite(source, target, change) -> None:
    """Copy a saved run with its JSON changed."""
    with np.load(source) as z:
        arrays = dict(z)
    data = json.loads(bytes(arrays["trace"]))
    out = change(data, arrays)
    text = json.dumps(data if out is None else out)
    arrays["trace"] = np.frombuffer(text.encode(), np.uint8)
    np.savez(target, **arrays)


def _set(data, key, value):
    data["records"][4][key] = value


HOSTILE = {
    "no records": lambda d, a: d.pop("records") and None,
    "a list": lambda d, a: [1, 2],
    "a string": lambda d, a: "records",
    "records as text": lambda d, a: d.update(records="abc"),
    "an input to come": lambda d, a: _set(d, "inputs", [10**6]),
    "a negative input": lambda d, a: _set(d, "inputs", [-5]),
    "an input of itself": lambda d, a: _set(d, "inputs", [4, 4]),
    "an input that is text": lambda d, a: _set(d, "inputs", ["x"]),
    "a consumer that is older": lambda d, a: _set(d, "consumers", [[0, 0]]),
    "a consumer's input that is not": lambda d, a: _set(d, "consumers", [[5, 99]]),
    "a static that is foreign": lambda d, a: _set(d, "static", {"exec": "1"}),
    "an array that is missing": lambda d, a: a.pop("v3") is None or None,
    "an array of the wrong shape": lambda d, a: a.update(g4=np.ones((7, 7, 7))),
    "an array of text": lambda d, a: a.update(v4=np.array(["x"])),
    "a step of a record that is not": lambda d, a: d["steps"].append([10**6, []]),
    "a step that sends what is not": lambda d, a: d["steps"].append([4, [[0, 99]]]),
    "a version that is text": lambda d, a: d.update(version="1; rm"),
    "nan as a version": lambda d, a: d.update(version=float("nan")),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_gives_one_clear_error(tmp_path, name) -> None:
    run = small_net()
    run.save(tmp_path / "good.npz")
    rewrite(tmp_path / "good.npz", tmp_path / "bad.npz", HOSTILE[name])

    with pytest.raises(BackpropError) as caught:
        bp.load_trace(tmp_path / "bad.npz")
    text = str(caught.value)
    assert text.startswith("load_trace: bad.npz is not a saved run (")
    assert text.endswith(").\n  help: a run is written by `run.save(path)`.")
    assert len(text) < 400


def test_what_is_no_npz_gives_the_same_error(tmp_path) -> None:
    bad = tmp_path / "bad.npz"
    run = small_net()
    run.save(tmp_path / "good.npz")
    whole = (tmp_path / "good.npz").read_bytes()
    texts = [b"", b"PK", b"hello", pickle.dumps(Bomb()), whole[:100], whole[:-40]]

    for text in texts:
        bad.write_bytes(text)
        with pytest.raises(BackpropError, match=r"^load_trace: bad.npz is not a saved"):
            bp.load_trace(bad)
    np.savez(bad, trace=np.array([Bomb()], dtype=object))
    with pytest.raises(BackpropError, match=r"^load_trace: bad.npz is not a saved"):
        bp.load_trace(bad)
    np.savez(bad, trace=np.frombuffer(b"[" * 100_000, np.uint8))
    with pytest.raises(BackpropError, match=r"^load_trace: bad.npz is not a saved"):
        bp.load_trace(bad)
    np.savez(bad, weights=np.ones(3))
    with pytest.raises(BackpropError, match=r"^load_trace: bad.npz is not a saved"):
        bp.load_trace(bad)
    np.save(tmp_path / "one.npy", np.ones(3))
    with pytest.raises(BackpropError, match=r"^load_trace: one.npy is not a saved"):
        bp.load_trace(tmp_path / "one.npy")
    with zipfile.ZipFile(bad, "w") as z:
        z.writestr("trace.npy", b"not an array")
    with pytest.raises(BackpropError, match=r"^load_trace: bad.npz is not a saved"):
        bp.load_trace(bad)


def test_a_run_of_a_newer_version_says_so(tmp_path) -> None:
    run = small_net()
    run.save(tmp_path / "a.npz")
    rewrite(tmp_path / "a.npz", tmp_path / "b.npz", lambda d, a: d.update(version=9))

    with pytest.raises(BackpropError) as caught:
        bp.load_trace(tmp_path / "b.npz")
    assert (
        "load_trace: b.npz has version 9; this package reads up to 1.\n"
        "  help: update backproplab."
    ) == str(caught.value)


def test_a_file_that_is_not_there_is_reported_as_such(tmp_path) -> None:
    with pytest.raises(FileNotFoundError):
        bp.load_trace(tmp_path / "none.npz")


def test_a_save_that_fails_leaves_the_old_file(tmp_path, monkeypatch) -> None:
    run = small_net()
    run.save(tmp_path / "run.npz")
    before = (tmp_path / "run.npz").read_bytes()

    def full(*_args, **_options):
        raise OSError("disk full")

    monkeypatch.setattr(np, "savez_compressed", full)
    with pytest.raises(OSError, match="disk full"):
        run.save(tmp_path / "run.npz")

    assert before == (tmp_path / "run.npz").read_bytes()
    assert ["run.npz"] == [p.name for p in tmp_path.iterdir()]


# What a file that somebody changed can hold.


def damaged(tmp_path, change) -> str:
    """What loading says of a saved run whose JSON and arrays were changed."""
    small_net().save(tmp_path / "good.npz")
    rewrite(tmp_path / "good.npz", tmp_path / "bad.npz", change)
    with pytest.raises(BackpropError) as caught:
        bp.load_trace(tmp_path / "bad.npz")
    return str(caught.value)


SAID = {
    "'4' is no whole number": lambda d, a: _set(d, "inputs", ["4"]),
    "1.0 is no whole number": lambda d, a: _set(d, "inputs", [1.0]),
    "True is no whole number": lambda d, a: d.update(version=True),
    "'01' is no list": lambda d, a: _set(d, "inputs", "01"),
    "3 is no text": lambda d, a: _set(d, "op", 3),
    "1 is neither true nor false": lambda d, a: _set(d, "wants", 1),
    "an option of the unknown kind 'exec'": lambda d, a: _set(
        d, "static", {"exec": "1"}
    ),
    "an option that is not tagged": lambda d, a: _set(d, "static", {"dict": {"a": []}}),
    "object is no number format": lambda d, a: _set(
        d, "static", {"dict": {"a": {"dtype": "O"}}}
    ),
    "record 4 has options that have no names": lambda d, a: _set(d, "static", None),
    "record 4: add has no option 'axis'": lambda d, a: _set(
        d, "static", {"dict": {"axis": 0}}
    ),
    "record 4: add takes 2 inputs, not 1": lambda d, a: _set(d, "inputs", [0]),
    "record 4: add gives no such shape": lambda d, a: a.update(v4=np.ones((7, 7))),
    "record 4 is made of records that cannot be": lambda d, a: _set(
        d, "inputs", [4, 0]
    ),
    "record 4 has the unknown format 'float5'": lambda d, a: _set(d, "grid", "float5"),
    "record 4 has a consumer that cannot be": lambda d, a: _set(
        d, "consumers", [[0, 0]]
    ),
    "record 4 has a gradient of another shape": lambda d, a: a.update(g4=np.ones(9)),
    "record 4 has a gradient that is not of floats": lambda d, a: a.update(
        g4=np.ones((5, 4), int)
    ),
    "v4 holds <U1, which is no number": lambda d, a: a.update(v4=np.array(["x"])),
    "v4 holds complex128, which is no number": lambda d, a: a.update(
        v4=np.ones(2) * 1j
    ),
    "record 4 sends what cannot be": lambda d, a: d["steps"].append([4, [[0, 99]]]),
    "backward has a step at record 99, which got none": lambda d, a: d["steps"].append(
        [99, []]
    ),
}


@pytest.mark.parametrize("said", SAID)
def test_a_changed_file_is_told_what_is_wrong_with_it(tmp_path, said) -> None:
    assert (
        f"load_trace: bad.npz is not a saved run (ValueError: {said}).\n"
        "  help: a run is written by `run.save(path)`."
    ) == damaged(tmp_path, SAID[said])


def test_a_name_that_nobody_could_print_is_refused(tmp_path) -> None:
    text = damaged(tmp_path, lambda d, a: _set(d, "name", "\ud800"))

    assert "UnicodeEncodeError" in text
    text.encode()


def header(descr: str, shape: str) -> bytes:
    said = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}"
    body = said.encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(body).to_bytes(2, "little") + body


HEADERS = {
    "v4 claims 8000000000000 bytes and has 136": header("'<f8'", "(1000000000000,)"),
    "v4 has another size than its shape (0,) says": header("'<f8'", "(0,)"),
    "v4 has a shape that cannot be": header("'<f8'", "(-1,)"),
    "v4 holds object, which is no number": header("'|O'", "(1,)"),
    "v4 holds |V8, which is no number": header("'|V8'", "(1,)"),
    "v4 is in version (3, 0) of its format": b"\x93NUMPY\x03\x00" + b" " * 120,
}


@pytest.mark.parametrize("said", HEADERS)
def test_a_header_that_lies_is_found_before_memory_is_taken(tmp_path, said) -> None:
    small_net().save(tmp_path / "good.npz")
    with (
        zipfile.ZipFile(tmp_path / "good.npz") as old,
        zipfile.ZipFile(tmp_path / "bad.npz", "w") as new,
    ):
        for name in old.namelist():
            lies = name == "v4.npy"
            new.writestr(name, HEADERS[said] + b"8bytes.." if lies else old.read(name))

    with pytest.raises(BackpropError) as caught:
        bp.load_trace(tmp_path / "bad.npz")
    assert (
        f"load_trace: bad.npz is not a saved run (ValueError: {said}).\n"
        "  help: a run is written by `run.save(path)`."
    ) == str(caught.value)


def test_what_is_given_twice_is_refused(tmp_path) -> None:
    small_net().save(tmp_path / "run.npz")
    whole = (tmp_path / "run.npz").read_bytes()
    with (
        pytest.warns(UserWarning, match="Duplicate name"),
        zipfile.ZipFile(tmp_path / "run.npz", "a") as z,
    ):
        z.writestr("v4.npy", z.read("v3.npy"))
    with pytest.raises(BackpropError, match=r"\(ValueError: it holds v4 twice\)"):
        bp.load_trace(tmp_path / "run.npz")

    (tmp_path / "run.npz").write_bytes(whole)
    with np.load(tmp_path / "run.npz") as z:
        arrays = dict(z)
    text = bytes(arrays["trace"]).replace(b'"version"', b'"version": 1, "version"')
    arrays["trace"] = np.frombuffer(text, np.uint8)
    np.savez(tmp_path / "run.npz", **arrays)
    with pytest.raises(BackpropError, match="a name that is given twice"):
        bp.load_trace(tmp_path / "run.npz")


def test_options_that_no_rule_can_use_are_told_when_the_rule_is_asked(tmp_path) -> None:
    w = bp.tensor(np.ones((2, 2), np.float32), name="w")
    with bp.record() as run, bp.amp.autocast("float16"):
        h = (w @ w).reshape(4)  # noqa: F841
    run.save(tmp_path / "good.npz")
    wrong = {"dict": {"shape": {"tuple": [True, "x"]}, "order": "C"}}
    rewrite(
        tmp_path / "good.npz",
        tmp_path / "bad.npz",
        lambda d, a: d["records"][-1].update(static=wrong),
    )

    again = bp.load_trace(tmp_path / "bad.npz")

    assert str(run) == str(again)
    with pytest.raises(GradError) as caught:
        again.ledger()
    assert str(caught.value).startswith(
        "the loaded run does not fit the rules of its ops (TypeError: "
    )
    assert str(caught.value).endswith(
        ").\n  help: its file was changed after `run.save` wrote it; "
        "save the run again."
    )


def test_the_error_of_a_rule_in_a_run_of_ones_own_stays_as_it_is() -> None:
    @bp.elementwise(lambda y, x: y.nonsense, name="misspelt")
    def misspelt(x):
        return x * 1.0

    with bp.record() as run:
        h = misspelt(bp.tensor(1.0))  # noqa: F841
    with pytest.raises(AttributeError, match="nonsense"):
        _ = run["h"].local


@pytest.mark.parametrize("name", ops.registry)
def test_what_any_op_recorded_comes_back(tmp_path, name) -> None:
    op = ops.registry[name]
    inputs, static = op.example(np.random.default_rng(0))
    xs = [
        None
        if x is None
        else bp.tensor(x, requires_grad=np.asarray(x).dtype.kind == "f")
        for x in inputs
    ]
    with bp.record() as run:
        y = op.call(xs, **static) if op.listed else op.call(*xs, **static)
        if isinstance(y, bp.Tensor) and y.requires_grad:
            y.backward(np.ones(y.shape, y.dtype))
    run.save(tmp_path / "run.npz")

    again = bp.load_trace(tmp_path / "run.npz")

    assert str(run) == str(again)
    assert same(run, again)
    assert [r.tex for r in run] == [r.tex for r in again]
    assert [r.saved_bytes for r in run] == [r.saved_bytes for r in again]
    assert run.ledger() == again.ledger()


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> bytes:
    path = tmp_path_factory.mktemp("saved") / "run.npz"
    small_net().save(path)
    return path.read_bytes()


def require_clear(path) -> None:
    """Load; what does not load says so, and what does can be read."""
    said = ""
    try:
        run = bp.load_trace(path)
        str(run).encode()
        assert len(run.table()) == len(run)
    except BackpropError as error:
        said = str(error)
    assert not said or said.startswith("load_trace: changed.npz")
    assert len(said) < 400


@given(st.randoms(use_true_random=False))
def test_a_file_with_a_changed_member_loads_or_says_why(
    saved, tmp_path_factory, draw
) -> None:
    path = tmp_path_factory.getbasetemp() / "changed.npz"

    path.write_bytes(mutated_zip(saved, draw))

    require_clear(path)


@given(st.randoms(use_true_random=False), st.integers(1, 3))
def test_a_file_with_other_records_loads_or_says_why(
    saved, tmp_path_factory, draw, times
) -> None:
    path = tmp_path_factory.getbasetemp() / "changed.npz"
    path.write_bytes(saved)

    def change(data, _arrays):
        for _ in range(times):
            data = mutated_json(data, draw)
        return data

    rewrite(path, path, change)

    require_clear(path)


def test_a_loader_that_fails_unclearly_is_caught(saved, tmp_path, monkeypatch) -> None:
    (tmp_path / "run.npz").write_bytes(saved)

    def careless(_path):
        raise ValueError("buffer is smaller than requested size")

    monkeypatch.setattr(bp, "load_trace", careless)
    with pytest.raises(ValueError, match="buffer is smaller"):
        require_clear(tmp_path / "run.npz")
