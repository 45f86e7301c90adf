"""Einsum, Det, Inverse."""

import string

import numpy as np
from onnx import helper

from tests.differential.case import Case, chance, operator, pick, random_tensor, types_of


def random_equation(random, most=4):
    """Terms, result (None: implicit) and sizes; letters repeat within and between terms, some sizes are 1."""
    letters = list(random.permutation(list(string.ascii_letters))[:int(random.integers(1, 6))])
    sizes = {letter: int(random.integers(1, 5)) for letter in letters}
    terms = ["".join(pick(random, letters) for _ in range(random.integers(0, 4))) for _ in range(random.integers(1, most + 1))]
    used = sorted(set("".join(terms)))
    kept = [letter for letter in random.permutation(used) if chance(random)] if used else []
    return terms, None if chance(random, 0.2) else "".join(kept), sizes


@operator("Einsum", tolerance="rtol=1e-4 atol=1e-4",
          narrow={"float16": "rtol=4e-3 atol=2e-2", "bfloat16": "rtol=2e-2 atol=1e-1"})
def einsum(random, version, index):
    types = types_of("Einsum", "T", version)
    type_ = types[index % len(types)]
    terms, result, sizes = random_equation(random)
    ellipsis = [int(random.integers(1, 4)) for _ in range(random.integers(0, 3))] if chance(random, 0.4) else []
    arrays, parts = [], []
    for term in terms:
        shape = [sizes[letter] for letter in term]
        if ellipsis and chance(random, 0.7):
            at = int(random.integers(0, len(term) + 1))
            term = term[:at] + "..." + term[at:]
            shape[at:at] = [1 if chance(random, 0.2) else size for size in ellipsis]
        parts.append(term)
        low = 0 if np.dtype(type_).kind == "u" else -2
        arrays.append(random_tensor(random, type_, tuple(shape), low, 2))
    if not any("..." in part for part in parts):
        ellipsis = []
    if result is not None and ellipsis:
        at = int(random.integers(0, len(result) + 1))
        result = result[:at] + "..." + result[at:]
    equation = ",".join(parts) + ("" if result is None else f"->{result}")
    spaced = equation.replace(",", " , ").replace("->", " -> ") if chance(random, 0.3) else equation

    def expected(*arrays):
        kind = np.dtype(type_).kind
        wide = [x.astype(np.int64 if kind == "i" else np.uint64 if kind == "u" else np.float64) for x in arrays]
        return [np.asarray(np.einsum(equation, *wide)).astype(type_)]
    constants = tuple(i for i in range(len(arrays)) if chance(random, 0.3))
    if len(constants) == len(arrays):
        constants = constants[1:]
    return Case(arrays, {"equation": spaced}, expected=expected, constants=constants)


@operator("Det", tolerance="rtol=1e-4 atol=1e-4", narrow={"float16": "rtol=4e-3 atol=2e-2", "bfloat16": "rtol=2e-2 atol=1e-1"})
def det(random, version, index):
    types = types_of("Det", "T", version)
    type_ = types[index % len(types)]
    n = int(random.integers(1, 6))
    batch = tuple(int(random.integers(0 if chance(random, 0.1) else 1, 4)) for _ in range(random.integers(0, 3)))
    x = random_tensor(random, type_, batch + (n, n), -1, 1)
    return Case([x], expected=lambda x: [np.asarray(np.linalg.det(x.astype(np.float64))).astype(type_)])


@operator("Inverse", domain="com.microsoft", versions=(1,), tolerance="rtol=1e-4 atol=1e-4")
def inverse(random, version, index):
    type_ = (np.float32, np.float64, np.float16)[index % 3]
    n = int(random.integers(1, 6))
    batch = tuple(int(random.integers(1, 4)) for _ in range(random.integers(0, 3)))
    x = random_tensor(random, type_, batch + (n, n), -1, 1) + 3 * np.eye(n, dtype=type_)
    return Case([x], output_types=[helper.make_tensor_type_proto(helper.np_dtype_to_tensor_dtype(np.dtype(type_)), None)],
                expected=lambda x: [np.linalg.inv(x.astype(np.float64)).astype(type_)])
