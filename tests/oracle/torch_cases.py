"""Which of our ops answers which of PyTorch's, and how the arguments translate.

A case's ``call`` takes a library first (``bp.ops``, or ``autograd.numpy`` as a control)
and then PyTorch's own arguments. ``differs`` says that a sample is beyond what the two
have in common; the reasons stand in ``conventions.py``.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
from conventions import differs

pytest.importorskip("torch")

from torch.nn.attention import SDPBackend, sdpa_kernel


class Case(NamedTuple):
    """Our name, PyTorch's name in its list of ops, and the translation."""

    ours: str
    theirs: str
    call: Callable[..., Any]
    reference: Callable[..., Any] | None = None


def same(ours: str, theirs: str = "") -> Case:
    """The arguments need no translation."""
    return Case(ours, theirs or ours, lambda m, *a, **k: getattr(m, ours)(*a, **k))


# ours:theirs, or one name for both
SAME = """
    add:__radd__ multiply:mul multiply:__rmul__ power:pow negative:neg positive
    reciprocal square abs fabs:abs sign sign:sgn remainder fmod
    maximum maximum:max.binary minimum minimum:min.binary fmax fmin
    sqrt exp exp2 expm1 log log2 log10 log1p logaddexp logaddexp2
    sin cos tan arcsin:asin arccos:acos arctan:atan arctan2:atan2 hypot
    sinh cosh tanh arcsinh:asinh arccosh:acosh arctanh:atanh
    deg2rad rad2deg radians:deg2rad degrees:rad2deg erf sinc
    sigmoid silu:nn.functional.silu
    matmul matmul:mm matmul:mv matmul:bmm linear:nn.functional.linear
    dot vdot inner outer kron trace inv:linalg.inv det:linalg.det
    hstack vstack dstack column_stack fliplr flipud ravel matrix_transpose:mT tile
"""
CASES = [same(*pair.split(":")) for pair in SAME.split()]


def case(ours: str, theirs: str, reference: Callable[..., Any] | None = None) -> Any:
    """Declare a translation."""

    def register(call: Callable[..., Any]) -> Callable[..., Any]:
        CASES.append(Case(ours, theirs, call, reference))
        return call

    return register


def _axis(dim: Any) -> Any:
    """PyTorch takes a list of axes, and () for all."""
    if dim is None or (isinstance(dim, (tuple, list)) and not dim):
        return None
    return tuple(dim) if isinstance(dim, (tuple, list)) else dim


# Arithmetic and activations.


@case("add", "add")
def _(m, x, y, *, alpha=1):
    return m.add(x, m.multiply(alpha, y))


@case("subtract", "sub")
def _(m, x, y, *, alpha=1):
    return m.subtract(x, m.multiply(alpha, y))


@case("subtract", "rsub")
def _(m, x, y, *, alpha=1):
    return m.subtract(y, m.multiply(alpha, x))


@case("divide", "div.no_rounding_mode")
@case("divide", "true_divide")
def _(m, x, y, *, rounding_mode=None):
    return m.divide(x, y)


@case("divide", "__rdiv__")
def _(m, x, y):
    return m.divide(y, x)


@case("power", "__rpow__")
def _(m, x, y):
    return m.power(y, x)


@case("power", "float_power")
def _(m, x, y):
    return m.power(x, y)


@case("matmul", "__rmatmul__")
def _(m, x, y):
    return m.matmul(y, x)


@case("clip", "clamp")
def _(m, x, min=None, max=None):
    return m.clip(x, min, max)


@case("clip", "clamp_min")
def _(m, x, min):
    return m.clip(x, min, None)


@case("clip", "clamp_max")
def _(m, x, max):
    return m.clip(x, None, max)


@case("where", "where")
def _(m, x, condition, y):
    return m.where(condition, x, y)


@case("nan_to_num", "nan_to_num")
def _(m, x, nan=0.0, posinf=None, neginf=None):
    return m.nan_to_num(x, nan=nan or 0.0, posinf=posinf, neginf=neginf)


@case("softplus", "nn.functional.softplus")
def _(m, x, beta=1, threshold=20):
    return m.softplus(x, beta, threshold)


@case("relu", "nn.functional.relu")
def _(m, x, inplace=False):
    return m.relu(x)


@case("leaky_relu", "nn.functional.leaky_relu")
def _(m, x, negative_slope=0.01, inplace=False):
    return m.leaky_relu(x, negative_slope)


@case("elu", "nn.functional.elu")
def _(m, x, alpha=1.0, inplace=False):
    return m.elu(x, alpha)


@case("gelu", "nn.functional.gelu")
def _(m, x, approximate="none"):
    return m.gelu(x, approximate)


@case("softmax", "softmax")
def _(m, x, dim, dtype=None):
    return m.softmax(x, dim)


@case("log_softmax", "log_softmax")
def _(m, x, dim, dtype=None):
    return m.log_softmax(x, dim)


# Reductions.


def _reduction(ours):
    def call(m, x, dim=None, keepdim=False, *, dtype=None):
        if not np.ndim(x) and _axis(dim) is not None:
            differs("an axis of a number")
        return getattr(m, ours)(x, axis=_axis(dim), keepdims=keepdim)

    return call


for _ours, _theirs in {
    "sum": "sum",
    "mean": "mean",
    "prod": "prod",
    "max": "amax",
    "min": "amin",
    "logsumexp": "logsumexp",
}.items():
    CASES.append(Case(_ours, _theirs, _reduction(_ours)))


@case("max", "max.reduction_no_dim")
def _(m, x):
    return m.max(x)


@case("min", "min.reduction_no_dim")
def _(m, x):
    return m.min(x)


def _moment(ours):
    def call(m, x, dim=None, unbiased=None, keepdim=False, *, correction=None):
        if isinstance(dim, bool):
            dim, unbiased = None, dim
        ddof = correction if correction is not None else int(unbiased is not False)
        return getattr(m, ours)(x, axis=_axis(dim), ddof=ddof, keepdims=keepdim)

    return call


for _ours in ("var", "std"):
    CASES.append(Case(_ours, _ours, _moment(_ours)))
    CASES.append(Case(_ours, f"{_ours}.unbiased", _moment(_ours)))


@case("cumsum", "cumsum")
def _(m, x, dim, dtype=None):
    if not np.ndim(x):
        differs("cumsum of a number")
    return m.cumsum(x, dim)


@case("norm", "linalg.vector_norm")
def _(m, x, ord=2, dim=None, keepdim=False, *, dtype=None):
    axis = _axis(dim)
    if not np.ndim(x) and axis is not None:
        differs("an axis of a number")
    if axis is None and np.ndim(x) != 1:
        y = m.norm(m.reshape(x, -1), ord)
        return m.reshape(y, (1,) * np.ndim(x)) if keepdim else y
    if isinstance(axis, tuple) and len(axis) != 1:
        differs("vector norm over several axes")
    return m.norm(x, ord, axis, keepdim)


@case("norm", "linalg.matrix_norm")
def _(m, x, ord="fro", dim=(-2, -1), keepdim=False, *, dtype=None):
    return m.norm(x, ord, tuple(dim), keepdim)


@case("norm", "linalg.norm.subgradients_at_zero")
@case("norm", "linalg.norm")
def _(m, x, ord=None, dim=None, keepdim=False, *, dtype=None):
    axis = _axis(dim)
    if ord == "nuc" and not np.any(x):
        differs("nuclear norm of zeros")
    if axis is None and ord is not None and np.ndim(x) > 2:
        differs("norm of an order over all of many axes")
    return m.norm(x, ord, axis, keepdim)


# Products, decompositions, differences.


def _symmetric_cholesky(op, x, upper=False):
    return op((x + x.mT) / 2, upper=upper)


@case("cholesky", "linalg.cholesky", _symmetric_cholesky)
@case("cholesky", "cholesky", _symmetric_cholesky)
def _(m, x, upper=False):
    return m.cholesky(x, upper=upper)


@case("einsum", "einsum")
def _(m, xs, equation):
    if equation == "...ik, ...j -> ij":
        differs("einsum that sums over an ellipsis")
    return m.einsum(equation, *xs)


@case("solve", "linalg.solve")
def _(m, a, b, *, left=True):
    if not left:
        differs("solve from the right")
    if 1 < np.ndim(b) == np.ndim(a) - 1:
        return m.squeeze(m.solve(a, m.expand_dims(b, -1)), -1)
    return m.solve(a, b)


@case("tensordot", "tensordot")
def _(m, x, y, dims=2):
    if np.shape(x) == (1, 1, 1):
        differs("tensordot that broadcasts")
    return m.tensordot(x, y, dims)


@case("cross", "linalg.cross")
def _(m, x, y, *, dim=-1):
    return m.cross(x, y, axis=dim)


@case("slogdet", "linalg.slogdet")
def _(m, x):
    return tuple(m.slogdet(x))


@case("pinv", "linalg.pinv")
@case("pinv", "pinverse")
def _(m, x, rcond=None, *, rtol=None, atol=None, hermitian=False):
    if hermitian:
        differs("pinv hermitian")
    if np.ndim(rtol):
        rtol = np.asarray(rtol)
    return m.pinv(x, rtol=rtol if rtol is not None else 1e-15)


def _symmetric_eigh(op, x, UPLO="L"):
    w, v = op(x + x.mT)
    return w, v.abs()


@case("eigh", "linalg.eigh", _symmetric_eigh)
def _(m, x, UPLO="L"):
    w, v = m.eigh(m.add(x, m.matrix_transpose(x)))
    return w, m.abs(v)


@case("eigvalsh", "linalg.eigvalsh", lambda op, x, UPLO="L": op(x + x.mT))
def _(m, x, UPLO="L"):
    return m.eigvalsh(m.add(x, m.matrix_transpose(x)))


def _reduced_svd(op, x, full_matrices=True):
    u, s, vh = op(x, full_matrices=False)
    return u.abs(), s, vh.abs()


@case("svd", "linalg.svd", _reduced_svd)
def _(m, x, full_matrices=True):
    u, s, vh = m.svd(x, full_matrices=False)
    return m.abs(u), s, m.abs(vh)


@case("svdvals", "linalg.svdvals")
def _(m, x):
    return m.svdvals(x)


@case("diff", "diff")
def _(m, x, n=1, dim=-1, prepend=None, append=None):
    return m.diff(x, n, dim, prepend, append)


@case("gradient", "gradient")
def _(m, x, *, spacing=None, dim=None, edge_order=1):
    spacing = (
        () if spacing is None else spacing if isinstance(spacing, list) else (spacing,)
    )
    y = m.gradient(x, *spacing, axis=_axis(dim), edge_order=edge_order)
    return y if isinstance(y, tuple) else (y,)


# Shape.


@case("reshape", "reshape")
@case("reshape", "view")
def _(m, x, shape):
    return m.reshape(x, shape)


@case("ravel", "flatten")
def _(m, x, start_dim=0, end_dim=-1):
    if (start_dim, end_dim) != (0, -1):
        differs("flatten of some axes")
    return m.ravel(x)


@case("transpose", "permute")
def _(m, x, dims):
    return m.transpose(x, tuple(dims))


@case("transpose", "T")
def _(m, x):
    return m.transpose(x)


@case("swapaxes", "transpose")
def _(m, x, a, b):
    if not np.ndim(x):
        differs("an axis of a number")
    return m.swapaxes(x, a, b)


@case("moveaxis", "movedim")
def _(m, x, source, destination):
    return m.moveaxis(x, source, destination)


@case("expand_dims", "unsqueeze")
def _(m, x, dim):
    return m.expand_dims(x, dim)


@case("squeeze", "squeeze")
@case("squeeze", "squeeze.multiple")
def _(m, x, dim=None):
    axes = dim if isinstance(dim, (tuple, list)) else (dim,)
    if dim is not None and any(not np.ndim(x) or np.shape(x)[a] != 1 for a in axes):
        differs("squeeze of an axis that is not 1")
    return m.squeeze(x, tuple(dim) if isinstance(dim, (tuple, list)) else dim)


@case("broadcast_to", "broadcast_to")
def _(m, x, shape):
    return m.broadcast_to(x, tuple(shape))


@case("concatenate", "cat")
def _(m, xs, dim=0):
    if len({np.ndim(x) for x in xs}) > 1:
        differs("concatenation with an empty vector")
    return m.concatenate(xs, axis=dim)


def _at_least(ours):
    def call(m, x, *xs):
        xs = x if isinstance(x, (tuple, list)) else (x, *xs)
        return getattr(m, ours)(*xs)

    return call


for _n in (1, 2, 3):
    CASES.append(Case(f"atleast_{_n}d", f"atleast_{_n}d", _at_least(f"atleast_{_n}d")))


@case("diagflat", "diagflat")
def _(m, x, offset=0):
    return m.diagflat(x, offset)


@case("stack", "stack")
def _(m, xs, dim=0):
    return m.stack(xs, axis=dim)


@case("split", "tensor_split")
def _(m, x, sections, dim=0):
    if not isinstance(sections, int):
        sections = np.asarray(sections).tolist()
    return tuple(m.array_split(x, sections, dim))


for _ours in ("hsplit", "vsplit", "dsplit"):
    CASES.append(
        Case(_ours, _ours, lambda m, x, s, name=_ours: tuple(getattr(m, name)(x, s)))
    )


@case("flip", "flip")
def _(m, x, dims):
    return m.flip(x, tuple(dims))


@case("roll", "roll")
def _(m, x, shifts, dims=None):
    return m.roll(x, shifts, dims)


@case("rot90", "rot90")
def _(m, x, k=1, dims=(0, 1)):
    return m.rot90(x, k, dims)


@case("tril", "tril")
def _(m, x, diagonal=0):
    return m.tril(x, diagonal)


@case("triu", "triu")
def _(m, x, diagonal=0):
    return m.triu(x, diagonal)


@case("diagonal", "diagonal")
def _(m, x, offset=0, dim1=0, dim2=1):
    return m.diagonal(x, offset, dim1, dim2)


@case("diagonal", "linalg.diagonal")
def _(m, x, *, offset=0, dim1=-2, dim2=-1):
    return m.diagonal(x, offset, dim1, dim2)


@case("diag", "diag")
def _(m, x, diagonal=0):
    return m.diag(x, diagonal)


@case("tile", "repeat")
def _(m, x, *repeats):
    return m.tile(x, repeats[0] if len(repeats) == 1 else repeats)


@case("repeat", "repeat_interleave")
def _(m, x, repeats, dim=None, *, output_size=None):
    if not np.ndim(x) and dim is not None:
        differs("an axis of a number")
    return m.repeat(x, repeats, dim)


def _pad(mode):
    def call(m, x, pad, mode_="constant", value=None):
        if min(pad, default=0) < 0:
            differs("negative padding")
        widths = [(0, 0)] * (np.ndim(x) - len(pad) // 2)
        pairs = list(zip(pad[::2], pad[1::2], strict=True))[::-1]
        more = {"constant_values": value or 0} if mode == "constant" else {}
        return m.pad(x, widths + pairs, mode, **more)

    return call


for _mode, _name in {
    "constant": "constant",
    "reflect": "reflect",
    "edge": "replicate",
    "wrap": "circular",
}.items():
    CASES.append(Case("pad", f"nn.functional.pad.{_name}", _pad(_mode)))


# Indexing.


@case("getitem", "__getitem__")
def _(m, x, index):
    return m.getitem(x, index)


@case("take", "index_select")
def _(m, x, dim, index):
    if not np.ndim(x):
        differs("an axis of a number")
    return m.take(x, index, axis=dim)


@case("take", "take")
def _(m, x, index):
    return m.take(x, index)


@case("take_along_axis", "take_along_dim")
def _(m, x, index, dim=None):
    if dim is None:
        index = np.ravel(index)
    return m.take_along_axis(x, index, dim)


@case("take_along_axis", "gather")
def _(m, x, dim, index, *, sparse_grad=False):
    if not np.ndim(x):
        differs("an axis of a number")
    if not np.size(index):
        differs("gather of nothing")
    # what gather does with an index that is smaller on the other axes
    cut = [slice(n) for n in np.shape(index)]
    cut[dim] = slice(None)
    return m.take_along_axis(m.getitem(x, tuple(cut)), index, dim)


@case("scatter_add", "scatter_add")
def _(m, x, dim, index, source):
    if not np.ndim(x):
        differs("an axis of a number")
    if np.shape(source) != np.shape(index):
        source = m.getitem(source, tuple(slice(n) for n in np.shape(index)))
    return m.scatter_add(x, dim, index, source)


@case("sort", "sort", lambda op, *a, **k: op(*a, **k)[0])
def _(m, x, dim=-1, descending=False, stable=False):
    if not np.ndim(x):
        differs("an axis of a number")
    if descending:
        return m.negative(m.sort(m.negative(x), dim))
    return m.sort(x, dim)


@case("sort", "msort")
def _(m, x):
    return m.sort(x, 0)


# Losses.


@case("mse_loss", "nn.functional.mse_loss")
def _(m, x, y, reduction="mean"):
    return m.mse_loss(x, y, reduction=reduction)


@case("l1_loss", "nn.functional.l1_loss")
def _(m, x, y, reduction="mean"):
    return m.l1_loss(x, y, reduction=reduction)


@case("huber_loss", "nn.functional.huber_loss")
def _(m, x, y, reduction="mean", delta=1.0):
    return m.huber_loss(x, y, reduction=reduction, delta=delta)


@case("smooth_l1_loss", "nn.functional.smooth_l1_loss")
def _(m, x, y, reduction="mean", beta=1.0):
    return m.smooth_l1_loss(x, y, reduction=reduction, beta=beta)


@case(
    "binary_cross_entropy_with_logits",
    "nn.functional.binary_cross_entropy_with_logits",
)
def _(m, x, y, weight=None, reduction="mean", pos_weight=None):
    return m.binary_cross_entropy_with_logits(
        x, y, weight=weight, reduction=reduction, pos_weight=pos_weight
    )


@case("kl_div", "nn.functional.kl_div")
def _(m, x, y, reduction="mean", log_target=False):
    return m.kl_div(x, y, reduction=reduction, log_target=log_target)


@case("cross_entropy", "nn.functional.cross_entropy")
def _(m, x, y, **options):
    return m.cross_entropy(x, y, **options)


@case("nll_loss", "nn.functional.nll_loss")
def _(m, x, y, **options):
    return m.nll_loss(x, y, **options)


# Normalisation.


@case("layer_norm", "nn.functional.layer_norm")
def _(m, x, shape, weight=None, bias=None, eps=1e-5):
    return m.layer_norm(x, tuple(shape), weight, bias, eps)


@case("group_norm", "nn.functional.group_norm")
def _(m, x, groups, weight=None, bias=None, eps=1e-5):
    return m.group_norm(x, groups, weight, bias, eps)


@case("rms_norm", "nn.functional.rms_norm")
def _(m, x, shape, weight=None, eps=None):
    return m.rms_norm(x, tuple(shape), weight, eps)


@case("batch_norm", "nn.functional.batch_norm")
def _(m, x, mean, var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5):
    if not np.size(x):
        differs("batch norm of nothing")
    if not training:
        differs("batch norm in evaluation")
    return m.batch_norm(x, weight, bias, eps=eps)


# Convolution, pooling, lookup, attention.


@case("conv1d", "nn.functional.conv1d")
def _(m, x, w, b=None, stride=1, padding=0, dilation=1, groups=1):
    return m.conv1d(x, w, b, stride, padding, dilation, groups)


@case("conv2d", "nn.functional.conv2d")
def _(m, x, w, b=None, stride=1, padding=0, dilation=1, groups=1):
    return m.conv2d(x, w, b, stride, padding, dilation, groups)


def _pooled(op, *args, **options):
    y = op(*args, **options)
    return y[0] if isinstance(y, tuple) else y


@case("max_pool2d", "nn.functional.max_pool2d", _pooled)
def _(m, x, kernel_size, return_indices=False, **options):
    return m.max_pool2d(x, kernel_size, **options)


@case("avg_pool2d", "nn.functional.avg_pool2d")
def _(m, x, kernel_size, stride=None, padding=0, *args, **options):
    padding = padding[0] if np.size(padding) == 1 and np.ndim(padding) else padding
    return m.avg_pool2d(x, kernel_size, stride or None, padding, *args, **options)


@case("unfold", "nn.functional.unfold")
def _(m, x, *args, **options):
    return m.unfold(x, *args, **options)


@case("embedding", "nn.functional.embedding")
def _(m, w, ids, **options):
    if options.keys() - {"padding_idx"}:
        differs("embedding that changes its table")
    return m.embedding(ids, w, **options)


def _by_the_formula(op, *args, **options):
    with sdpa_kernel(SDPBackend.MATH):
        return op(*args, **options)


@case(
    "scaled_dot_product_attention",
    "nn.functional.scaled_dot_product_attention",
    _by_the_formula,
)
def _(m, q, k, v, *, dropout_p=0.0, **options):
    if dropout_p:
        differs("random dropout")
    if "enable_gqa" in options:
        differs("attention with grouped queries")
    return m.scaled_dot_product_attention(q, k, v, **options)
