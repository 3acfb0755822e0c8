"""States on disk: what goes in comes out, whole or not at all; nothing is pickled."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

import backproplab as bp
from backproplab import nn
from backproplab.errors import DTypeError, NameLookupError

ENDINGS = [".npz", ".safetensors"]
ARRAYS = {
    "fc1.weight": np.arange(6, dtype=np.float32).reshape(2, 3),
    "file": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "half": np.array([0.5, np.inf], np.float16),
    "strided": np.arange(10)[::3],
    "count": np.array(7),
    "flags": np.array([True, False]),
    "empty": np.zeros((0, 3)),
    "a/b.npy": np.array([-1], np.int8),
}


@pytest.fixture(autouse=True)
def need_safetensors(request):
    if ".safetensors" in request.node.name:
        pytest.importorskip("safetensors")


@pytest.mark.parametrize("ending", ENDINGS)
def test_arrays_come_back_as_they_were(tmp_path, ending):
    bp.save(ARRAYS, tmp_path / f"x{ending}")
    back = bp.load(str(tmp_path / f"x{ending}"))

    assert set(back) == set(ARRAYS)
    for name, array in ARRAYS.items():
        assert back[name].dtype == array.dtype
        assert np.array_equal(back[name], array)
        assert back[name].flags.writeable


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_model_comes_back_to_the_same_outputs(tmp_path, ending):
    rng = np.random.default_rng(0)
    one, two = (
        nn.Sequential(nn.Linear(3, 4, rng=rng), nn.BatchNorm1d(4)) for _ in range(2)
    )
    x = rng.normal(size=(5, 3))
    one(x)

    bp.save(one.state_dict(), tmp_path / f"net{ending}")
    two.load_state_dict(bp.load(tmp_path / f"net{ending}"))

    assert np.array_equal(one.eval()(x).data, two.eval()(x).data)


def test_tensors_are_saved_by_their_values(tmp_path):
    bp.save({"x": bp.tensor([1.0, 2.0], requires_grad=True)}, tmp_path / "x.npz")

    assert bp.load(tmp_path / "x.npz")["x"].tolist() == [1.0, 2.0]


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_failed_save_leaves_the_old_file_and_no_other(tmp_path, monkeypatch, ending):
    path = tmp_path / f"x{ending}"
    bp.save({"x": np.ones(2)}, path)

    def fail(*_args):
        raise OSError("the disk is full")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="the disk is full"):
        bp.save({"x": np.zeros(2)}, path)

    assert os.listdir(tmp_path) == [path.name]
    assert bp.load(path)["x"].tolist() == [1.0, 1.0]


def test_bfloat16_of_other_libraries_is_read_as_float32(tmp_path):
    pytest.importorskip("safetensors")
    halves = np.array([1.5, -2.0, 3e38], np.float32).view(np.uint32) >> 16
    entry = {"dtype": "BF16", "shape": [3], "data_offsets": [0, 6]}
    header = json.dumps({"x": entry}).encode()
    (tmp_path / "x.safetensors").write_bytes(
        len(header).to_bytes(8, "little") + header + halves.astype("<u2").tobytes()
    )

    x = bp.load(tmp_path / "x.safetensors")["x"]

    assert x.dtype == np.float32
    assert x[:2].tolist() == [1.5, -2.0]
    assert abs(x[2] / 3e38 - 1) < 2**-8


@pytest.mark.parametrize(
    ("state", "path", "kind", "message"),
    [
        (
            {},
            "net.pt",
            NameLookupError,
            "save: the file is called net.pt; its name must end in .npz or "
            ".safetensors.\n  help: did you mean .npz?",
        ),
        (
            nn.ReLU(),
            "net.npz",
            TypeError,
            "save: state is a ReLU; a dict from names to arrays is required.\n"
            "  help: pass `model.state_dict()`.",
        ),
        (
            {"model": {"w": np.ones(2)}},
            "net.npz",
            DTypeError,
            "save: model is a dict of dtype object; an array of numbers is required.\n"
            "  help: save each dict of arrays in a file of its own.",
        ),
        (
            {"name": "tom"},
            "net.npz",
            DTypeError,
            "save: name is a str of dtype <U3; an array of numbers is required.",
        ),
    ],
)
def test_save_says_what_it_needs(tmp_path, state, path, kind, message):
    with pytest.raises(kind) as error:
        bp.save(state, tmp_path / path)

    assert str(error.value) == message
    assert os.listdir(tmp_path) == []


def test_load_says_when_the_ending_is_unknown(tmp_path):
    with pytest.raises(NameLookupError) as error:
        bp.load(tmp_path / "net.npy")

    assert str(error.value) == (
        "load: the file is called net.npy; its name must end in .npz or .safetensors.\n"
        "  help: did you mean .npz?"
    )


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_missing_file_is_the_systems_own_error(tmp_path, ending):
    with pytest.raises(FileNotFoundError):
        bp.load(tmp_path / f"x{ending}")


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04hello"])
@pytest.mark.parametrize("ending", ENDINGS)
def test_a_broken_file_is_named(tmp_path, ending, content):
    path = tmp_path / f"x{ending}"
    path.write_bytes(content)

    with pytest.raises(
        ValueError, match=rf"^load: x\{ending} is not an? \{ending} file"
    ):
        bp.load(path)


def test_pickled_objects_are_not_opened(tmp_path):
    np.savez(tmp_path / "x.npz", x=np.array([{}]))

    with pytest.raises(ValueError) as error:  # noqa: PT011
        bp.load(tmp_path / "x.npz")

    assert str(error.value) == (
        "load: x.npz is not an .npz file of plain arrays: "
        "Object arrays cannot be loaded when allow_pickle=False"
    )


def test_without_the_library_the_message_names_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "safetensors", None)
    monkeypatch.setitem(sys.modules, "safetensors.numpy", None)

    with pytest.raises(ImportError) as error:
        bp.save({"x": np.ones(1)}, tmp_path / "x.safetensors")

    assert str(error.value) == (
        "the ending .safetensors needs the library of that name, "
        "which is not installed.\n"
        "  help: `pip install safetensors`, or let the name end in .npz."
    )


def test_the_library_is_not_loaded_before_it_is_needed():
    code = "import backproplab, sys; print('safetensors' in sys.modules)"
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )

    assert out.stdout.strip() == "False"


def test_an_array_is_kept_under_a_name(tmp_path):
    with pytest.raises(TypeError) as error:
        bp.save({0: np.ones(2)}, tmp_path / "x.npz")

    assert (
        "save: 0 is a int; each array is kept under a name.\n"
        "  help: an optimizer's state is no dict from names to arrays."
    ) == str(error.value)


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(FileNotFoundError) as error:
        bp.save({"a": np.ones(2)}, tmp_path / "runs" / "x.npz")

    assert (
        f"save: there is no folder {tmp_path / 'runs'}.\n"
        "  help: make it first: `Path(...).mkdir(parents=True)`."
    ) == str(error.value)
