# Toolchain: from Debian to WebAssembly, with Debian's emscripten. tools/build_wasm.sh makes protobuf-c for it.
set(EMSCRIPTEN_SYSTEM_PROCESSOR wasm32)
include(/usr/share/emscripten/cmake/Modules/Platform/Emscripten.cmake)
