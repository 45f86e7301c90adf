"""The list of models and of their inputs, to which each family of this folder adds its own."""

import dataclasses
import fnmatch
from collections.abc import Callable

import numpy as np

RECIPES = []
NETWORKS, OPERATORS, DENORMALS = "networks", "large tensors", "denormals"  # what is averaged together


@dataclasses.dataclass(frozen=True)
class Recipe:
    """A model and its inputs. `inputs` gives for each case a function that draws what the model is run on."""

    name: str  # of the model, and of its folder
    group: str
    build: Callable  # (Recipes' own models by name: get(name)) -> ModelProto
    inputs: dict  # name of the case -> function(random) -> {input: array}
    note: str
    precision: str  # that of the model: float32, float16, int8, int4
    average: str  # NETWORKS, OPERATORS or DENORMALS


def recipe(name, group, inputs, note, precision="float32", average=NETWORKS):
    """Adds the decorated builder. `inputs` may be a single function: its case has the model's name."""

    def add(build):
        cases = inputs if isinstance(inputs, dict) else {name: inputs}
        RECIPES.append(Recipe(name, group, build, cases, note, precision, average))
        return build

    return add


def find(pattern):
    """Recipes one of whose cases, or whose name, fits one of the globs that commas separate."""
    globs = pattern.split(",")
    fits = lambda name: any(fnmatch.fnmatchcase(name, glob) for glob in globs)
    return [r for r in RECIPES if fits(r.name) or any(fits(case) for case in r.inputs)]


def normal(**shapes):
    """Inputs of standard normal numbers."""
    return lambda random: {name: random.standard_normal(shape, np.float32) for name, shape in shapes.items()}
