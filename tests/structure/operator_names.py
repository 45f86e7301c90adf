"""engine/ names no operator: what it knows of them are facts (ops/facts.h).

    python3 tests/structure/operator_names.py build/release/norma

String literals of engine/ that are the name of an operator of this build. Passes that look for a pattern of certain
operators, or make one, are listed below. Prints each literal; exit code 1 if there is any, or if a listed file needs no
place in the list.
"""

import json
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
PATTERNS = {
    "engine/passes/collapse_scale_shift.c": "makes a BatchNormalization of several operators",
    "engine/passes/fold_channel_shuffle.c": "makes the inner GroupedConv read a ChannelShuffle's input",
    "engine/passes/fold_quantized_constants.c": "leaves DequantizeLinear alone",
    "engine/passes/fuse_quantization.c": "operators between DequantizeLinear and QuantizeLinear, and what they become",
    "engine/passes/merge_reshapes.c": "of Reshapes one behind the other, the last is left",
    "engine/passes/merge_transposes.c": "Transposes one behind the other become one",
    "engine/passes/move_dequantization.c": "operators that only move elements, which integers have as well",
    "engine/passes/quantization_pattern.c": "finds DequantizeLinear and QuantizeLinear",
    "engine/passes/recognize_activation.c": "activations written as several operators",
    "engine/passes/recognize_attention.c": "attention written as MatMul, Softmax, MatMul",
    "engine/passes/recognize_channel_shuffle.c": "a shuffle written as Reshape, Transpose, Reshape",
    "engine/passes/recognize_layer_normalization.c": "normalization of rows written as several operators",
}


def operator_names(norma):
    listed = subprocess.run([norma, "ops", "--json"], capture_output=True, text=True, check=True).stdout
    return {operator["name"] for operator in json.loads(listed)["operators"]}


def literals(path):
    text = re.sub(r"/\*.*?\*/", lambda comment: "\n" * comment[0].count("\n"), path.read_text(), flags=re.S)
    for number, line in enumerate(text.splitlines(), 1):
        if not re.match(r"\s*#\s*include", line):
            yield from ((number, found) for found in re.findall(r'"(\w+)"', line))


def main():
    names, wrong, needed = operator_names(sys.argv[1]), [], set()
    for path in sorted((ROOT / "engine").rglob("*.[ch]")):
        source = path.relative_to(ROOT).as_posix()
        for number, literal in literals(path):
            if literal not in names:
                continue
            if source in PATTERNS:
                needed.add(source)
            else:
                wrong.append(f"{source}:{number}: names the operator {literal}")
    wrong += [f"{source}: listed in PATTERNS, and names no operator" for source in sorted(set(PATTERNS) - needed)]
    print("\n".join(wrong))
    print(f"{len(names)} names of operators, {len(wrong)} problems")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
