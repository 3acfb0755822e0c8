"""Formats against NumPy, ml_dtypes and a table of every number with its midpoints."""

from collections.abc import Callable
from dataclasses import FrozenInstanceError
from typing import Any

import numpy as np
import pytest

from backproplab import formats
from backproplab.formats import Format, quantize

NAMES = formats.names()
SMALL = tuple(name for name in NAMES if formats.get(name).bits <= 16)
NO_NAN = tuple(name for name in NAMES if not formats.get(name).has_nan)
OVERFLOWS = [
    *((name, "inf") for name in NAMES if formats.get(name).has_inf),
    *((name, "nan") for name in NAMES if formats.get(name).has_nan),
    *((name, "saturate") for name in NAMES),
]
FLOATS = (np.float32, np.float64)


def grid(fmt: Format) -> np.ndarray:
    """Numbers >= 0 in the order of their bits, and the one that would follow max."""
    p, half = fmt.precision, 2 ** (fmt.precision - 1)
    binades = [np.arange(half) * 2.0 ** (fmt.emin + 1 - p)]
    for exponent in range(fmt.emin, fmt.emax + 1):
        binades.append(np.arange(half, 2 * half) * 2.0 ** (exponent + 1 - p))
    numbers = np.concatenate([*binades, [2.0 ** (fmt.emax + 1)]])
    return np.append(numbers[numbers <= fmt.max], numbers[numbers > fmt.max][0])


def float64(x: np.ndarray) -> np.ndarray:
    """The same numbers in float64; a signalling NaN makes no noise."""
    with np.errstate(invalid="ignore"):
        return x.astype(np.float64)


@np.errstate(invalid="ignore")
def by_table(x: np.ndarray, fmt: Format, rounding: str, beyond: float) -> np.ndarray:
    """Round by looking for the neighbours of each number: exact, from any float."""
    size = np.abs(float64(x))
    numbers = grid(fmt)
    lower = np.clip(np.searchsorted(numbers, size, "right") - 1, 0, numbers.size - 2)
    # A midpoint has p + 1 bits: exact in float64.
    middle = (numbers[lower] + numbers[lower + 1]) / 2
    up = (size > middle) | ((size == middle) & (lower % 2 == 1))
    y = numbers[lower + (up if rounding == "nearest" else 0)]
    y = np.where((y > fmt.max) | np.isinf(size), beyond, y)
    return np.copysign(np.where(np.isnan(size), np.nan, y), x)


def inputs(fmt: Format, dtype: type, count: int, seed: int = 0) -> np.ndarray:
    """Any bits; the format's range; its numbers and midpoints, and floats beside."""
    rng = np.random.default_rng(seed)
    bits = rng.integers(0, 256, count * np.dtype(dtype).itemsize, dtype=np.uint8)
    with np.errstate(all="ignore"):
        exponents = rng.uniform(fmt.emin - fmt.precision - 2, fmt.emax + 2, count)
        near = (rng.choice([-1.0, 1.0], count) * np.exp2(exponents)).astype(dtype)
        edges = []
        if fmt.bits <= 16:
            numbers = grid(fmt)
            edges = [numbers, (numbers[:-1] + numbers[1:]) / 2]
        special = [0.0, np.inf, np.nan, fmt.max, fmt.overflow_threshold]
        exact = np.concatenate([*edges, special]).astype(dtype)
        beside = [np.nextafter(exact, dtype(end)) for end in (-np.inf, np.inf)]
        exact = np.concatenate([exact, *beside])
    return np.concatenate([bits.view(dtype), near, exact, -exact])


def same(want: np.ndarray, got: np.ndarray) -> bool:
    """Equal numbers with equal signs, those of zeros and NaNs included."""
    equal = np.array_equal(want, got, equal_nan=True)
    return equal and np.array_equal(np.signbit(want), np.signbit(got))


def cast(x: np.ndarray, name: str) -> np.ndarray:
    """NumPy's or ml_dtypes' cast to the format and back to x's dtype."""
    ml_dtypes = pytest.importorskip("ml_dtypes")
    with np.errstate(all="ignore"):
        return x.astype(vars(ml_dtypes).get(name, name)).astype(x.dtype)


def default_beyond(fmt: Format) -> float:
    return {"inf": np.inf, "nan": np.nan, "saturate": fmt.max}[fmt.default_overflow]


def test_same_sees_a_sign_and_a_nan() -> None:
    zero, nan = np.array([0.0]), np.array([np.nan])

    assert same(zero, zero)
    assert same(nan, nan)
    assert not same(zero, -zero)
    assert not same(nan, -nan)
    assert not same(zero, nan)


# Limits


@pytest.mark.parametrize("name", ["float16", "float32", "float64"])
def test_limits_are_those_of_numpy(name: str) -> None:
    fmt, info = formats.get(name), np.finfo(name)

    assert info.bits == fmt.bits
    assert info.max == fmt.max
    assert info.smallest_normal == fmt.min_normal
    assert info.smallest_subnormal == fmt.min_subnormal
    assert info.eps / 2 == fmt.unit_roundoff
    assert (info.minexp, info.maxexp - 1) == (fmt.emin, fmt.emax)


@pytest.mark.parametrize("name", SMALL)
def test_limits_are_those_of_ml_dtypes(name: str) -> None:
    ml_dtypes = pytest.importorskip("ml_dtypes")
    fmt, info = formats.get(name), ml_dtypes.finfo(vars(ml_dtypes).get(name, name))

    assert float(info.max) == fmt.max
    assert float(info.smallest_normal) == fmt.min_normal
    assert float(info.smallest_subnormal) == fmt.min_subnormal
    assert float(info.eps) / 2 == fmt.unit_roundoff
    assert info.bits == fmt.bits


@pytest.mark.parametrize(
    ("name", "largest", "threshold"),
    [
        ("float16", 65504, 65520),
        ("float8_e4m3fn", 448, 464),
        ("float8_e5m2", 57344, 61440),
        ("float6_e3m2fn", 28, 30),
        ("float6_e2m3fn", 7.5, 7.75),
        ("float4_e2m1fn", 6, 7),
    ],
)
def test_published_limits_come_out(name: str, largest: float, threshold: float) -> None:
    fmt = formats.get(name)

    assert largest == fmt.max
    assert threshold == fmt.overflow_threshold


def test_a_format_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        formats.get("float16").precision = 12  # type: ignore[misc]


# Rounding to nearest


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", SMALL)
def test_nearest_is_the_nearer_number_or_the_even_one(name: str, dtype: type) -> None:
    fmt = formats.get(name)
    x = inputs(fmt, dtype, 400_000)

    assert same(by_table(x, fmt, "nearest", default_beyond(fmt)), quantize(x, name))


@pytest.mark.parametrize("name", NAMES)
def test_nearest_is_the_cast_of_numpy_and_ml_dtypes(name: str) -> None:
    fmt = formats.get(name)
    x = inputs(fmt, np.float32, 500_000, seed=1)
    x = x if fmt.has_nan else x[~np.isnan(x)]

    assert same(cast(x, name), quantize(x, name))


def test_float64_to_float32_is_the_cast_of_numpy() -> None:
    x = inputs(formats.get("float32"), np.float64, 500_000)
    with np.errstate(all="ignore"):
        want = x.astype(np.float32).astype(np.float64)

    assert same(want, quantize(x, "float32"))


@pytest.mark.parametrize("name", SMALL)
def test_float64_is_rounded_once(name: str) -> None:
    fmt = formats.get(name)
    above_tie = 1 + fmt.unit_roundoff + 2.0**-40

    assert quantize(np.float32(above_tie), name) == 1
    assert quantize(above_tie, name) == 1 + 2 * fmt.unit_roundoff


@pytest.mark.parametrize("name", NAMES)
def test_every_float16_is_rounded_right(name: str) -> None:
    fmt = formats.get(name)
    x = np.arange(2**16, dtype=np.uint16).view(np.float16)
    want = quantize(float64(x), name)

    got = quantize(x, name)

    assert same(want, float64(got))
    assert (np.float16 if fmt.emax <= 15 else np.float32) == got.dtype


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_ten_million_numbers_are_cast_alike(name: str) -> None:
    fmt = formats.get(name)
    x = inputs(fmt, np.float32, 5_000_000, seed=2)
    x = x if fmt.has_nan else x[~np.isnan(x)]

    assert same(cast(x, name), quantize(x, name))


@pytest.mark.parametrize("name", ["float8_e3m4", "float8_e4m3"])
def test_a_format_of_ones_own_is_rounded_to(name: str) -> None:
    exponent_bits = int(name[-3])
    fmt = Format(name, exponent_bits, 8 - exponent_bits)
    x = inputs(fmt, np.float32, 100_000)

    assert same(cast(x, name), quantize(x, fmt))


# Other roundings


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", SMALL)
def test_toward_zero_is_the_lower_magnitude(name: str, dtype: type) -> None:
    fmt = formats.get(name)
    x = inputs(fmt, dtype, 100_000, seed=3)
    want = by_table(x, fmt, "toward_zero", default_beyond(fmt))
    beyond = np.isfinite(x) & (np.abs(float64(x)) > fmt.max)
    want = np.where(beyond, np.copysign(fmt.max, x), want)

    assert same(want, quantize(x, name, "toward_zero"))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", SMALL)
def test_stochastic_has_x_for_its_mean(name: str, dtype: type) -> None:
    fmt, draws = formats.get(name), 40_000
    rng = np.random.default_rng(4)
    steps = np.array([[0.3], [-0.3], [1.75], [-2.0]])
    x = (steps * fmt.min_subnormal).astype(dtype)
    x = np.concatenate([x, np.array([[1 + fmt.unit_roundoff / 2], [-1.4]], dtype)])

    y = float64(quantize(np.tile(x, draws), name, "stochastic", rng=rng))

    q = formats.ulp(x, name)
    up = np.abs(np.fmod(float64(x), q)) / q
    sd = q * np.sqrt(up * (1 - up))
    assert np.all(np.abs(y.mean(axis=1, keepdims=True) - x) <= 5 * sd / draws**0.5)
    assert np.all(np.abs(y - x) < q)
    assert formats.on_grid(y, name)


class EveryDraw(np.random.Generator):
    """Draws each of 2^16 outcomes once."""

    def integers(self, high: int, size: int, dtype: Any) -> np.ndarray:  # type: ignore[override]
        assert high == size == 2**16
        return np.arange(size, dtype=dtype)

    def random(self, size: int) -> np.ndarray:  # type: ignore[override]
        return np.arange(size) / size


@pytest.mark.parametrize("part", [0, 1, 12345, 2**15, 2**16 - 1])
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", SMALL)
def test_the_odds_of_stochastic_are_exact(name: str, dtype: type, part: int) -> None:
    steps = np.array([[0], [1], [-1]]) + np.array([[1], [1], [-1]]) * part / 2**16
    x = (steps * formats.get(name).min_subnormal).astype(dtype)
    rng = EveryDraw(np.random.PCG64(0))

    y = quantize(np.tile(x, 2**16), name, "stochastic", rng=rng)

    assert np.array_equal(x[:, 0], y.mean(axis=1, dtype=np.float64))


@pytest.mark.parametrize("name", NAMES)
def test_stochastic_leaves_the_grid_where_it_is(name: str) -> None:
    fmt = formats.get(name)
    x = quantize(inputs(fmt, np.float64, 1000), name)

    assert same(x, quantize(x, name, "stochastic", rng=np.random.default_rng(0)))


@pytest.mark.parametrize("name", SMALL)
def test_stochastic_overflows_from_max_with_the_same_odds(name: str) -> None:
    fmt = formats.get(name)
    x = np.full(40_000, fmt.max + (fmt.overflow_threshold - fmt.max) / 2)
    x = x.astype(np.float32)

    y = quantize(x, name, "stochastic", rng=np.random.default_rng(5))

    past = np.mean(y != fmt.max)
    want = 0.25 if fmt.default_overflow != "saturate" else 0
    assert abs(past - want) <= 5 * (want * (1 - want) / x.size) ** 0.5


def test_chance_comes_from_the_generator_alone() -> None:
    x = np.random.default_rng(0).standard_normal(100_000)

    first, again, other = (
        quantize(x, "bfloat16", "stochastic", rng=np.random.default_rng(seed))
        for seed in (1, 1, 2)
    )

    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("rounding", ["nearest", "toward_zero"])
def test_a_generator_not_asked_for_is_not_used(rounding: Any) -> None:
    rng = np.random.default_rng(0)
    before = rng.bit_generator.state

    quantize(np.linspace(0, 1), "bfloat16", rounding, rng=rng)

    assert before == rng.bit_generator.state


# Facts of the notebook


def test_small_updates_are_lost_in_float16_and_kept_by_chance() -> None:
    rng = np.random.default_rng(6)
    nearest, chance = np.ones(1, np.float32), np.ones(2000, np.float32)
    for _ in range(4096):
        nearest = quantize(nearest + np.float32(2**-12), "float16")
        chance = quantize(chance + np.float32(2**-12), "float16", "stochastic", rng=rng)

    sd = 0.027
    assert 1.0 == nearest
    assert abs(chance.mean() - 2.0) < 5 * sd / 2000**0.5
    assert abs(chance.std() - sd) < 5 * sd / 4000**0.5


@pytest.mark.parametrize(("name", "stuck"), [("float16", 2048), ("bfloat16", 256)])
def test_a_running_sum_of_ones_gets_stuck(name: str, stuck: int) -> None:
    total = np.float32(0)
    for _ in range(3000):
        total = quantize(total + 1, name)

    assert stuck == total


def test_exp_passes_the_max_of_float16_at_11_0899_and_is_inf_from_11_0902() -> None:
    y = np.exp([11.0898, 11.0899, 11.0901, 11.0902])

    assert [False, True, True, True] == (y > formats.get("float16").max).tolist()
    assert [False, False, False, True] == np.isinf(quantize(y, "float16")).tolist()


# Overflow, infinities, NaN, zeros


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(
    ("name", "overflow"), [pair for pair in OVERFLOWS if pair[0] in SMALL]
)
def test_overflow_gives_what_is_asked(name: str, overflow: Any, dtype: type) -> None:
    fmt = formats.get(name)
    x = inputs(fmt, dtype, 50_000, seed=7)
    beyond = {"inf": np.inf, "nan": np.nan, "saturate": fmt.max}[overflow]

    got = quantize(x, name, overflow=overflow)

    assert same(by_table(x, fmt, "nearest", beyond), got)


@pytest.mark.parametrize("source", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("name", ["float64", "float32", "float16"])
def test_infinities_follow_overflow_where_nothing_is_rounded(
    name: str, source: type
) -> None:
    largest = min(formats.get(name).max, float(np.finfo(source).max))
    x = np.array([-np.inf, largest, np.inf], source)

    saturated = quantize(x, name, overflow="saturate")
    to_nan = quantize(x, name, overflow="nan")

    end = min(formats.get(name).max, float(np.finfo(saturated.dtype).max))
    assert [-end, largest, end] == saturated.tolist()
    assert [True, False, True] == np.isnan(to_nan).tolist()
    assert x[1] == to_nan[1]


@pytest.mark.parametrize("overflow", [None, "saturate"])
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", FLOATS)
def test_nan_keeps_its_sign_and_payload(dtype: type, name: str, overflow: Any) -> None:
    unsigned = f"u{np.dtype(dtype).itemsize}"
    payloads = np.array([1, 2, 12345, 2**22 - 1, 2**22, 2**22 + 1], unsigned)
    x = (np.array(np.inf, dtype).view(unsigned) | payloads).view(dtype)
    x = np.concatenate([x, -x])

    got = quantize(x, name, overflow=overflow)

    assert x.tobytes() == got.tobytes()
    assert formats.on_grid(x, name)
    assert np.isnan(formats.ulp(x, name)).all()
    assert np.isnan(formats.neighbours(x, name)).all()


@pytest.mark.parametrize("rounding", ["nearest", "toward_zero", "stochastic"])
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", FLOATS)
def test_zeros_and_underflows_keep_their_sign(
    dtype: type, name: str, rounding: Any
) -> None:
    tiny = np.finfo(dtype).smallest_subnormal
    x = np.array([0.0, -0.0, tiny, -tiny, tiny, -tiny], dtype)

    got = quantize(x, name, rounding, rng=np.random.default_rng(0))

    assert [False, True, False, True, False, True] == np.signbit(got).tolist()


# What goes in, what comes out


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("shape", [(), (0,), (0, 3), (1,), (2, 3, 4)])
def test_shape_and_dtype_are_kept(shape: Any, dtype: type, name: str) -> None:
    for fill in (1.5, np.nan):
        x = np.full(shape, fill, dtype)
        got = quantize(x, name)

        assert isinstance(got, np.ndarray)
        assert (x.shape, x.dtype) == (got.shape, got.dtype)
        assert not np.shares_memory(x, got)
        assert x.shape == formats.ulp(x, name).shape
        assert x.shape == formats.neighbours(x, name)[0].shape
        if fill == 1.5:
            assert x.shape == formats.decode(formats.encode(x, name), name).shape


def test_python_floats_are_float64() -> None:
    got = quantize(0.1, "float32")

    assert np.float64 == got.dtype
    assert () == got.shape
    assert float(np.float32(0.1)) == got


def test_strides_and_byte_order_do_not_matter() -> None:
    x = np.random.default_rng(0).standard_normal((200, 300)).astype(np.float32)
    want = quantize(x, "float16")

    assert np.array_equal(want[::-2, 1::3], quantize(x[::-2, 1::3], "float16"))
    assert np.array_equal(want.T, quantize(x.T, "float16"))
    assert np.array_equal(want, quantize(x.astype(">f4"), "float16"))


@pytest.mark.parametrize("rounding", ["nearest", "toward_zero", "stochastic"])
@pytest.mark.parametrize("name", NAMES)
def test_the_input_is_left_alone(name: str, rounding: Any) -> None:
    x = inputs(formats.get(name), np.float32, 1000)
    before = x.copy()

    quantize(x, name, rounding, rng=np.random.default_rng(0))
    formats.encode(x[~np.isnan(x)], name)
    formats.neighbours(x, name)

    assert before.tobytes() == x.tobytes()


# Bits


@pytest.mark.parametrize("name", SMALL)
def test_every_pattern_stands_for_its_number(name: str) -> None:
    ml_dtypes = pytest.importorskip("ml_dtypes")
    fmt = formats.get(name)
    bits = np.arange(2**fmt.bits).astype(np.uint16 if fmt.bits == 16 else np.uint8)
    with np.errstate(all="ignore"):
        want = bits.view(vars(ml_dtypes).get(name, name)).astype(np.float64)

    assert same(want, formats.decode(bits, name))


@pytest.mark.parametrize("name", NAMES)
def test_every_pattern_comes_back(name: str) -> None:
    fmt = formats.get(name)
    if fmt.bits <= 16:
        bits = np.arange(2**fmt.bits).astype(np.uint16 if fmt.bits == 16 else np.uint8)
    else:
        dtype = np.uint32 if fmt.bits == 32 else np.uint64
        bits = np.random.default_rng(0).integers(2**fmt.bits, size=10**5, dtype=dtype)
        special = np.array([0, 1, 2**31, 2**32 - 1, 0x7FF << 20, 0xFF << 23])
        bits = np.concatenate([bits, special.astype(dtype) << (fmt.bits - 32)])
        bits = np.concatenate([bits, bits >> 9, bits >> 12])

    got = formats.encode(formats.decode(bits, name), name)

    assert bits.dtype == got.dtype
    assert np.array_equal(bits, got)


@pytest.mark.parametrize("name", ["float32", "float64"])
def test_wide_patterns_are_those_of_numpy(name: str) -> None:
    x = inputs(formats.get(name), np.dtype(name).type, 100_000, seed=8)
    bits = formats.encode(x[~np.isnan(x)], name)

    assert x[~np.isnan(x)].tobytes() == bits.tobytes()
    assert same(float64(x), formats.decode(x.view(bits.dtype), name))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", SMALL)
def test_encode_rounds_to_nearest(name: str, dtype: type) -> None:
    x = inputs(formats.get(name), dtype, 50_000, seed=9)
    x = x if formats.get(name).has_nan else x[~np.isnan(x)]
    want = float64(quantize(x, name))

    assert same(want, formats.decode(formats.encode(x, name), name))


def test_a_nan_without_room_for_its_payload_stays_a_nan() -> None:
    x = np.array([0x7FF0000000000001], np.uint64).view(np.float64)

    assert [0x7FFF] == formats.encode(x, "float16").tolist()
    assert [0x7F] == formats.encode(x, "float8_e4m3fn").tolist()


# Spacing


@pytest.mark.parametrize("name", SMALL)
def test_ulp_is_the_gap_to_the_next_number(name: str) -> None:
    numbers = grid(formats.get(name))

    assert np.array_equal(np.diff(numbers), formats.ulp(numbers[:-1], name))
    assert np.array_equal(np.diff(numbers), formats.ulp(-numbers[:-1], name))


@pytest.mark.parametrize("name", ["float16", "float32", "float64"])
def test_ulp_is_the_spacing_of_numpy(name: str) -> None:
    x = inputs(formats.get(name), np.dtype(name).type, 10_000)
    x = np.abs(x[np.abs(x) < formats.get(name).max])

    assert np.array_equal(float64(np.spacing(x)), formats.ulp(x, name))


@pytest.mark.parametrize("name", NAMES)
def test_ulp_of_infinities_and_nan_is_nan(name: str) -> None:
    assert np.isnan(formats.ulp([np.inf, -np.inf, np.nan], name)).all()


def test_ulp_beyond_max_is_the_spacing_at_max() -> None:
    assert 32 == formats.ulp(1e9, "float8_e4m3fn")


@pytest.mark.parametrize("name", SMALL)
def test_neighbours_are_the_next_numbers_of_the_table(name: str) -> None:
    fmt = formats.get(name)
    x = inputs(fmt, np.float64, 20_000)
    x = x[~np.isnan(x)]
    numbers = grid(fmt)[:-1]
    numbers = np.concatenate([[-np.inf], -numbers[:0:-1], numbers, [np.inf]])
    left = np.searchsorted(numbers[1:-1], x, "left")
    right = np.searchsorted(numbers[1:-1], x, "right") + 1

    below, above = formats.neighbours(x, name)

    assert np.array_equal(numbers[left], below)
    assert np.array_equal(numbers[right], above)


def test_neighbours_of_float32_are_those_of_numpy() -> None:
    x = inputs(formats.get("float32"), np.float32, 20_000)
    x = x[np.isfinite(x)]
    with np.errstate(over="ignore"):
        want = [np.nextafter(x, np.float32(end)) for end in (-np.inf, np.inf)]

    below, above = formats.neighbours(x, "float32")

    assert np.array_equal(want[0], below)
    assert np.array_equal(want[1], above)


def test_the_neighbours_of_nan_are_nan() -> None:
    assert np.isnan(formats.neighbours(np.nan, "float4_e2m1fn")).all()


# On the grid


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", SMALL)
def test_the_grid_is_on_the_grid_and_nothing_beside_it(name: str, dtype: type) -> None:
    numbers = grid(formats.get(name))[:-1].astype(dtype)
    beside = np.nextafter(numbers, dtype(np.inf))

    assert formats.on_grid(numbers, name)
    assert formats.on_grid(-numbers, name)
    assert not any(formats.on_grid(x, name) for x in beside[::97])


@pytest.mark.parametrize("name", NAMES)
def test_zeros_infinities_nan_and_nothing_are_on_every_grid(name: str) -> None:
    assert formats.on_grid([0.0, -0.0, np.inf, -np.inf, np.nan], name)
    assert formats.on_grid([], name)


def test_beyond_max_is_off_the_grid() -> None:
    assert formats.on_grid(65504.0, "float16")
    assert not formats.on_grid(65536.0, "float16")
    assert not formats.on_grid(np.float32(65536.0), "float16")
    assert not formats.on_grid(480.0, "float8_e4m3fn")
    assert formats.on_grid(np.float16(0.1), "float32")
    assert not formats.on_grid(np.float16(0.1), "bfloat16")


# Messages


def message(call: Callable[[], object], error: type[Exception]) -> str:
    with pytest.raises(error) as caught:
        call()
    assert error is caught.type
    return str(caught.value)


KNOWN = (
    "float64, float32, float16, bfloat16, float8_e5m2, float8_e4m3fn, float6_e3m2fn, "
    "float6_e2m3fn, float4_e2m1fn"
)


@pytest.mark.parametrize("unknown", ["fp16", 16, None, ["float16"], np.float16])
def test_an_unknown_format_is_answered_with_the_known_ones(unknown: Any) -> None:
    want = (
        f"formats.get: seen {unknown!r}; required one of {KNOWN}.\n"
        "  help: pass one of these names, or a formats.Format of your own."
    )

    assert want == message(lambda: formats.get(unknown), ValueError)
    assert want == message(lambda: quantize(1.0, unknown), ValueError)


@pytest.mark.parametrize(
    "caller", ["quantize", "encode", "ulp", "neighbours", "on_grid"]
)
@pytest.mark.parametrize("x", [1, [1, 2], True, 1j, "1", None])
def test_only_floats_are_rounded(caller: str, x: Any) -> None:
    want = (
        f"{caller}: seen x of dtype {np.asarray(x).dtype}; required float16, float32 "
        "or float64.\n"
        "  help: choose the floats to start from: np.asarray(x, dtype=np.float64)."
    )

    assert want == message(lambda: vars(formats)[caller](x, "float16"), TypeError)


def test_an_unknown_rounding_is_answered_with_the_known_ones() -> None:
    assert (
        "quantize: seen rounding='up'; required 'nearest', 'stochastic' or "
        "'toward_zero'.\n"
        "  help: leave it out to round to nearest, ties to even."
    ) == message(lambda: quantize(1.0, "float16", "up"), ValueError)  # type: ignore[arg-type]


@pytest.mark.parametrize("rng", [None, 0])
def test_stochastic_needs_a_generator(rng: Any) -> None:
    assert (
        f"quantize: seen rounding='stochastic' and rng={rng}; required a "
        "np.random.Generator.\n"
        "  help: pass rng=np.random.default_rng(0)."
    ) == message(lambda: quantize(1.0, "float16", "stochastic", rng=rng), ValueError)


@pytest.mark.parametrize(
    ("name", "overflow", "choices", "default"),
    [
        ("float16", "clip", "'inf' or 'nan' or 'saturate'", "inf"),
        ("float8_e4m3fn", "inf", "'nan' or 'saturate'", "nan"),
        ("float4_e2m1fn", "nan", "'saturate'", "saturate"),
    ],
)
def test_overflow_must_be_something_the_format_has(
    name: str, overflow: Any, choices: str, default: str
) -> None:
    assert (
        f"quantize: seen overflow={overflow!r}; required {choices} for {name}.\n"
        f"  help: leave it out for {default!r}."
    ) == message(lambda: quantize(1.0, name, overflow=overflow), ValueError)


@pytest.mark.parametrize("name", NO_NAN)
def test_nan_has_no_pattern_in_a_format_without_nan(name: str) -> None:
    assert (
        f"encode: seen NaN in x; required numbers, since {name} has no NaN.\n"
        "  help: replace it first: np.nan_to_num(x)."
    ) == message(lambda: formats.encode([1.0, np.nan], name), ValueError)


def test_patterns_are_integers() -> None:
    assert (
        "decode: seen bits of dtype float64; required integers.\n"
        "  help: bit patterns come from encode(x, fmt)."
    ) == message(lambda: formats.decode([1.0], "float16"), TypeError)


@pytest.mark.parametrize(("low", "high"), [(-1, 3), (0, 64)])
def test_patterns_must_fit_the_format(low: int, high: int) -> None:
    assert (
        f"decode: seen bits from {low} to {high}; required 0 to 63, since "
        "float6_e2m3fn has 6 bits.\n"
        "  help: bit patterns come from encode(x, fmt)."
    ) == message(lambda: formats.decode([low, high], "float6_e2m3fn"), ValueError)
