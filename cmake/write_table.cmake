# cmake -DKIND=operator|pass -DLIST=FILE -DOUTPUT=FILE -P write_table.cmake
#
# Writes the table of everything that the sources named in LIST (one per line) export:
#   operator   NAME.c exports `const operator_descriptor operators_NAME[]`, ended by an entry without a name
#   pass       NAME.c exports `const pass pass_NAME`
#   command    NAME.c exports `const command command_NAME`
# Sources without such a line are helpers and left out.
cmake_minimum_required(VERSION 3.25)

set(type ${KIND})
set(prefix "${KIND}_")
set(brackets "")
set(reference "&")
set(array "${KIND}_table")
if(KIND STREQUAL "operator")
  set(header "ops/operator.h")
  set(type "operator_descriptor")
  set(prefix "operators_")
  set(brackets "[]")
  set(reference "")
  set(array "operator_tables")
elseif(KIND STREQUAL "pass")
  set(header "engine/passes/pass.h")
elseif(KIND STREQUAL "command")
  set(header "tools/command.h")
else()
  message(FATAL_ERROR "unknown KIND ${KIND}")
endif()

set(declarations "")
set(entries "")
set(names "")
set(count 0)
file(STRINGS ${LIST} sources)
list(SORT sources)
foreach(source IN LISTS sources)
  get_filename_component(name ${source} NAME_WE)
  file(STRINGS ${source} exported REGEX "^const ${type} ${prefix}[a-z0-9_]+")
  if(exported)
    if(NOT exported MATCHES "^const ${type} ${prefix}${name}[^a-z0-9_]")
      message(FATAL_ERROR "${source} must export ${prefix}${name}, not: ${exported}")
    endif()
    string(APPEND declarations "extern const ${type} ${prefix}${name}${brackets};\n")
    string(APPEND entries "  ${reference}${prefix}${name},\n")
    string(APPEND names "  \"${prefix}${name}\",\n")
    math(EXPR count "${count} + 1")
  endif()
endforeach()

# What the operators of each file are called in C, for programs that are written.
if(KIND STREQUAL "operator")
  set(named "
extern const char *const ${KIND}_table_names[];
const char *const ${KIND}_table_names[] = {
${names}  NULL,
};")
endif()

set(declared "extern const ${type} *const ${array}[];\nextern const size_t ${KIND}_table_count;\n")
# Nothing to list needs no header either.
if(count EQUAL 0)
  set(include "typedef struct ${type} ${type};")
else()
  set(include "#include \"${header}\"")
endif()

# The array ends with NULL, so that it is valid C when there is nothing to list.
file(CONFIGURE OUTPUT ${OUTPUT} CONTENT
"/* Written by cmake/write_table.cmake from the list of files. */
${include}

#include <stddef.h>

${declarations}
${declared}
const ${type} *const ${array}[] = {
${entries}  NULL,
};
const size_t ${KIND}_table_count = ${count};${named}
" @ONLY)
