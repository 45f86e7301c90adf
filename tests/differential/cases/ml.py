"""ai.onnx.ml, all but trees. Where onnxruntime has no implementation of a type, or leaves a step of the definition out, the
expected outputs are worked out here."""

import math

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tests.differential.case import Case, chance, operator, pick, random_shape, random_tensor

ML = "ai.onnx.ml"
FEATURES = (np.float32, np.float64, np.int64, np.int32)
TRANSFORMS = ("NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT")
WORDS = ["", "a", "b", "Ab", "ä", "longer text", "7", "-1.5", "nan"]


def tensor_type(type_):
    return helper.make_tensor_type_proto(type_, None)


def rows(random, type_, features=None, empty=0.05):
    """[N, F] or [F]."""
    features = int(random.integers(1, 9)) if features is None else features
    shape = (features,) if chance(random, 0.15) else (0 if chance(random, empty) else int(random.integers(1, 9)), features)
    return random_tensor(random, type_, shape)


# ------------------------------------------------------------------------------------------------------------ transforms

def probit(p):
    x = 2 * p - 1
    with np.errstate(all="ignore"):
        log = np.log((1 - x) * (1 + x))
        half = 2 / (np.pi * 0.147) + log / 2
        return np.copysign(np.sqrt(2 * (np.sqrt(half * half - log / 0.147) - half)), x)


def transform(scores, name):
    """ops/ml/post_transform.h, in double."""
    scores = scores.astype(np.float64)
    if name == "LOGISTIC":
        return 1 / (1 + np.exp(-scores))
    if name == "PROBIT":
        return probit(scores)
    if name in ("SOFTMAX", "SOFTMAX_ZERO") and scores.size:
        exps = np.exp(scores - scores.max(axis=-1, keepdims=True))
        if name == "SOFTMAX_ZERO":
            exps[np.abs(scores) <= 1e-7] = 0
        sums = exps.sum(axis=-1, keepdims=True)
        return exps / np.where(sums == 0, 1, sums)
    return scores


def pair(score, name, is_probability):
    """[N] scores of the second of two classes -> [N, 2] before the transform."""
    complement = name == "PROBIT" or (name == "NONE" and is_probability)
    return np.stack([1 - score if complement else -score, score], axis=-1)


# ---------------------------------------------------------------------------------------------------------------- features

@operator("Binarizer", ML)
def binarizer(random, version, index):
    x = random_tensor(random, FEATURES[index % 4], random_shape(random, 0, 3))
    threshold = pick(random, [0.0, 0.5, -1.25, 2.0, 1e20, -1e20])
    attributes = {} if chance(random, 0.2) else {"threshold": threshold}
    limit = attributes.get("threshold", 0.0)
    return Case([x], attributes, expected=lambda x: [(x.astype(np.float64) > np.float64(np.float32(limit))).astype(x.dtype)])


@operator("Imputer", ML)
def imputer(random, version, index):
    type_ = FEATURES[index % 4]
    x = rows(random, type_)
    floats = np.dtype(type_).kind == "f"
    replaced = pick(random, [0.0, math.nan, 1.0]) if floats else int(random.integers(-2, 3))
    if floats:
        x = np.round(x)
        x[random.random(x.shape) < 0.3] = replaced
    count = x.shape[-1] if chance(random) else 1
    values = random.integers(-50, 50, count).tolist() if not floats else random.uniform(-9, 9, count).astype(np.float32).tolist()
    names = ("imputed_value_floats", "replaced_value_float") if floats else ("imputed_value_int64s", "replaced_value_int64")

    def compute(x):
        hit = np.isnan(x) if replaced != replaced else x == replaced
        return [np.where(hit, np.broadcast_to(np.array(values).astype(x.dtype), x.shape), x)]
    return Case([x], {names[0]: values, names[1]: replaced}, expected=compute)


@operator("Scaler", ML, tolerance="rtol=1e-5 atol=1e-6")
def scaler(random, version, index):
    x = rows(random, FEATURES[index % 4])
    count = x.shape[-1] if chance(random) else 1
    return Case([x], {"scale": random.uniform(-3, 3, count).tolist(), "offset": random.uniform(-3, 3, count).tolist()})


@operator("Normalizer", ML, tolerance="rtol=1e-5 atol=1e-6")
def normalizer(random, version, index):
    x = rows(random, FEATURES[index % 4])
    if x.ndim == 2 and x.shape[0] and chance(random, 0.3):
        x[0] = 0
    return Case([x], {} if chance(random, 0.1) else {"norm": pick(random, ["MAX", "L1", "L2"])})


@operator("FeatureVectorizer", ML)
def feature_vectorizer(random, version, index):
    type_, n = FEATURES[index % 4], int(random.integers(1, 5))
    inputs = [random_tensor(random, type_, (n, int(random.integers(1, 6)))) for _ in range(random.integers(1, 4))]
    if chance(random, 0.2):
        inputs = [x[0] for x in inputs]
    return Case(inputs, {"inputdimensions": [int(x.shape[-1] + random.integers(-1, 2)) for x in inputs]})


@operator("ArrayFeatureExtractor", ML)
def array_feature_extractor(random, version, index):
    types = (*FEATURES, np.str_)
    x = random_tensor(random, types[index % 5], random_shape(random, 1, 4, empty=0))
    indices = random.integers(0, x.shape[-1], random_shape(random, 0, 2, empty=0)).astype(np.int64)
    return Case([x, indices])


@operator("OneHotEncoder", ML)
def one_hot_encoder(random, version, index):
    types = (np.str_, np.int64, np.int32, np.float32, np.float64)
    type_ = types[index % 5]
    x = random_tensor(random, type_, random_shape(random, 0, 3))
    if type_ == np.str_:
        return Case([x], {"cats_strings": [WORDS[i] for i in random.permutation(len(WORDS))[:random.integers(1, 6)]]})
    categories = random.integers(-3, 4, random.integers(1, 6)).tolist()
    if type_ != np.int32:
        return Case([x], {"cats_int64s": categories, "zeros": 1})
    place = {category: i for i, category in enumerate(categories)}

    def compute(x):
        y = np.zeros((x.size, len(categories)), np.float32)
        for i, element in enumerate(x.ravel().tolist()):
            if element in place:
                y[i, place[element]] = 1
        return [y.reshape(*x.shape, len(categories))]
    return Case([x], {"cats_int64s": categories}, expected=compute)


# ------------------------------------------------------------------------------------------------------------------ labels

KINDS = {"string": (np.str_, "strings"), "int64": (np.int64, "int64s"), "float": (np.float32, "floats"),
         "double": (np.float64, "tensor"), "int32": (np.int32, "tensor"), "int16": (np.int16, "tensor")}
DEFAULTS = {"string": "_Unused", "float": -0.0, "double": -0.0}


def label_values(random, kind, count):
    values = random_tensor(random, KINDS[kind][0], (count,))
    return np.round(values) if values.dtype.kind == "f" else values


def label_attribute(prefix, kind, values, as_tensor):
    name = "tensor" if as_tensor else KINDS[kind][1]
    if name != "tensor":
        return {f"{prefix}_{name}": values.tolist()}
    if kind == "string":
        return {f"{prefix}_tensor": helper.make_tensor("t", TensorProto.STRING, values.shape, [v.encode() for v in values])}
    return {f"{prefix}_tensor": numpy_helper.from_array(values)}


def label_key(x, bits):
    if isinstance(x, (np.str_, str)):
        return str(x)
    if not isinstance(x, (float, np.floating)):
        return int(x)
    return x.tobytes() if bits else "nan" if np.isnan(x) else float(x) + 0.0


@operator("LabelEncoder", ML)
def label_encoder(random, version, index):
    if version == 1:
        classes = [WORDS[i] for i in random.integers(len(WORDS), size=random.integers(1, 8))]
        x = random_tensor(random, np.str_ if index % 2 else np.int64, random_shape(random, 0, 3), -2, 9)
        return Case([x], {"classes_strings": classes})
    kinds = ("string", "int64", "float") if version == 2 else tuple(KINDS)
    key_kind, kind = kinds[index % len(kinds)], kinds[index // len(kinds) % len(kinds)]
    count = int(random.integers(1, 7))
    keys, values = label_values(random, key_kind, count), label_values(random, kind, count)
    if keys.dtype.kind == "f":
        keys[0] = math.nan
    x = random_tensor(random, KINDS[key_kind][0], random_shape(random, 0, 3))
    if x.dtype.kind == "f":
        x = np.where(random.random(x.shape) < 0.3, np.array(math.nan, x.dtype), np.round(x)).astype(x.dtype)
    as_tensor = version == 4 and chance(random)
    attributes = {**label_attribute("keys", key_kind, keys, as_tensor), **label_attribute("values", kind, values, as_tensor)}
    default = DEFAULTS.get(kind, -1)
    if chance(random) and kind in ("string", "int64", "float") and not (version == 4 and as_tensor):
        default = {"string": "none", "int64": 77, "float": 2.5}[kind]
        attributes[f"default_{kind}"] = default
    elif version == 4 and chance(random):
        given = label_values(random, kind, 1)
        attributes.update(label_attribute("default", kind, given, True))
        default = given[0]
    return Case([x], attributes, output_types=[tensor_type(helper.np_dtype_to_tensor_dtype(np.dtype(KINDS[kind][0]))
                                                           if kind != "string" else TensorProto.STRING)],
                expected=map_labels(keys, values, default, version == 2, kind))


def map_labels(keys, values, default, bits, kind):
    """Version 2: float keys by their bits, of equal keys the first; version 4: by number, any NaN, the last. onnxruntime
    takes the first, and +0 for -0, in both."""
    table = {}
    for key, value in zip(keys, values):
        if not (bits and label_key(key, bits) in table):
            table[label_key(key, bits)] = value

    def compute(x):
        found = [table.get(label_key(element, bits), default) for element in x.ravel()]
        type_ = object if kind == "string" else KINDS[kind][0]
        return [np.array(found, type_).reshape(x.shape)]
    return compute


@operator("CategoryMapper", ML)
def category_mapper(random, version, index):
    count = int(random.integers(1, 8))
    attributes = {"cats_strings": [WORDS[i] for i in random.integers(len(WORDS), size=count)],
                  "cats_int64s": random.integers(-3, 4, count).tolist()}
    if chance(random):
        attributes.update({"default_int64": 99, "default_string": "other"})
    strings = index % 2 == 0
    x = random_tensor(random, np.str_ if strings else np.int64, random_shape(random, 0, 3))
    return Case([x], attributes, output_types=[tensor_type(TensorProto.INT64 if strings else TensorProto.STRING)])


# -------------------------------------------------------------------------------------------------------------------- maps

@operator("DictVectorizer", ML)
def dict_vectorizer(random, version, index):
    key, value = [("string", np.int64), ("int64", str), ("int64", np.float32), ("int64", np.float64), ("string", np.float32),
                  ("string", np.float64)][index % 6]
    keys = WORDS if key == "string" else list(range(-4, 5))
    x = {keys[i]: value(random.integers(-9, 9)) for i in random.permutation(len(keys))[:random.integers(1, 7)]}
    vocabulary = [keys[i] for i in random.integers(len(keys), size=random.integers(1, 9))]
    type_ = TensorProto.STRING if value is str else helper.np_dtype_to_tensor_dtype(np.dtype(value))

    def compute(x):  # onnxruntime does not know all types from Python; the reference gives a vector
        empty = "" if value is str else value(0)
        return [np.array([[x.get(key, empty) for key in vocabulary]], object if value is str else value)]
    own = (key, value) not in (("string", np.float32), ("int64", np.float32))
    return Case([x], {f"{key}_vocabulary": vocabulary}, output_types=[tensor_type(type_)], expected=compute if own else None)


@operator("CastMap", ML)
def cast_map(random, version, index):
    sparse, to = chance(random), ("TO_FLOAT", "TO_STRING", "TO_INT64")[index % 3]
    keys = random.permutation(10)[:random.integers(1, 7)].tolist() if sparse else random.integers(-99, 99, 5).tolist()
    if index // 3 % 2:
        x = {key: np.float32(random.uniform(-9, 9)) for key in keys}
    else:
        x = {key: pick(random, ["1", "-2", "30"]) for key in keys}
    type_ = {"TO_FLOAT": TensorProto.FLOAT, "TO_STRING": TensorProto.STRING, "TO_INT64": TensorProto.INT64}[to]

    def of_strings(x):  # which onnxruntime does not take from Python
        row = [x.get(key, "0.f" if to == "TO_STRING" else "0") for key in (range(10) if sparse else sorted(x))]
        return [np.array([row], object) if to == "TO_STRING" else
                np.array([[int(text) for text in row]], np.float32 if to == "TO_FLOAT" else np.int64)]
    return Case([x], {"cast_to": to, "map_form": "SPARSE" if sparse else "DENSE", "max_map": 10},
                output_types=[tensor_type(type_)], expected=of_strings if isinstance(x[keys[0]], str) else None)


@operator("ZipMap", ML)
def zip_map(random, version, index):
    count = int(random.integers(1, 6))
    x = rows(random, np.float32, count, empty=0)
    strings = index % 2 == 0
    labels = [WORDS[i] for i in random.integers(len(WORDS), size=count)] if strings else random.integers(-5, 5, count).tolist()
    key = TensorProto.STRING if strings else TensorProto.INT64
    type_ = helper.make_sequence_type_proto(helper.make_map_type_proto(key, helper.make_tensor_type_proto(TensorProto.FLOAT, [])))
    return Case([x], {"classlabels_strings" if strings else "classlabels_int64s": labels}, output_types=[type_])


# ------------------------------------------------------------------------------------------------------------ linear models

def labels_of(random, count, attribute="classlabels_ints"):
    if chance(random):
        return {attribute: random.permutation(50)[:count].tolist()}, TensorProto.INT64
    return {"classlabels_strings": [WORDS[i] for i in random.permutation(len(WORDS))[:count]]}, TensorProto.STRING


def label_list(attributes):
    return next(np.array(value, object if name.endswith("strings") else np.int64)
                for name, value in attributes.items() if name.startswith("classlabels"))


def scores_of(x, coefficients, intercepts):
    x = np.atleast_2d(x).astype(np.float64)
    weights = np.array(coefficients, np.float32).astype(np.float64).reshape(-1, x.shape[1])
    return x @ weights.T + np.array(intercepts, np.float32).astype(np.float64)


@operator("LinearClassifier", ML, tolerance="rtol=1e-3 atol=1e-4")
def linear_classifier(random, version, index):
    x = rows(random, FEATURES[index % 4])
    outputs = int(random.integers(1, 5))
    attributes, label_type = labels_of(random, max(outputs, 2))
    name = TRANSFORMS[index // 4 % 5]
    coefficients = random.uniform(-1, 1, outputs * x.shape[-1]).tolist()
    intercepts = random.uniform(-1, 1, outputs).tolist()
    attributes |= {"coefficients": coefficients, "intercepts": intercepts, "post_transform": name}

    def one_score(x):
        score = scores_of(x, coefficients, intercepts)[:, 0]
        return [label_list(attributes)[(score > 0).astype(int)], transform(pair(score, name, True), name).astype(np.float32)]
    own = outputs == 1 and name in ("SOFTMAX", "SOFTMAX_ZERO", "PROBIT")  # onnxruntime does not apply these to one score
    return Case([x], attributes, outputs=2, expected=one_score if own else None,
                output_types=[tensor_type(label_type), tensor_type(TensorProto.FLOAT)])


@operator("LinearRegressor", ML, tolerance="rtol=1e-3 atol=1e-4")
def linear_regressor(random, version, index):
    x = rows(random, FEATURES[index % 4])
    targets = int(random.integers(1, 5))
    coefficients = random.uniform(-1, 1, targets * x.shape[-1]).tolist()
    intercepts = random.uniform(-1, 1, targets).tolist()
    name = TRANSFORMS[index // 4 % 5]
    attributes = {"coefficients": coefficients, "targets": targets, "post_transform": name}
    with_intercepts = chance(random, 0.8)
    if with_intercepts:
        attributes["intercepts"] = intercepts

    def compute(x):
        scores = scores_of(x, coefficients, intercepts if with_intercepts else [0.0])
        return [transform(scores, name).astype(np.float32)]
    # onnxruntime knows float alone, and no transform of one score but PROBIT.
    own = x.dtype != np.float32 or (targets == 1 and name not in ("NONE", "PROBIT"))
    return Case([x], attributes, expected=compute if own else None)


# ------------------------------------------------------------------------------------------------- support vector machines

SVM_KERNELS = ("LINEAR", "POLY", "RBF", "SIGMOID")


def svm_rows(random, type_, features):
    x = rows(random, type_, features)
    return np.clip(x, -2, 2)


@operator("SVMRegressor", ML, tolerance="rtol=1e-3 atol=1e-3")
def svm_regressor(random, version, index):
    kernel, name = SVM_KERNELS[index % 4], TRANSFORMS[index // 4 % 5]
    features, vectors = int(random.integers(1, 7)), int(random.integers(0, 30))
    x = svm_rows(random, FEATURES[index // 2 % 4], features)
    coefficients = random.uniform(-1, 1, vectors or features).astype(np.float32)
    support = random.uniform(-2, 2, (vectors, features)).astype(np.float32)
    gamma, coef0, degree = float(np.float32(random.uniform(0.05, 0.5))), 0.5, float(random.integers(1, 4))
    rho, one_class = float(np.float32(random.uniform(-1, 1))), int(chance(random, 0.2))

    def compute(x):
        x = np.atleast_2d(x).astype(np.float64)
        if not vectors:
            sums = x @ coefficients.astype(np.float64)
        else:
            product = x @ support.T.astype(np.float64)
            distance = ((x[:, None] - support[None].astype(np.float64)) ** 2).sum(-1)
            values = {"LINEAR": product, "POLY": (gamma * product + coef0) ** degree, "RBF": np.exp(-gamma * distance),
                      "SIGMOID": np.tanh(gamma * product + coef0)}[kernel]
            sums = values @ coefficients.astype(np.float64)
        y = (sums + rho)[:, None]
        return [(np.where(y > 0, 1, -1) if one_class else transform(y, name)).astype(np.float32)]
    attributes = {"kernel_type": kernel, "kernel_params": [gamma, coef0, degree], "coefficients": coefficients.tolist(),
                  "n_supports": vectors, "rho": [rho], "one_class": one_class, "post_transform": name}
    if vectors:
        attributes["support_vectors"] = support.ravel().tolist()
    own = x.dtype != np.float32 or name != "NONE"  # onnxruntime knows float alone, and transforms nothing
    return Case([x], attributes, expected=compute if own else None)


@operator("SVMClassifier", ML, tolerance="rtol=1e-3 atol=1e-3")
def svm_classifier(random, version, index):
    kernel, name = SVM_KERNELS[index % 4], TRANSFORMS[index // 4 % 5]
    features, classes = int(random.integers(1, 7)), int(random.integers(2, 5))
    x = svm_rows(random, FEATURES[index // 2 % 4], features)
    attributes, label_type = labels_of(random, classes)
    types = [tensor_type(label_type), tensor_type(TensorProto.FLOAT)]
    attributes |= {"kernel_type": kernel, "kernel_params": [0.25, 0.5, float(random.integers(1, 4))], "post_transform": name}
    if chance(random, 0.2):
        coefficients, rho = random.uniform(-1, 1, classes * features).tolist(), random.uniform(-1, 1, 1).tolist()
        attributes |= {"coefficients": coefficients, "rho": rho}

        def compute(x):  # onnxruntime's label of two classes is not that of the larger score
            scores = scores_of(x, coefficients, rho)
            return [label_list(attributes)[scores.argmax(1)], transform(scores, name).astype(np.float32)]
        return Case([x], attributes, outputs=2, output_types=types, expected=compute if classes == 2 else None)
    per_class = random.integers(1, 9, classes)
    vectors, pairs = int(per_class.sum()), classes * (classes - 1) // 2
    attributes |= {"vectors_per_class": per_class.tolist(), "rho": random.uniform(-1, 1, pairs).tolist(),
                   "support_vectors": random.uniform(-2, 2, vectors * features).tolist(),
                   "coefficients": random.uniform(-1, 1, vectors * (classes - 1)).tolist()}
    probabilities = chance(random)
    if probabilities:
        attributes |= {"prob_a": random.uniform(-2, 0, pairs).tolist(), "prob_b": random.uniform(-1, 1, pairs).tolist()}
    elif classes == 2 and name in ("SOFTMAX", "SOFTMAX_ZERO", "PROBIT"):  # which onnxruntime does not apply to one score
        attributes["post_transform"] = pick(random, ["NONE", "LOGISTIC"])
    return Case([x], attributes, outputs=2, output_types=types)
