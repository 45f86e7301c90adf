# libnorma. Every file is compiled once, as position-independent code with hidden symbols; the static and the shared
# library are made of the same objects.

file(GLOB_RECURSE norma_sources CONFIGURE_DEPENDS
  ${PROJECT_SOURCE_DIR}/engine/*.c ${PROJECT_SOURCE_DIR}/ops/*.c ${PROJECT_SOURCE_DIR}/proto/*.c)

# Compiled by Kernels.cmake.
list(FILTER norma_sources EXCLUDE REGEX "^${PROJECT_SOURCE_DIR}/ops/kernels/((kernel_table|array_kernels)_isa\\.c$|override/)")

# Which functions the shared library exports is said by NORMA_API alone.
add_library(norma_object_options INTERFACE)
target_link_libraries(norma_object_options INTERFACE norma_compile_options ProtobufC::protobuf-c Threads::Threads)
target_compile_definitions(norma_object_options INTERFACE NORMA_BUILD_SHARED)
# Under a sanitizer, where an object is ten times as large, the tests take the shared library, inner functions included.
if(NOT NORMA_SANITIZE)
  target_compile_options(norma_object_options INTERFACE -fvisibility=hidden)
endif()

include(Kernels)

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
set_source_files_properties(engine/base/version.c PROPERTIES COMPILE_DEFINITIONS
  "VERSION_PROTOBUF_C=\"${ProtobufC_VERSION}\"")
set(norma_objects ${norma_kernel_objects} $<TARGET_OBJECTS:norma_core>)

add_library(norma STATIC ${norma_objects})
set(norma_libraries norma)
get_property(norma_can_share GLOBAL PROPERTY TARGET_SUPPORTS_SHARED_LIBS)
if(norma_can_share)
  add_library(norma_shared SHARED ${norma_objects})
  set_target_properties(norma_shared PROPERTIES OUTPUT_NAME norma VERSION ${PROJECT_VERSION}
    SOVERSION ${PROJECT_VERSION_MAJOR})
  if(NOT NORMA_SANITIZE AND NOT NORMA_BUILD_FUZZERS)
    include(SymbolVersions)
    target_link_options(norma_shared PRIVATE -Wl,--no-undefined -Wl,--version-script=${norma_version_script})
    set_target_properties(norma_shared PROPERTIES LINK_DEPENDS ${norma_version_script})
  endif()
  list(APPEND norma_libraries norma_shared)
endif()
foreach(library IN LISTS norma_libraries)
  target_include_directories(${library} INTERFACE
    $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/engine> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
  target_link_libraries(${library} PRIVATE ProtobufC::protobuf-c Threads::Threads ${CMAKE_DL_LIBS} m)
  set_target_properties(${library} PROPERTIES LINKER_LANGUAGE C)
  add_library(Norma::${library} ALIAS ${library})
endforeach()
# Compile only against what is generated.
add_dependencies(norma norma_core)

# What the project's own programs link.
set(norma_for_programs norma)
if(NORMA_SANITIZE AND TARGET norma_shared)
  set(norma_for_programs norma_shared)
endif()
