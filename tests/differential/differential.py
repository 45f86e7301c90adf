"""Operators against other implementations, on random models of one node (or few).

    build/venv/bin/python tests/differential/differential.py NORMA [--seed N] [--count N] [--only GLOB] [--keep DIR]
    build/venv/bin/python tests/differential/differential.py NORMA --missing

For each operator that a file of tests/differential/cases/ describes, and each version at which its definition changed,
`count` random cases are made: shapes, broadcasting, attributes, optional inputs, negative axes, empty tensors, every
element type of the type constraints that NumPy can hold. Expected outputs come from the case itself where it has a
function of its own, else from onnxruntime, else from onnx.reference; then `norma test` compares, at -O 0 and at -O 2. Cases
that no oracle runs are counted. Disagreements that the specification's text decides against the oracle are listed with
their reason in explained.txt, and the second oracle judges them.

--missing lists the operators and versions that NORMA runs and no file describes, with exit code 1 if there are any of
ai.onnx.

Prints the seed, what failed, and the number of operators, versions and cases; exit code 1 if anything failed.
"""

import argparse
import concurrent.futures
import fnmatch
import importlib
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))

import numpy as np  # noqa: E402

from tests.differential import oracles  # noqa: E402
from tests.differential.case import ALL, chance, last_opset, versions_of  # noqa: E402

FOLDER = pathlib.Path(__file__).resolve().parent


def load_cases():
    for path in sorted((FOLDER / "cases").glob("*.py")):
        importlib.import_module(f"tests.differential.cases.{path.stem}")


def explained():
    """(glob over OPERATOR/VERSION/INDEX, oracle that judges, reason), from explained.txt."""
    lines = []
    for line in (FOLDER / "explained.txt").read_text().splitlines():
        if line.strip() and not line.startswith("#"):
            glob, oracle, reason = line.split(None, 2)
            lines.append((glob, oracle, reason))
    return lines


class Tally:
    def __init__(self):
        self.operators, self.versions, self.cases = set(), set(), 0
        self.unjudged, self.failed, self.explained = [], [], 0


def make(place, version, index, seed, folder, judges):
    """Writes one case of ALL[place] as a folder of the ONNX backend tests: None, or why it cannot be judged."""
    description = ALL[place]
    generator = np.random.default_rng([seed, version, index, *description.name.encode()])
    case = description.make(generator, version, index)
    if description.late and not case.opset and chance(generator):
        case.opset = last_opset(description, version)
    name = f"{description.full_name}/{version}/{index}"
    oracle = next((judge for glob, judge, _ in judges if fnmatch.fnmatch(name, glob)), None)
    model = case.model(description, version)
    try:
        outputs, reason = oracles.expect(description, case, model, oracle)
    except Exception as error:  # of the case's own function
        raise RuntimeError(f"{name}, seed {seed}: {error}") from error
    if outputs is None:
        return reason
    case.write(folder.with_name(f"{folder.name}{precision(outputs)}"), model, outputs)
    return None


# What a unit in the last place of a narrow type is to its largest neighbour, twice, for oracles that round on the way.
NARROW = {"bfloat16": "rtol=1.6e-2 atol=1e-2", "float16": "rtol=2e-3 atol=1e-3", "float8": "rtol=0.26 atol=1e-2"}


def precision(outputs):
    """The end of a case's name that tells its tolerance."""
    names = {str(getattr(y, "dtype", "")) for y in outputs}
    return next((f"-{narrow}" for narrow in NARROW for name in names if name.startswith(narrow)), "")


def run(norma, folder, manifest, level):
    command = [norma, "test", str(folder), "--manifest", str(manifest), "-O", level, "--jobs", "2", "--verbose"]
    return subprocess.run(command, capture_output=True, text=True).stdout.splitlines()


def missing(norma):
    """(lines, how many of them are of ai.onnx): what `norma ops` lists and no case is of."""
    described = {}
    for description in ALL:
        key = (description.domain or "ai.onnx", description.name)
        described.setdefault(key, set()).update(versions_of(description))
    listing = subprocess.run([norma, "ops", "--json"], capture_output=True, text=True, check=True).stdout
    lines = []
    for operator in json.loads(listing)["operators"]:
        key = (operator["domain"], operator["name"])
        if operator["domain"] == "norma":  # what its own passes make
            continue
        versions = sorted(set(operator["versions"]) - described.get(key, set()))
        if versions:
            lines.append(f"{'.'.join(key)}: {' '.join(map(str, versions))}")
    return lines, sum(line.startswith("ai.onnx.") and not line.startswith(("ai.onnx.ml.", "ai.onnx.preview.")) for line in lines)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("norma")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=8, help="cases of each version")
    parser.add_argument("--only", default="*", help="globs over [DOMAIN.]OPERATOR, with commas between")
    parser.add_argument("--missing", action="store_true", help="list the operators without cases, and run nothing")
    parser.add_argument("--keep", help="folder for the cases; default: a temporary one")
    given = parser.parse_args()
    load_cases()
    if given.missing:
        lines, of_onnx = missing(given.norma)
        print(*lines, f"{len(lines)} operators, {of_onnx} of ai.onnx", sep="\n")
        return 1 if of_onnx else 0
    judges, tally = explained(), Tally()
    root = pathlib.Path(given.keep or tempfile.mkdtemp(prefix="norma-differential-"))
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    manifest = []
    jobs = []
    for place, description in enumerate(ALL):
        if not any(fnmatch.fnmatch(description.full_name, glob) for glob in given.only.split(",")):
            continue
        operator = description.full_name.removesuffix("OfStrings")  # see cases/strings.py
        tally.operators.add(operator)
        for version in versions_of(description):
            tally.versions.add((operator, version))
            for index in range(given.count):
                folder = root / f"{description.full_name}-{version}-{index}"
                jobs.append((place, version, index, given.seed, folder, judges))
        manifest.append(f"{description.full_name}-* {description.tolerance}")
        manifest += [f"{description.full_name}-*-{narrow} {description.narrow.get(narrow, NARROW[narrow])}" for narrow in NARROW]
    with concurrent.futures.ProcessPoolExecutor(2) as pool:
        for job, reason in zip(jobs, pool.map(make, *zip(*jobs), chunksize=16)):
            name = f"{ALL[job[0]].full_name}/{job[1]}/{job[2]}"
            tally.cases += 1
            if reason:
                tally.unjudged.append(f"{name}: {reason}")
    (root / "tolerances.txt").write_text("\n".join(manifest) + "\n")
    for level in "02":
        lines = run(given.norma, root, root / "tolerances.txt", level)
        tally.failed += [f"-O {level} {line}" for line in lines if line.startswith(("FAILED", "skipped"))]
        if not lines:
            tally.failed.append(f"-O {level}: norma test printed nothing")
    for line in tally.unjudged:
        print("not judged:", line)
    for line in tally.failed:
        print(line)
    failed = {line.split(":")[0].split(None, 2)[2] for line in tally.failed}  # once, if at both levels
    print(f"seed {given.seed}: {len(tally.operators)} operators, {len(tally.versions)} versions, {tally.cases} cases, "
          f"{len(failed)} failed, {len(tally.unjudged)} that no oracle runs")
    if not given.keep and not tally.failed:
        shutil.rmtree(root)
    else:
        print(f"the cases are in {root}")
    return 1 if tally.failed else 0


if __name__ == "__main__":
    sys.exit(main())
