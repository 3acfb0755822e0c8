"""The data floor: digits, points, text and batches say exactly what they promise."""

import hashlib
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backproplab import data
from backproplab.errors import ShapeError

SHAPES = [data.spirals, data.moons, data.xor]
GENERATORS = [*SHAPES, data.markov_text]


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def arrays(made) -> list[np.ndarray]:
    return [made.sequence] if isinstance(made, data.MarkovText) else list(made)


# digits


def test_digits_are_1797_images_of_64_pixels_with_a_label_each():
    images, labels = data.digits()

    assert ((1797, 64), (1797,)) == (images.shape, labels.shape)
    assert (np.float32, np.int64) == (images.dtype, labels.dtype)
    assert (0, 1) == (images.min(), images.max())
    assert list(range(10)) == np.unique(labels).tolist()


def test_digits_give_their_parts_by_name_too():
    digits = data.digits()

    assert digits.images is digits[0]
    assert digits.labels is digits[1]


def test_digits_hold_the_published_pixels():
    images, labels = data.digits(dtype=np.uint8, scale=16)

    assert 561718 == images.sum(dtype=int)
    assert [0, 0, 5, 13, 9, 1, 0, 0] == images[0, :8].tolist()
    assert [178, 182, 177, 183, 181, 182, 181, 179, 174, 180] == np.bincount(
        labels
    ).tolist()


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_every_float_format_holds_the_pixels_exactly(dtype):
    counts = data.digits(dtype=np.uint8, scale=16).images

    np.testing.assert_array_equal(counts, 16 * data.digits(dtype=dtype).images)


def test_the_two_splits_share_no_digit_and_leave_none_out():
    parts = [data.digits(split=split) for split in ("train", "test")]
    rows = [r.tobytes() for images, _ in parts for r in images]

    assert [1437, 360] == [len(labels) for _, labels in parts]
    assert Counter(r.tobytes() for r in data.digits().images) == Counter(rows)


def test_a_split_keeps_each_label_with_its_image():
    images, labels = data.digits()
    pairs = zip(images, labels, strict=True)
    label_of = {image.tobytes(): label for image, label in pairs}

    for split in ("train", "test"):
        for image, label in zip(*data.digits(split=split), strict=True):
            assert label_of[image.tobytes()] == label


def test_the_split_never_changes():
    labels = np.concatenate([data.digits(split=s).labels for s in ("train", "test")])
    seen = hashlib.sha256(labels.astype(np.uint8).tobytes()).hexdigest()

    assert "0f9ffd7948cafb39" == seen[:16]


def test_changing_the_digits_changes_nobody_elses():
    data.digits().images[:] = 7

    assert 1 == data.digits().images.max()


def test_the_digits_file_is_small_and_carries_its_licence():
    folder = Path(data.__file__).parent
    licence = (folder / "digits.LICENSE.txt").read_text()

    assert (folder / "digits.npz").stat().st_size < 60_000
    for word in ("Alpaydin", "Kaynak", "1998", "UCI", "CC BY 4.0"):
        assert word in licence


def test_importing_data_opens_no_data_file():
    code = """
import sys
opened = []
sys.addaudithook(lambda event, args: event == "open" and opened.append(str(args[0])))
import backproplab.data
backproplab.data.digits() if sys.argv[1:] else None
print([path for path in opened if path.endswith(".npz")])
"""
    command = [sys.executable, "-c", code]
    root = Path(__file__).parents[1]
    imported = subprocess.check_output(command, cwd=root, text=True)
    used = subprocess.check_output([*command, "use"], cwd=root, text=True)

    assert "[]" == imported.strip()
    assert "digits.npz" in used


# points


@pytest.mark.parametrize("make", SHAPES)
@given(n=st.integers(1, 40), seed=st.integers(0, 9))
def test_points_lie_in_the_plane_and_every_prefix_is_balanced(make, n, seed):
    points, labels = make(n, rng(seed))

    assert ((n, 2), (n,)) == (points.shape, labels.shape)
    assert (np.float32, np.int64) == (points.dtype, labels.dtype)
    if make is not data.xor:
        assert np.ptp(np.bincount(labels, minlength=labels.max() + 1)) <= 1


@pytest.mark.parametrize("make", SHAPES)
def test_noise_is_the_standard_deviation_of_both_coordinates(make):
    clean, _ = make(40_000, rng(), noise=0, dtype=np.float64)
    noisy, _ = make(40_000, rng(), noise=0.2, dtype=np.float64)
    error = noisy - clean

    # Five standard errors: sd / sqrt(n) of a mean, sd / sqrt(2 n) of a deviation.
    assert np.abs(error.mean(axis=0)).max() < 5 * 0.2 / np.sqrt(40_000)
    assert np.abs(error.std(axis=0) - 0.2).max() < 5 * 0.2 / np.sqrt(80_000)


def test_spiral_arms_grow_to_radius_one_and_never_touch():
    points, labels = data.spirals(300, rng(), noise=0, dtype=np.float64)
    radius = np.hypot(*points.T)
    gaps = np.hypot(*(points[:, None] - points[None]).T)

    for arm in range(3):
        assert (np.diff(radius[labels == arm]) > 0).all()
        assert 1 == pytest.approx(radius[labels == arm].max())
    assert gaps[labels[:, None] != labels].min() > 0.01


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_spirals_have_as_many_arms_as_asked(classes):
    labels = data.spirals(100, rng(), classes=classes).labels

    assert list(range(classes)) == np.unique(labels).tolist()


def test_moons_are_unit_half_circles_around_their_centres():
    points, labels = data.moons(101, rng(), noise=0, dtype=np.float64)
    centre = np.where(labels[:, None] == 0, [0, 0], [1, 0.5])

    np.testing.assert_allclose(np.hypot(*(points - centre).T), 1)
    assert (points[labels == 0, 1] >= 0).all()
    assert (points[labels == 1, 1] <= 0.5).all()


def test_xor_without_noise_is_the_truth_table():
    points, labels = data.xor(8, rng(), noise=0)

    assert labels.tolist() == [int(a) ^ int(b) for a, b in points.tolist()]


# text


def test_a_markov_table_holds_distributions():
    source = data.markov_text(10, rng(), symbols=5, order=3)

    assert ((5, 5, 5, 5), (5, 5, 5)) == (source.table.shape, source.stationary.shape)
    np.testing.assert_allclose(source.table.sum(axis=-1), 1)
    np.testing.assert_allclose(source.stationary.sum(), 1)


@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("seed", range(5))
def test_the_stationary_distribution_stays_as_it_is(order, seed):
    source = data.markov_text(1, rng(seed), symbols=6, order=order)
    one_step_on = (source.stationary[..., None] * source.table).sum(axis=0)

    assert source.stationary.min() > 0
    np.testing.assert_allclose(source.stationary, one_step_on)


def test_entropies_agree_with_their_definitions_term_by_term():
    source = data.markov_text(1, rng(), symbols=3)
    p, pi = source.table, source.stationary
    entropy = bigram = 0.0
    for b in range(3):
        for c in range(3):
            pair = sum(pi[a, b] * p[a, b, c] for a in range(3))
            bigram -= pair * np.log(pair / pi[:, b].sum())
            for a in range(3):
                entropy -= pi[a, b] * p[a, b, c] * np.log(p[a, b, c])

    assert entropy == pytest.approx(source.entropy)
    assert bigram == pytest.approx(source.bigram_entropy)


@given(
    seed=st.integers(0, 2**32),
    symbols=st.integers(2, 9),
    concentration=st.floats(0.01, 10),
)
def test_more_context_never_raises_the_entropy(seed, symbols, concentration):
    source = data.markov_text(
        1, rng(seed), symbols=symbols, concentration=concentration
    )

    rounding = 100 * np.finfo(np.float64).eps
    assert 0 < source.entropy <= source.bigram_entropy + rounding
    assert source.bigram_entropy <= np.log(symbols) + rounding


def test_an_order_1_source_is_a_bigram_model():
    source = data.markov_text(1, rng(), order=1)

    assert source.entropy == pytest.approx(source.bigram_entropy)


def test_a_long_text_scores_the_entropies_that_its_source_promises():
    n = 200_000
    source = data.markov_text(n, rng())
    a, b, c = source.sequence[:-2], source.sequence[1:-1], source.sequence[2:]
    pairs = np.einsum("ab,abc->bc", source.stationary, source.table)
    bigram = pairs / pairs.sum(axis=1, keepdims=True)

    for promised, p in [
        (source.entropy, source.table[a, b, c]),
        (source.bigram_entropy, bigram[b, c]),
    ]:
        loss = -np.log(p)
        assert promised == pytest.approx(loss.mean(), abs=5 * loss.std() / np.sqrt(n))


def test_a_markov_text_is_stationary_from_its_first_symbols():
    stream = rng()
    starts = [data.markov_text(2, stream, symbols=2) for _ in range(2000)]
    p = np.array([source.stationary[0, 1] for source in starts])
    seen = np.array([source.sequence.tolist() == [0, 1] for source in starts])

    assert p.sum() == pytest.approx(seen.sum(), abs=5 * np.sqrt((p * (1 - p)).sum()))


def test_a_markov_text_is_written_in_letters():
    source = data.markov_text(50, rng(), symbols=3)

    assert source.text == "".join("abc"[symbol] for symbol in source.sequence)


@pytest.mark.parametrize("n", [1, 2, 3, 10])
def test_a_markov_text_has_the_length_asked_for(n):
    assert (n,) == data.markov_text(n, rng(), order=3, symbols=4).sequence.shape


# batches


@given(
    n=st.integers(0, 30),
    size=st.integers(1, 40),
    seed=st.integers(0, 5),
)
def test_batches_deal_every_row_once_beside_its_target(n, size, seed):
    x = np.arange(2 * n).reshape(n, 2)
    dealt = list(data.batches(x, -np.arange(n), size, rng(seed)))

    assert -(-n // size) == len(dealt)
    assert all(size == len(xs) for xs, _ in dealt[:-1])
    assert list(range(n)) == sorted(-y for _, ys in dealt for y in ys)
    assert all((xs[:, 0] == -2 * ys).all() for xs, ys in dealt)


def test_each_epoch_has_its_own_order():
    stream, x = rng(), np.arange(50)
    first, second = (next(data.batches(x, x, 50, stream))[0] for _ in range(2))

    assert x.tolist() != first.tolist() != second.tolist()


def test_batches_of_images_keep_their_shape_and_dtype():
    images, labels = data.digits()
    x, y = next(data.batches(images.reshape(-1, 1, 8, 8), labels, 32, rng()))

    assert ((32, 1, 8, 8), (32,)) == (x.shape, y.shape)
    assert (np.float32, np.int64) == (x.dtype, y.dtype)


# randomness


@pytest.mark.parametrize("make", GENERATORS)
def test_the_same_seed_gives_the_same_data_and_another_seed_other_data(make):
    first, same, other = (arrays(make(60, rng(seed))) for seed in (0, 0, 1))

    assert all(np.array_equal(a, b) for a, b in zip(first, same, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(first, other, strict=True))


@pytest.mark.parametrize("make", GENERATORS)
def test_numpys_global_generator_is_left_alone(make):
    np.random.seed(0)  # noqa: NPY002
    before = np.random.get_state()[1].copy()  # noqa: NPY002

    make(10, rng())
    data.digits(split="train")

    np.testing.assert_array_equal(before, np.random.get_state()[1])  # noqa: NPY002


# messages

MESSAGES = {
    'digits: split is \'valid\'; None, "train" or "test" is required.\n'
    '  help: pass split="train" to fit and split="test" to judge.': (
        ValueError,
        lambda: data.digits(split="valid"),
    ),
    "digits: dtype is uint8 and scale is 1.0; "
    "an integer dtype holds only the stored counts, scale 16.\n"
    "  help: pass scale=16, or a floating dtype.": (
        ValueError,
        lambda: data.digits(dtype=np.uint8),
    ),
    "digits: scale is nan; a finite number of at least 0 is required.\n"
    "  help: pass scale=0 or more.": (
        ValueError,
        lambda: data.digits(scale=float("nan")),
    ),
    "moons: rng is 0; a numpy.random.Generator is required.\n"
    "  help: pass rng=np.random.default_rng(0).": (TypeError, lambda: data.moons(9, 0)),
    "xor: n is 2.5; an integer of at least 1 is required.\n"
    "  help: pass n as a whole number, without a decimal point.": (
        TypeError,
        lambda: data.xor(2.5, rng()),
    ),
    "spirals: classes is 1; an integer of at least 2 is required.\n"
    "  help: pass classes=2 or more.": (
        ValueError,
        lambda: data.spirals(9, rng(), classes=1),
    ),
    "spirals: noise is -0.1; a finite number of at least 0 is required.\n"
    "  help: pass noise=0 or more.": (
        ValueError,
        lambda: data.spirals(9, rng(), noise=-0.1),
    ),
    "markov_text: symbols is 26 and order is 3; "
    "at most 26 symbols and 1024 contexts, symbols ** order, are possible.\n"
    "  help: pass a smaller alphabet or order=1.": (
        ValueError,
        lambda: data.markov_text(9, rng(), symbols=26, order=3),
    ),
    "markov_text: concentration is 0; "
    "a finite number of at least 0.01 is required.\n"
    "  help: pass concentration=0.01 or more.": (
        ValueError,
        lambda: data.markov_text(9, rng(), concentration=0),
    ),
    "batches: x is (3, 2) and y is (4,); both need the same number of rows.\n"
    "  help: pass the images and the labels of one and the same split.": (
        ShapeError,
        lambda: data.batches(np.zeros((3, 2)), np.zeros(4), 2, rng()),
    ),
    "batches: size is 0; an integer of at least 1 is required.\n"
    "  help: pass size=1 or more.": (
        ValueError,
        lambda: data.batches(np.zeros(3), np.zeros(3), 0, rng()),
    ),
}


@pytest.mark.parametrize("message", MESSAGES, ids=lambda m: re.match(r"[^;]*", m)[0])
def test_a_bad_argument_is_told_what_to_pass(message):
    error, call = MESSAGES[message]

    with pytest.raises(error) as caught:
        call()

    assert message == str(caught.value)
