"""Tree ensembles of ai.onnx.ml: random trees of all modes, rows on and beside their thresholds, missing values.

onnxruntime judges where it follows the definition; elsewhere trees are walked here, one comparison after the other."""

import math

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from tests.differential.case import Case, chance, operator, pick
from tests.differential.cases.ml import FEATURES, ML, TRANSFORMS, WORDS, pair, tensor_type, transform

MODES = ("BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ")
AGGREGATES = ("AVERAGE", "SUM", "MIN", "MAX")


class Node:
    """A leaf has votes [(target, weight)]; an inner node the rest."""

    def __init__(self, votes=None):
        self.votes = votes


def random_tree(random, depth, features, modes, votes, missing, members=False):
    if depth == 0 or chance(random, 0.2):
        return Node(votes(random))
    node = Node()
    node.mode, node.feature = pick(random, modes), int(random.integers(features))
    node.threshold = float(random.integers(-4, 5)) / 2
    node.missing = bool(missing and chance(random))
    node.members = [float(m) for m in random.integers(0, 6, random.integers(1, 7))]  # onnxruntime takes integers only
    node.on_true, node.on_false = (random_tree(random, depth - 1, features, modes, votes, missing, members) for _ in range(2))
    return node


def holds(node, x):
    if node.missing and math.isnan(x):
        return True
    t = node.threshold
    return {"BRANCH_LEQ": x <= t, "BRANCH_LT": x < t, "BRANCH_GTE": x >= t, "BRANCH_GT": x > t, "BRANCH_EQ": x == t,
            "BRANCH_NEQ": x != t, "BRANCH_MEMBER": x in node.members}[node.mode]


def votes_of(tree, row):
    while tree.votes is None:
        tree = tree.on_true if holds(tree, float(row[tree.feature])) else tree.on_false
    return tree.votes


def totals_of(trees, x, targets, aggregate, base):
    totals, voted = np.zeros((len(x), targets)), np.zeros((len(x), targets), bool)
    for i, row in enumerate(x):
        for tree in trees:
            for target, weight in votes_of(tree, row):
                weight = float(np.float32(weight))
                old = totals[i, target]
                if aggregate in ("MIN", "MAX"):
                    totals[i, target] = {"MIN": min, "MAX": max}[aggregate](old, weight) if voted[i, target] else weight
                else:
                    totals[i, target] += weight
                voted[i, target] = True
    if aggregate == "AVERAGE":
        totals /= len(trees)
    return totals + np.array(base if base else [0] * targets, np.float32).astype(float), voted


def listed(trees, prefix):
    """Attributes of versions 1 and 3: nodes numbered from 0 in each tree, parents first."""
    a = {f"nodes_{name}": [] for name in ("treeids", "nodeids", "featureids", "values", "modes", "truenodeids", "falsenodeids",
                                          "missing_value_tracks_true")}
    v = {f"{prefix}_{name}": [] for name in ("treeids", "nodeids", "ids", "weights")}
    for number, tree in enumerate(trees):
        order = [tree]
        for node in order:
            if node.votes is None:
                node.children = len(order), len(order) + 1
                order += [node.on_true, node.on_false]
        for i, node in enumerate(order):
            leaf = node.votes is not None
            row = (number, i, 0 if leaf else node.feature, 0.0 if leaf else node.threshold, "LEAF" if leaf else node.mode,
                   0 if leaf else node.children[0], 0 if leaf else node.children[1], 0 if leaf else int(node.missing))
            for name, value in zip(a, row):
                a[name].append(value)
            for target, weight in node.votes or []:
                for name, value in zip(v, (number, i, target, weight)):
                    v[name].append(value)
    return {**a, **v}


def as_tensors(attributes, prefix):
    """Version 3's attributes of double."""
    for name in ("nodes_values", f"{prefix}_weights", "base_values"):
        if name in attributes:
            attributes[f"{name}_as_tensor"] = numpy_helper.from_array(np.array(attributes.pop(name), np.float64))
    return attributes


def tree_rows(random, type_, features):
    shape = (features,) if chance(random, 0.1) else (int(random.integers(0, 40)), features)
    x = random.integers(-5, 6, shape) / 2
    if np.dtype(type_).kind == "f" and chance(random, 0.6):
        x[random.random(shape) < 0.2] = math.nan
    return x.astype(type_)


def random_weight(random, positive):
    return float(np.float32(random.uniform(0 if positive else -1, 1)))


def random_trees(random, features, votes, missing):
    modes = [pick(random, MODES)] if chance(random) else MODES
    deep = int(random.integers(1, 7))
    return [random_tree(random, int(random.integers(0, deep + 1)), features, modes, votes, missing)
            for _ in range(random.integers(1, 12) if chance(random, 0.8) else random.integers(64, 160))]


@operator("TreeEnsembleRegressor", ML, tolerance="rtol=1e-4 atol=1e-4", versions=(1, 3))
def regressor(random, version, index):
    features, targets = int(random.integers(1, 6)), int(random.integers(1, 4))
    x = tree_rows(random, FEATURES[index % 4], features)
    name, aggregate = TRANSFORMS[index // 4 % 5], pick(random, AGGREGATES)
    dense = chance(random)

    def votes(random):
        which = range(targets) if dense else [int(random.integers(targets)) for _ in range(random.integers(1, 3))]
        return [(target, random_weight(random, False)) for target in (which if targets > 1 else [0])]
    trees = random_trees(random, features, votes, chance(random))
    base = [random_weight(random, False) for _ in range(targets)] if chance(random) else None
    attributes = {**listed(trees, "target"), "n_targets": targets, "post_transform": name, "aggregate_function": aggregate}
    if base:
        attributes["base_values"] = base
    doubles = version == 3 and x.dtype == np.float64
    if doubles:
        attributes = as_tensors(attributes, "target")

    def compute(x):
        totals, _ = totals_of(trees, np.atleast_2d(x), targets, aggregate, base)
        return [transform(totals, name).astype(np.float32)]
    # onnxruntime knows no integers, transforms no single number but by PROBIT, and leaves the base out where nobody votes.
    own = x.dtype.kind == "i" or (targets == 1 and name not in ("NONE", "PROBIT")) or (base and not dense) or name == "PROBIT" or len(x.shape) == 1
    return Case([x], attributes, expected=compute if own else None)


@operator("TreeEnsembleClassifier", ML, tolerance="rtol=1e-4 atol=1e-4", versions=(1, 3))
def classifier(random, version, index):
    features, classes = int(random.integers(1, 6)), int(random.integers(1, 5))
    x = tree_rows(random, FEATURES[index % 4], features)
    name, positive = TRANSFORMS[index // 4 % 5], chance(random)
    form = pick(random, ["one", "all", "some"])
    only = int(random.integers(min(classes, 2)))

    def votes(random):
        which = [only] if form == "one" else range(classes)
        if form == "some":
            which = sorted({int(random.integers(classes)) for _ in range(2)})
        return [(target, random_weight(random, positive)) for target in (which if classes > 1 else [0])]
    trees = random_trees(random, features, votes, chance(random))
    used = {target for tree in trees for target in targets_in(tree)}
    attributes = {**listed(trees, "class"), "post_transform": name}
    if classes > 1 and chance(random):
        labels = [WORDS[i] for i in random.permutation(len(WORDS))[:classes]]
        attributes["classlabels_strings"] = labels
    else:
        labels = random.permutation(50)[:classes].tolist()
        attributes["classlabels_int64s"] = labels
    base = [random_weight(random, False) for _ in range(classes)] if classes != 2 and chance(random) else None
    if base:
        attributes["base_values"] = base
    if version == 3 and x.dtype == np.float64:
        attributes = as_tensors(attributes, "class")
    label_type = TensorProto.STRING if isinstance(labels[0], str) else TensorProto.INT64
    score = next(iter(used)) if classes == 2 and len(used) == 1 else None
    negative = any(weight < 0 for tree in trees for weight in weights_in(tree))

    def compute(x):
        totals, voted = totals_of(trees, np.atleast_2d(x), classes, "SUM", base)
        numbers = np.array(labels, object if isinstance(labels[0], str) else np.int64)
        if classes == 1:
            return [(totals[:, 0] > 0).astype(np.int64), transform(totals, name).astype(np.float32)]
        if score is not None:
            s = totals[:, score]
            top = (s > (0.5 if not negative and name != "LOGISTIC" else 0)).astype(int)
            totals = pair(s, name, not negative) if score == 0 else totals
        else:
            top = (totals if base or classes == 2 else np.where(voted, totals, -np.inf)).argmax(1)
        return [numbers[top], transform(totals, name).astype(np.float32)]
    # With two classes onnxruntime names labels 1 and 0 instead of the given ones where votes are for both, takes 0.5 for the
    # bound of LOGISTIC, and transforms no single score otherwise; with one it transforms nothing.
    own = classes <= 2 and (name not in ("NONE", "LOGISTIC") or score is None or (name == "LOGISTIC" and not negative))
    own = own or (base and form == "some") or name == "PROBIT" or len(x.shape) == 1
    return Case([x], attributes, outputs=2, output_types=[tensor_type(label_type), tensor_type(TensorProto.FLOAT)],
                expected=compute if own else None)


def targets_in(tree):
    return [t for t, _ in tree.votes] if tree.votes is not None else targets_in(tree.on_true) + targets_in(tree.on_false)


def weights_in(tree):
    return [w for _, w in tree.votes] if tree.votes is not None else weights_in(tree.on_true) + weights_in(tree.on_false)


@operator("TreeEnsemble", ML, tolerance="rtol=1e-4 atol=1e-4", narrow={"float16": "rtol=4e-3 atol=4e-3"})
def ensemble(random, version, index):
    type_ = (np.float32, np.float64, np.float16)[index % 3]
    features, targets = int(random.integers(1, 6)), int(random.integers(1, 4))
    x = np.atleast_2d(tree_rows(random, type_, features))
    modes = (*MODES, "BRANCH_MEMBER")
    name, aggregate = TRANSFORMS[index // 3 % 5], pick(random, AGGREGATES)
    trees = []
    while len(trees) < int(random.integers(1, 9)):
        tree = random_tree(random, int(random.integers(1, 6)), features, modes if chance(random) else modes[:1],
                           lambda random: [(int(random.integers(targets)), float(np.float16(random.uniform(-1, 1))))],
                           chance(random))
        trees += [] if tree.votes is not None else [tree]
    nodes, leaves, roots = [], [], []
    for tree in trees:
        roots.append(len(nodes))
        order = [tree]
        for node in order:
            order += [child for child in (node.on_true, node.on_false) if child.votes is None]
        for node in order:
            node.place = len(nodes)
            nodes.append(node)
    places = {}
    for node in nodes:
        for child in (node.on_true, node.on_false):
            if child.votes is not None:
                places[id(child)] = len(leaves)
                leaves.append(child.votes[0])

    def place(child):
        return child.place if child.votes is None else places[id(child)]
    members = [m for node in nodes if node.mode == "BRANCH_MEMBER" for m in [*node.members, math.nan]]
    attributes = {
        "tree_roots": roots, "nodes_featureids": [n.feature for n in nodes], "n_targets": targets,
        "nodes_modes": numpy_helper.from_array(np.array([modes.index(n.mode) for n in nodes], np.uint8)),
        "nodes_splits": numpy_helper.from_array(np.array([n.threshold for n in nodes], type_)),
        "nodes_truenodeids": [place(n.on_true) for n in nodes], "nodes_falsenodeids": [place(n.on_false) for n in nodes],
        "nodes_trueleafs": [int(n.on_true.votes is not None) for n in nodes],
        "nodes_falseleafs": [int(n.on_false.votes is not None) for n in nodes],
        "nodes_missing_value_tracks_true": [int(n.missing) for n in nodes],
        "leaf_targetids": [t for t, _ in leaves], "leaf_weights": numpy_helper.from_array(np.array([w for _, w in leaves], type_)),
        "aggregate_function": AGGREGATES.index(aggregate), "post_transform": TRANSFORMS.index(name)}
    if members:
        attributes["membership_values"] = numpy_helper.from_array(np.array(members, type_))

    def compute(x):
        totals, _ = totals_of(trees, x, targets, aggregate, None)
        return [transform(totals, name).astype(type_)]
    # onnxruntime has float and double, takes 1 for LOGISTIC and 2 for SOFTMAX where the definition says "'SOFTMAX' (1),
    # 'LOGISTIC' (2)", and a root whose children have one number for a leaf.
    same = any(place(n.on_true) == place(n.on_false) for n in (nodes[r] for r in roots))
    own = type_ == np.float16 or name in ("SOFTMAX", "LOGISTIC", "PROBIT") or (targets == 1 and name != "NONE") or same
    return Case([x], attributes, expected=compute if own else None)
