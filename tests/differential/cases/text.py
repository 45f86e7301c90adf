"""Texts: operators on strings."""

import ctypes.util

import numpy as np
from onnx import TensorProto, helper

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


# --------------------------------------------------------------------------------------------------------------- strings

@operator("StringConcat")
def string_concat(random, version, index):
    shape = random_shape(random, 0, 4)
    others = [1 if chance(random, 0.3) else size for size in shape][random.integers(0, len(shape) + 1):]
    pair = [texts(random, shape), texts(random, tuple(others))]
    return Case(pair if chance(random) else pair[::-1])


WHITE = set("\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000") | {chr(c) for c in range(0x2000, 0x200b)}


def split(text, delimiter, most):
    """Onnxruntime takes spaces alone for white space, and cuts an empty string into no piece at a delimiter; the reference keeps
    white space at the end of the last piece, though "leading or trailing whitespace is removed in the output"."""
    if delimiter:
        return text.split(delimiter, most)
    pieces, piece = [], ""
    text = text.strip("".join(WHITE))
    while text and most != 0:
        end = next((i for i, letter in enumerate(text) if letter in WHITE), len(text))
        piece, text = text[:end], text[end:].lstrip("".join(WHITE))
        pieces.append(piece)
        most -= 1
    return pieces + [text] if text else pieces


@operator("StringSplit")
def string_split(random, version, index):
    letters = ["a", "b", ",", ";", " ", "\t", "é", "\u2003", "\xa0", "東"]
    x = texts(random, random_shape(random, 0, 3), 10, letters)
    attributes = {}
    if chance(random, 0.6):
        attributes["delimiter"] = pick(random, ["", ",", ";", ",;", "a", "é", " ", "aa"])
    if chance(random):
        attributes["maxsplit"] = int(random.integers(-1, 4))

    def compute(x):
        rows = [split(text, attributes.get("delimiter"), attributes.get("maxsplit", -1)) for text in x.ravel()]
        counts = np.array([len(row) for row in rows], np.int64)
        most = int(counts.max(initial=0))
        y = np.array([row + [""] * (most - len(row)) for row in rows], dtype=object).reshape(x.shape + (most,))
        return [y, counts.reshape(x.shape)]
    return Case([x], attributes, outputs=2, expected=compute)


@operator("StringNormalizer")
def string_normalizer(random, version, index):
    """In the locale C.UTF-8 for onnxruntime, which may have no other."""
    words = ["monday", "Monday", "MONDAY", "été", "Été", "ÉTÉ", "a", "A", "", "straße", "ſ", "Ωμ", "ωΜ", "東京", "x-1"]
    count = int(random.integers(1, 9))
    x = np.array([pick(random, words) for _ in range(count)], dtype=object)
    attributes = {"locale": "C.UTF-8"}
    if chance(random, 0.8):
        attributes["stopwords"] = [pick(random, words) for _ in range(random.integers(1, 5))]
    if chance(random, 0.8):
        attributes["case_change_action"] = pick(random, ["NONE", "LOWER", "UPPER"])
    if chance(random, 0.7):
        attributes["is_case_sensitive"] = int(random.integers(0, 2))
    return Case([x.reshape(1, -1) if chance(random) else x], attributes)


@operator("TfIdfVectorizer", tolerance="rtol=1e-5 atol=1e-6")
def tf_idf_vectorizer(random, version, index):
    type_ = [np.int64, np.int32, object][index % 3]
    vocabulary = list(range(-2, 5)) if type_ != object else ["", "a", "b", "ab", "é", "東京"]
    least = int(random.integers(1, 4))
    most = least + int(random.integers(0, 3))
    pool, counts, grams = [], [], 0
    for length in range(1, most + int(random.integers(1, 3))):
        counts.append(len(pool))
        some = {tuple(pick(random, vocabulary) for _ in range(length)) for _ in range(random.integers(0, 7))}
        grams += len(some)
        pool += [item for gram in sorted(some) for item in gram]
    if not grams:
        pool, grams, counts = [pick(random, vocabulary)], 1, [0] + [1] * (len(counts) - 1)
    places = [int(place) for place in random.permutation(grams + 3)[:grams]]
    if chance(random, 0.2):  # shared ones
        places = [place // 2 for place in places]
    attributes = {"mode": pick(random, ["TF", "IDF", "TFIDF"]), "min_gram_length": least, "max_gram_length": most,
                  "max_skip_count": int(random.integers(0, 4)), "ngram_counts": counts, "ngram_indexes": places,
                  "pool_strings" if type_ == object else "pool_int64s": pool}
    if chance(random, 0.7):
        attributes["weights"] = [float(w) for w in random.uniform(-2, 3, grams).astype(np.float32)]
    shape = (int(random.integers(0, 12)),)
    if chance(random, 0.6):
        shape = (int(random.integers(1, 9)), *shape)
    x = np.empty(int(np.prod(shape)), dtype=object)
    x[:] = [pick(random, vocabulary) for _ in range(x.size)]
    return Case([x.astype(type_).reshape(shape)], attributes)


def string_type():
    return helper.make_tensor_type_proto(TensorProto.STRING, None)


@operator("Tokenizer", "com.microsoft", versions=(1,))
def tokenizer(random, version, index):
    letters = list("aabbcd ,;\t1") + ["é", "東", "\u3000"]
    x = texts(random, (int(random.integers(1, 30)),), 12, letters)
    attributes = {"mark": int(random.integers(0, 2)), "pad_value": pick(random, ["", "#", "pad"]),
                  "mincharnum": int(random.integers(1, 4))}
    separators = [" ", ",", ";", "[ \\t]+", "b", "ab", "a|ab", "é", "\\s", "\\W", "a+", "b?", "(?:,|;)", "東.", "^a", "b$",
                  "\\b", "c*"]
    kind = random.random()
    if kind < 0.15:
        attributes |= {"mincharnum": 1, **(dict(separators=[""]) if chance(random) else dict(tokenexp="."))}
    elif kind < 0.6:
        attributes["separators"] = [pick(random, separators) for _ in range(random.integers(1, 4))]
    else:
        attributes["tokenexp"] = pick(random, ["[a-c]+", "\\w+", "a|ab|c", "[^ ]+", "a.|b", "\\bab", ".b?", "x*", "^a.*", "a.*$",
                                               "é|東", "(?i)[A-D]{2,3}", "[[:alpha:]]+|[0-9]", expression(random, 1) or "a"])
    shape = x.shape if chance(random) else (1, x.size) if chance(random) else (x.size, 1)
    return Case([x.reshape(shape)], attributes, output_types=[string_type()])
