#include "engine/norma.h"

/* VERSION_KERNELS and VERSION_PROTOBUF_C come from the build, which knows what it compiled and found. */

#define TEXT_OF(x) #x
#define TEXT(x)    TEXT_OF(x)

#if defined(__clang__)
#define VERSION_COMPILER "Clang " TEXT(__clang_major__) "." TEXT(__clang_minor__)
#else
#define VERSION_COMPILER "GCC " TEXT(__GNUC__) "." TEXT(__GNUC_MINOR__)
#endif

const char *norma_version(void) {
  return TEXT(NORMA_VERSION_MAJOR) "." TEXT(NORMA_VERSION_MINOR) "." TEXT(NORMA_VERSION_PATCH);
}

const char *norma_build_features(void) {
  return "kernels " VERSION_KERNELS "; protobuf-c " VERSION_PROTOBUF_C "; " VERSION_COMPILER;
}
