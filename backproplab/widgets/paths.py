r"""ChainRuleStepper: a gradient path by path, each a product of local derivatives."""

from typing import Any

import ipywidgets
import numpy as np
import traitlets

from .._symbols import partial, sent
from .._symbols import Symbol
from ..trace import Path, Trace, replay
from . import numerals
from .drawing import svg
from .formula import symbols, variable
from .lab import Lab, sentence
from .missing import missing
from .scene import compose, slope

TOP = 20  # paths that can be stepped through
