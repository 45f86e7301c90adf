"""Texts: operators on strings."""

import ctypes.util

import numpy as np

from tests.differential.case import Case, chance, operator, pick, random_shape

LETTERS = list("abcABC019_- .\n\t") + ["é", "É", "ß", "ſ", "K", "k", "s", "ä", "東", "京", "😀", "Ω", "ω", "ς"]


def text(random, most=8, letters=LETTERS):
    return "".join(pick(random, letters) for _ in range(random.integers(0, most + 1)))


def texts(random, shape, most=8, letters=LETTERS):
    count = int(np.prod(shape))
    return np.array([text(random, most, letters) for _ in range(count)], dtype=object).reshape(shape)


# ------------------------------------------------------------------------------------------------- regular expressions

ATOMS = [r"\d", r"\D", r"\w", r"\W", r"\s", r"\S", r"\pL", r"\p{Lu}", r"\P{Ll}", r"\p{^N}", r"\PL", ".", "[a-c]", "[^a-c]",
         "[[:alpha:]]", "[[:^digit:]_]", "[^\\w\\s]", "[a\\-c]", "[]a]", "[é-ü]", "[\\x{4e00}-\\x{9fff}]", "\\x61", "\\x{1F600}",
         "\\t", "\\Qa.b\\E", "[Ω]", "\\141", "[a-cA-C0-9]", "[\\pL\\d]", "[^\\PL]"]
if not ctypes.util.find_library("utf8proc"):  # which knows the categories of characters
    ATOMS = [atom for atom in ATOMS if "\\p" not in atom.lower()]
EDGES = ["^", "$", r"\A", r"\z", r"\b", r"\B"]
GROUPS = ["(", "(?:", "(?P<name>", "(?i:", "(?s:", "(?m:", "(?-i:", "(?is-m:", "(?<other>"]


def expression(random, depth=3):
    """In the syntax of RE2, about the letters above."""
    def part(depth):
        kind = random.random()
        if depth and kind < 0.25:
            inside = "|".join(sequence(depth - 1) for _ in range(random.integers(1, 4)))
            return pick(random, GROUPS) + inside + ")"
        if kind < 0.32:
            return pick(random, EDGES)
        if kind < 0.6:
            return pick(random, ATOMS)
        letter = pick(random, LETTERS)
        return "\\" + letter if letter in ".-" else letter

    def sequence(depth):
        result = ""
        for _ in range(random.integers(0, 4)):
            result += part(depth)
            if chance(random, 0.4):
                result += pick(random, ["*", "+", "?", "{2}", "{1,}", "{0,3}", "{2,3}", "*?", "+?", "??", "{0}"])
        return result
    flags = pick(random, ["", "", "", "(?i)", "(?s)", "(?m)", "(?im)"])
    return flags + "|".join(sequence(depth) for _ in range(random.integers(1, 3)))


@operator("RegexFullMatch")
def regex_full_match(random, version, index):
    letters = [pick(random, LETTERS) for _ in range(5)] if chance(random) else LETTERS
    return Case([texts(random, (300,), 4, letters)], {"pattern": expression(random)})
