#include "engine/norma.h"

#include "kernel_list.h"

/* VERSION_PROTOBUF_C and the list of kernels come from the build, which knows what it found and compiled. */

#define TEXT_OF(x) #x
#define TEXT(x)    TEXT_OF(x)

#if defined(__clang__)
#define VERSION_COMPILER "Clang " TEXT(__clang_major__) "." TEXT(__clang_minor__)
#else
#define VERSION_COMPILER "GCC " TEXT(__GNUC__) "." TEXT(__GNUC_MINOR__)
#endif

#define VERSION_TABLE(name)           " " #name
#define VERSION_OVERRIDE(name, table) " " #table "+" #name

const char *norma_version(void) {
  return TEXT(NORMA_VERSION_MAJOR) "." TEXT(NORMA_VERSION_MINOR) "." TEXT(NORMA_VERSION_PATCH);
}

const char *norma_build_features(void) {
  return "kernels" KERNEL_TABLES(VERSION_TABLE) KERNEL_OVERRIDES(VERSION_OVERRIDE) "; protobuf-c " VERSION_PROTOBUF_C
                                                                                   "; " VERSION_COMPILER;
}
