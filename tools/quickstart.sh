#!/bin/sh
# From a clean clone on Debian 12 to a classified picture: installs what the build needs, builds, and runs a model.
set -eu
cd "$(dirname "$0")/.."

tools/install_packages.sh gcc libc6-dev cmake ninja-build protobuf-c-compiler libprotobuf-c-dev libcmocka-dev \
  libpng-dev libjpeg-dev zlib1g-dev
mkdir -p build
if ! { cmake --preset release && cmake --build --preset release --target norma_tool; } >build/quickstart.log 2>&1; then
  tail -n 40 build/quickstart.log >&2
  exit 1
fi

echo "norma run models/digits_cnn_bn/model.onnx -i models/pictures/digit_7.png --top 1"
build/release/norma run models/digits_cnn_bn/model.onnx -i models/pictures/digit_7.png --top 1
