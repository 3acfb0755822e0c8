r"""Names as TeX: of variables, and of functions."""

FUNCTIONS = {
    "log": r"\log", "sin": r"\sin", "cos": r"\cos", "tan": r"\tan", "tanh": r"\tanh",
    "sinh": r"\sinh", "cosh": r"\cosh", "arctan": r"\arctan", "arcsin": r"\arcsin",
    "arccos": r"\arccos", "maximum": r"\max", "minimum": r"\min", "max": r"\max",
    "min": r"\min", "amax": r"\max", "amin": r"\min", "det": r"\det",
    "sigmoid": r"\sigma",
}  # fmt: skip
_GREEK = {
    "alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "kappa",
    "lambda", "mu", "nu", "xi", "rho", "sigma", "tau", "phi", "chi", "psi", "omega",
}  # fmt: skip


def variable(name: str) -> str:
    r"""Write a name as TeX: ``w1`` is w_1, ``gamma`` is Greek, long names are upright.

    >>> print(*map(variable, ("w1", "fc1.weight", "gamma", "h_2")))
    w_{1} \mathrm{fc1.weight} \gamma h_{2}
    """
    letters = name.rstrip("0123456789")
    digits = name[len(letters) :]
    letters = letters.removesuffix("_") if digits else letters
    if letters in _GREEK or letters == "eps":
        base = "\\" + {"eps": "epsilon"}.get(letters, letters)
    elif len(letters) == 1 and letters.isalpha():
        base = letters
    else:
        return rf"\mathrm{{{_escaped(name)}}}"
    return base + (f"_{{{digits}}}" if digits else "")


def function(name: str) -> str:
    r"""Write a function's name as TeX: its sign, or the name upright.

    >>> print(function("tanh"), function("log_softmax"))
    \tanh \operatorname{log\_softmax}
    """
    return FUNCTIONS.get(name) or rf"\operatorname{{{_escaped(name)}}}"


def _escaped(name: str) -> str:
    return name.replace("_", r"\_")
