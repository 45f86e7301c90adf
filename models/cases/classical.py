"""Classical machine learning: trees, a support vector machine, a linear pipeline, counts of n-grams."""

import numpy as np

from .network import CLASSICAL, Network
from .recipes import recipe

FEATURES = 50


def rows(*counts):
    """For each name the inputs of so many rows."""
    return lambda count: lambda random: {"x": random.standard_normal((count, FEATURES), np.float32)}


def batches(name, draw):
    return {f"{name}_1": draw(1), f"{name}_1000": draw(1000)}


def features(count):
    return lambda random: {"x": random.standard_normal((count, FEATURES), np.float32)}


# --- trees --------------------------------------------------------------------------------------------


class Forest:
    """The arrays of a TreeEnsemble. `split(depth, rows)` is None for a leaf, else the rows of both children."""

    def __init__(self, seed, trees, rows, split):
        self.random = np.random.default_rng(seed)
        self.split = lambda depth, rows: split(self.random, depth, rows)
        self.arrays = {
            f"nodes_{part}": []
            for part in ("treeids", "nodeids", "featureids", "values", "modes", "truenodeids", "falsenodeids")
        }
        self.leaves = []
        for self.tree in range(trees):
            self.size = 0
            self.grow(0, rows)

    def grow(self, depth, rows):
        node, children = self.size, self.split(depth, rows)
        self.size += 1
        place = len(self.arrays["nodes_modes"])
        entry = (
            self.tree,
            node,
            int(self.random.integers(FEATURES)),
            float(self.random.normal(0, 0.7)),
            "BRANCH_LEQ",
            0,
            0,
        )
        if children is None:
            entry = (self.tree, node, 0, 0.0, "LEAF", 0, 0)
            self.leaves.append((self.tree, node))
        for values, value in zip(self.arrays.values(), entry):
            values.append(value)
        if children is not None:
            self.arrays["nodes_truenodeids"][place] = self.grow(depth + 1, children[0])
            self.arrays["nodes_falsenodeids"][place] = self.grow(depth + 1, children[1])
        return node


def full_tree(random, depth, rows):
    return None if depth == 6 else (0, 0)


def grown_tree(random, depth, rows):
    """As a forest that splits samples unevenly until few are left."""
    if depth == 12 or rows < 4:
        return None
    left = int(np.clip(rows * random.beta(2, 2), 1, rows - 1))
    return left, rows - left


@recipe(
    "boosted_1000x6",
    "trees and linear",
    batches("boosted_1000x6", features),
    "TreeEnsembleRegressor, 1000 full trees of depth 6",
)
def boosted(get):
    net, forest = Network(501, classical=3), Forest(502, 1000, 0, full_tree)
    x = net.input("x", np.float32, ["rows", FEATURES])
    trees, nodes = map(list, zip(*forest.leaves))
    y = net.add(
        "TreeEnsembleRegressor",
        x,
        domain=CLASSICAL,
        n_targets=1,
        target_treeids=trees,
        target_nodeids=nodes,
        target_ids=[0] * len(trees),
        target_weights=net.random.normal(0, 0.1, len(trees)).tolist(),
        **forest.arrays,
    )
    net.output(y, shape=["rows", 1])
    return net.model()


@recipe(
    "forest_200x12",
    "trees and linear",
    batches("forest_200x12", features),
    "TreeEnsembleClassifier, 200 trees up to depth 12, 5 classes",
)
def forest(get):
    net, forest, classes = Network(503, classical=3), Forest(504, 200, 3000, grown_tree), 5
    x = net.input("x", np.float32, ["rows", FEATURES])
    weights = net.random.dirichlet(np.full(classes, 0.3), len(forest.leaves)) / 200
    label, scores = net.add(
        "TreeEnsembleClassifier",
        x,
        domain=CLASSICAL,
        outputs=2,
        classlabels_int64s=list(range(classes)),
        class_treeids=[t for t, _ in forest.leaves for _ in range(classes)],
        class_nodeids=[n for _, n in forest.leaves for _ in range(classes)],
        class_ids=list(range(classes)) * len(forest.leaves),
        class_weights=weights.ravel().tolist(),
        **forest.arrays,
    )
    net.output(label, np.int64, ["rows"])
    net.output(scores, shape=["rows", classes])
    return net.model()


# --- others -------------------------------------------------------------------------------------------


@recipe(
    "svm_rbf",
    "trees and linear",
    batches("svm_rbf", features),
    "SVMClassifier, radial kernel, 500 support vectors, 3 classes",
)
def svm_rbf(get):
    net, vectors = Network(505, classical=3), [167, 167, 166]
    x = net.input("x", np.float32, ["rows", FEATURES])
    label, scores = net.add(
        "SVMClassifier",
        x,
        domain=CLASSICAL,
        outputs=2,
        kernel_type="RBF",
        kernel_params=[0.02, 0.0, 3.0],
        vectors_per_class=vectors,
        classlabels_ints=[0, 1, 2],
        rho=net.normal(3, deviation=0.1).tolist(),
        support_vectors=net.normal(sum(vectors), FEATURES).ravel().tolist(),
        coefficients=net.normal(2, sum(vectors), deviation=0.5).ravel().tolist(),
    )
    net.output(label, np.int64, ["rows"])
    net.output(scores, shape=["rows", 3])
    return net.model()


CATEGORIES = (5, 12, 40)


def columns(count):
    return lambda random: {
        "numbers": random.standard_normal((count, 20), np.float32),
        "kinds": np.stack([random.integers(0, k, count) for k in CATEGORIES], 1),
    }


@recipe(
    "linear_pipeline",
    "trees and linear",
    batches("linear_pipeline", columns),
    "Scaler, three OneHotEncoders, LinearClassifier, Normalizer",
)
def linear_pipeline(get):
    net = Network(506, classical=3)
    numbers, kinds = net.input("numbers", np.float32, ["rows", 20]), net.input(
        "kinds", np.int64, ["rows", len(CATEGORIES)]
    )
    parts = [
        net.add(
            "Scaler",
            numbers,
            domain=CLASSICAL,
            offset=net.normal(20).tolist(),
            scale=net.random.uniform(0.5, 2, 20).tolist(),
        )
    ]
    for column, count in enumerate(CATEGORIES):
        kind = net.add("ArrayFeatureExtractor", kinds, net.weight([column], np.int64), domain=CLASSICAL)
        hot = net.add("OneHotEncoder", kind, domain=CLASSICAL, cats_int64s=list(range(count)), zeros=1)
        parts.append(net.reshape(hot, -1, count))
    width = 20 + sum(CATEGORIES)
    label, scores = net.add(
        "LinearClassifier",
        net.add("Concat", *parts, axis=1),
        domain=CLASSICAL,
        outputs=2,
        post_transform="SOFTMAX",
        multi_class=1,
        coefficients=net.normal(4, width, deviation=0.3).ravel().tolist(),
        intercepts=net.normal(4).tolist(),
        classlabels_ints=[0, 1, 2, 3],
    )
    net.output(label, np.int64, ["rows"])
    net.output(net.add("Normalizer", scores, domain=CLASSICAL, norm="L1"), shape=["rows", 4])
    return net.model()


WORDS, TEXT = 2000, 200


def texts(count):
    return lambda random: {"words": random.integers(0, WORDS, (count, TEXT)).astype(np.int32)}


@recipe(
    "tfidf_linear",
    "trees and linear",
    batches("tfidf_linear", texts),
    "TfIdfVectorizer of 2000 words and 3000 pairs over texts of 200 words, LinearClassifier",
)
def tfidf_linear(get):
    net, pairs = Network(507, classical=3), 3000
    words = net.input("words", np.int32, ["rows", TEXT])
    chosen = net.random.choice(WORDS * WORDS, pairs, replace=False)
    pool = [*range(WORDS), *np.stack(np.divmod(chosen, WORDS), 1).ravel().tolist()]
    width = WORDS + pairs
    counts = net.add(
        "TfIdfVectorizer",
        words,
        mode="TFIDF",
        min_gram_length=1,
        max_gram_length=2,
        max_skip_count=0,
        pool_int64s=pool,
        ngram_counts=[0, WORDS],
        ngram_indexes=list(range(width)),
        weights=net.random.uniform(0.5, 2, width).tolist(),
    )
    label, scores = net.add(
        "LinearClassifier",
        counts,
        domain=CLASSICAL,
        outputs=2,
        post_transform="SOFTMAX",
        multi_class=1,
        classlabels_ints=[0, 1, 2, 3],
        coefficients=net.normal(4, width, deviation=0.1).ravel().tolist(),
        intercepts=net.normal(4).tolist(),
    )
    net.output(label, np.int64, ["rows"])
    net.output(scores, shape=["rows", 4])
    return net.model()
