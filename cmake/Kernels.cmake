# Kernels: ops/kernels/kernel_table_isa.c, and array_kernels_isa.c, compiled once for each instruction set in
# ops/kernels/isa/, and the overrides
# of ops/kernels/override/, each once for each table that it names. Files say themselves what they are, in lines of
# their first comment:
#
#   isa/NAME.h         arch: the architecture; rank: tables of an architecture are preferred in rising order, and the
#                      first runs on all its CPUs; flags: for the compiler
#   override/NAME.c    tables: whose entries it replaces; flags: for the compiler, besides the table's
#
# Sets norma_kernel_objects, and writes kernel_list.h, which names the tables and overrides of this build.
set(norma_kernel_dir ${PROJECT_SOURCE_DIR}/ops/kernels)
file(GLOB norma_isa_files CONFIGURE_DEPENDS ${norma_kernel_dir}/isa/*.h)
file(GLOB norma_override_files CONFIGURE_DEPENDS ${norma_kernel_dir}/override/*.c)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${norma_isa_files} ${norma_override_files})

# norma_kernel_fact(FILE KEY RESULT): the words behind `KEY:`, a list.
function(norma_kernel_fact file key result)
  file(STRINGS ${file} line REGEX "^ \\* ${key}:" LIMIT_COUNT 1)
  if(NOT line)
    message(FATAL_ERROR "${file}: no line ` * ${key}: ...` in its first comment")
  endif()
  string(REGEX REPLACE "^ \\* ${key}: *" "" words "${line}")
  separate_arguments(words UNIX_COMMAND "${words}")
  set(${result} ${words} PARENT_SCOPE)
endfunction()

# norma_add_kernels(TARGET SOURCE ISA FLAGS...)
function(norma_add_kernels target source isa)
  add_library(${target} OBJECT ${source})
  target_link_libraries(${target} PRIVATE norma_object_options)
  target_compile_definitions(${target} PRIVATE KERNEL_ISA=${isa} "KERNEL_ISA_FILE=\"ops/kernels/isa/${isa}.h\"")
  target_compile_options(${target} PRIVATE ${ARGN})
  set(norma_kernel_objects ${norma_kernel_objects} $<TARGET_OBJECTS:${target}> PARENT_SCOPE)
endfunction()

string(TOLOWER "${CMAKE_SYSTEM_PROCESSOR}" norma_arch)
string(REGEX REPLACE "^amd64$" "x86_64" norma_arch "${norma_arch}")
string(REGEX REPLACE "^arm64$" "aarch64" norma_arch "${norma_arch}")

# "rank name", so that sorting puts them in rising order of preference.
set(norma_ranked_isas)
foreach(file IN LISTS norma_isa_files)
  norma_kernel_fact(${file} arch arch)
  if(arch STREQUAL norma_arch OR (arch STREQUAL "generic" AND NORMA_GENERIC_KERNELS))
    norma_kernel_fact(${file} rank rank)
    get_filename_component(isa ${file} NAME_WE)
    list(APPEND norma_ranked_isas "${rank} ${isa}")
  endif()
endforeach()
if(NOT norma_ranked_isas)
  message(FATAL_ERROR "No file of ops/kernels/isa/ is for ${CMAKE_SYSTEM_PROCESSOR}")
endif()
list(SORT norma_ranked_isas COMPARE NATURAL)
list(TRANSFORM norma_ranked_isas REPLACE "^.* " "" OUTPUT_VARIABLE norma_isas)

# What makes loops over arrays vector code; Clang does it at every level from -O2 on. Conversions of what does not fit are
# made before they are left out: they must not trap.
set(norma_array_flags -fno-trapping-math)
if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
  list(APPEND norma_array_flags -ftree-loop-vectorize -fvect-cost-model=dynamic --param=vect-epilogues-nomask=0)
endif()

set(norma_kernel_objects)
set(norma_list_of_tables)
set(norma_list_of_overrides)
foreach(isa IN LISTS norma_isas)
  norma_kernel_fact(${norma_kernel_dir}/isa/${isa}.h flags norma_isa_flags_${isa})
  norma_add_kernels(norma_kernels_${isa} ${norma_kernel_dir}/kernel_table_isa.c ${isa} ${norma_isa_flags_${isa}})
  norma_add_kernels(norma_array_kernels_${isa} ${norma_kernel_dir}/array_kernels_isa.c ${isa} ${norma_isa_flags_${isa}}
    ${norma_array_flags})
  string(APPEND norma_list_of_tables " X(${isa})")
endforeach()
foreach(file IN LISTS norma_override_files)
  norma_kernel_fact(${file} tables tables)
  norma_kernel_fact(${file} flags flags)
  get_filename_component(name ${file} NAME_WE)
  foreach(isa IN LISTS tables)
    if(isa IN_LIST norma_isas)
      norma_add_kernels(norma_override_${name}_of_${isa} ${file} ${isa} ${norma_isa_flags_${isa}} ${flags})
      string(APPEND norma_list_of_overrides " X(${name}, ${isa})")
    elseif(NOT EXISTS ${norma_kernel_dir}/isa/${isa}.h)
      message(FATAL_ERROR "${file}: there is no table ${isa}")
    endif()
  endforeach()
endforeach()

file(CONFIGURE OUTPUT ${PROJECT_BINARY_DIR}/kernel_list.h CONTENT
"/* Written by cmake/Kernels.cmake: the tables of this build in rising order of preference, and (override, table). */
#define KERNEL_TABLES(X)${norma_list_of_tables}
#define KERNEL_OVERRIDES(X)${norma_list_of_overrides}
" @ONLY)
