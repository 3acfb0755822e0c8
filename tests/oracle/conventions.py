"""Where we differ from PyTorch on purpose, and why. What is not here must agree."""

# Samples left out: what one of the two does not have.
BEYOND = {
    "cumsum of a number": "NumPy's cumsum gives (1,), PyTorch's ().",
    "an axis of a number": "NumPy refuses it for shape (); PyTorch allows 0 and -1.",
    "vector norm over several axes": "np.linalg.norm reads two as a matrix.",
    "norm of an order over all of many axes": "NumPy wants at most two.",
    "tensordot that broadcasts": "np.tensordot wants equal sizes.",
    "solve from the right": "np.linalg.solve has no such option.",
    "einsum that sums over an ellipsis": "np.einsum wants it in the output.",
    "concatenation with an empty vector": "PyTorch skips shape (0,).",
    "batch norm of nothing": "statistics of no numbers do not exist.",
    "embedding that changes its table": "no op here writes into its input.",
    "random dropout": "two generators draw different numbers.",
    "attention with grouped queries": "not an option here.",
    "batch norm in evaluation": "an affine map, made by nn.BatchNorm.",
    "nuclear norm of zeros": "PyTorch gives what U V^T its SVD finds; ours is 0.",
    "pinv hermitian": "PyTorch reads one triangle only.",
    "flatten of some axes": "np.ravel flattens all; reshape does the rest.",
    "squeeze of an axis that is not 1": "NumPy raises; PyTorch keeps it.",
    "negative padding": "np.pad refuses it; it is a slice.",
    "gather of nothing": "np.take_along_axis wants an index of the array's ndim.",
}


# Ops that PyTorch's list does not have, or has under the name of what is made of them.
ALONE = {
    "cbrt": "NumPy's.",
    "rollaxis": "NumPy's.",
    "partition": "NumPy's; kthvalue returns one value.",
    "cast": "a change of format has no float64 to compare; test_ops.py checks it.",
    "scatter": "the transpose of getitem, which is compared to second order.",
    "logabsdet": "compared as slogdet.",
    "eigenpairs": "compared as eigh and eigvalsh.",
    "singular_triples": "compared as svd and svdvals.",
    "conv_input": "the transpose of conv2d, which is compared to second order.",
    "conv_kernel": "the transpose of conv2d, which is compared to second order.",
    "pick_windows": "a part of max_pool2d, which is compared to second order.",
    "put_windows": "a part of max_pool2d, which is compared to second order.",
    "fold": "the transpose of unfold, which is compared to second order.",
    "dropout": "two generators draw different numbers.",
}

# Second derivatives that PyTorch does not define either: it gives NaN where we give 0.
NO_SECOND_ORDER = {
    "linalg.norm.subgradients_at_zero": "the norm has no second derivative at 0.",
}

# What HIPS autograd 1.9 gets wrong on the same samples: the control of this suite.
CONTROL = {
    "prod": "divides by the factor, so a zero gives NaN.",
    "where": "leaves the broadcast axes in.",
    "transpose": "inverts negative axes wrongly.",
    "roll": "cannot negate a tuple of shifts.",
    "einsum": "raises for a repeated letter.",
}


class Differs(Exception):  # noqa: N818  # not an error
    """A sample that the two libraries do not share."""


def differs(reason: str) -> None:
    """Leave this sample out, for a reason listed above."""
    assert reason in BEYOND
    raise Differs(reason)
