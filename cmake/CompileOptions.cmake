# Flags for every C file of the project; targets take them by linking norma_compile_options.
#
# Contraction is off because results must not depend on what the compiler chooses to fuse; kernels write FMA out.
# Link-time optimisation stays off because it can move code compiled for one instruction set into start-up paths of
# another.
set(CMAKE_C_STANDARD 11)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_INTERPROCEDURAL_OPTIMIZATION OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_C_FLAGS_RELEASE "-O2 -DNDEBUG")
set(CMAKE_C_FLAGS_DEBUG "-O0 -g")

# A variable may carry the name of its type (memory *memory), which plain -Wshadow of GCC reports and that of Clang does
# not.
if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
  set(norma_shadow_warning -Wshadow=local)
else()
  set(norma_shadow_warning -Wshadow)
endif()

add_library(norma_compile_options INTERFACE)
target_compile_definitions(norma_compile_options INTERFACE _GNU_SOURCE=)
target_include_directories(norma_compile_options INTERFACE ${PROJECT_SOURCE_DIR} ${PROJECT_BINARY_DIR})
target_compile_options(norma_compile_options INTERFACE
  -Wall -Wextra ${norma_shadow_warning} -Wstrict-prototypes -Wmissing-prototypes
  -ffp-contract=off -fno-math-errno
  $<$<BOOL:${NORMA_WERROR}>:-Werror>)

if(NORMA_SANITIZE)
  # For the whole build, generated code included: a sanitizer that sees half of the program reports wrongly.
  add_compile_options(-fsanitize=${NORMA_SANITIZE} -fno-omit-frame-pointer -g1 -O1)
  add_link_options(-fsanitize=${NORMA_SANITIZE})
  if(CMAKE_C_COMPILER_ID MATCHES "Clang")
    add_compile_options(-Wno-pass-failed) # loops that must be vectorised are not at -O1
  endif()
  if(NORMA_SANITIZE MATCHES "undefined")
    add_compile_options(-fno-sanitize-recover=all)
  endif()
endif()
if(NORMA_BUILD_FUZZERS)
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()
