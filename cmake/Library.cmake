# libnorma. Every file is compiled once, as position-independent code with hidden symbols; the static and the shared
# library are made of the same objects.

file(GLOB_RECURSE norma_sources CONFIGURE_DEPENDS
  ${PROJECT_SOURCE_DIR}/engine/*.c ${PROJECT_SOURCE_DIR}/ops/*.c ${PROJECT_SOURCE_DIR}/proto/*.c)

# Kernels that are written once and compiled once per instruction set.
file(STRINGS ops/kernels/isa_sources.txt norma_isa_names REGEX "^[^#]")
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ops/kernels/isa_sources.txt)
set(norma_isa_sources ${norma_isa_names})
list(TRANSFORM norma_isa_sources PREPEND ${PROJECT_SOURCE_DIR}/ops/kernels/)
list(REMOVE_ITEM norma_sources ${norma_isa_sources})

if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|amd64|AMD64)$")
  set(norma_isas sse2 avx2 avx512)
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "^(aarch64|arm64)$")
  set(norma_isas neon)
else()
  message(FATAL_ERROR "Norma has kernels for x86-64 and AArch64, not for ${CMAKE_SYSTEM_PROCESSOR}")
endif()
set(norma_isa_flags_sse2)
set(norma_isa_flags_avx2 -mavx2 -mfma -mf16c)
set(norma_isa_flags_avx512
    -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx2 -mfma -mf16c -mprefer-vector-width=512)
set(norma_isa_flags_neon)

# Which functions the shared library exports is said by NORMA_API alone.
add_library(norma_object_options INTERFACE)
target_link_libraries(norma_object_options INTERFACE norma_compile_options ProtobufC::protobuf-c Threads::Threads)
target_compile_definitions(norma_object_options INTERFACE NORMA_BUILD_SHARED)
target_compile_options(norma_object_options INTERFACE -fvisibility=hidden)

set(norma_objects)
foreach(isa IN LISTS norma_isas)
  add_library(norma_kernels_${isa} OBJECT ${norma_isa_sources})
  target_link_libraries(norma_kernels_${isa} PRIVATE norma_object_options)
  target_compile_definitions(norma_kernels_${isa} PRIVATE KERNEL_ISA=${isa})
  target_compile_options(norma_kernels_${isa} PRIVATE ${norma_isa_flags_${isa}})
  list(APPEND norma_objects $<TARGET_OBJECTS:norma_kernels_${isa}>)
endforeach()

set(norma_operator_sources ${norma_sources})
list(FILTER norma_operator_sources INCLUDE REGEX "^${PROJECT_SOURCE_DIR}/ops/")
list(FILTER norma_operator_sources EXCLUDE REGEX "^${PROJECT_SOURCE_DIR}/ops/kernels/")
set(norma_pass_sources ${norma_sources})
list(FILTER norma_pass_sources INCLUDE REGEX "^${PROJECT_SOURCE_DIR}/engine/passes/")
norma_add_table(operator ${PROJECT_BINARY_DIR}/operator_table.c ${norma_operator_sources})
norma_add_table(pass ${PROJECT_BINARY_DIR}/pass_table.c ${norma_pass_sources})

add_library(norma_core OBJECT ${norma_sources} ${norma_proto_sources}
  ${PROJECT_BINARY_DIR}/operator_table.c ${PROJECT_BINARY_DIR}/pass_table.c)
target_link_libraries(norma_core PRIVATE norma_object_options)
set_source_files_properties(${norma_proto_sources} PROPERTIES COMPILE_OPTIONS -w)
list(JOIN norma_isas " " norma_isa_list)
set_source_files_properties(engine/base/version.c PROPERTIES COMPILE_DEFINITIONS
  "VERSION_KERNELS=\"${norma_isa_list}\";VERSION_PROTOBUF_C=\"${ProtobufC_VERSION}\"")
list(APPEND norma_objects $<TARGET_OBJECTS:norma_core>)

add_library(norma STATIC ${norma_objects})
add_library(norma_shared SHARED ${norma_objects})
foreach(library norma norma_shared)
  target_include_directories(${library} INTERFACE
    $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/engine> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  target_link_libraries(${library} PRIVATE ProtobufC::protobuf-c Threads::Threads ${CMAKE_DL_LIBS} m)
  set_target_properties(${library} PROPERTIES LINKER_LANGUAGE C)
  add_library(Norma::${library} ALIAS ${library})
endforeach()
# Compile only against what is generated.
add_dependencies(norma norma_core)
set_target_properties(norma_shared PROPERTIES OUTPUT_NAME norma VERSION ${PROJECT_VERSION}
  SOVERSION ${PROJECT_VERSION_MAJOR})
if(NOT NORMA_SANITIZE AND NOT NORMA_BUILD_FUZZERS)
  target_link_options(norma_shared PRIVATE -Wl,--no-undefined)
endif()
