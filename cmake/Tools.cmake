# The tool `norma`: tools/norma.c and one file per subcommand, which are found by what they export. Libraries for
# pictures (PNG, JPEG) and for compressed .npz (ZLIB) are optional and used here only.
file(GLOB_RECURSE norma_tool_sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/tools/*.c)
list(FILTER norma_tool_sources EXCLUDE REGEX "^${PROJECT_SOURCE_DIR}/tools/python/") # a build of its own
file(GLOB norma_bench_sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/tools/bench/bench_*.c)
list(REMOVE_ITEM norma_tool_sources ${norma_bench_sources})
list(FILTER norma_tool_sources EXCLUDE REGEX "/tools/wasm/") # compiled by tools/build_wasm.sh
list(APPEND norma_bench_sources ${PROJECT_SOURCE_DIR}/tests/bench/bench_kernels.c)

if(${PROJECT_SOURCE_DIR}/tools/norma.c IN_LIST norma_tool_sources)
  # All but main() is a library of its own, so that tests reach it.
  list(REMOVE_ITEM norma_tool_sources ${PROJECT_SOURCE_DIR}/tools/norma.c)
  norma_add_table(command ${PROJECT_BINARY_DIR}/command_table.c ${norma_tool_sources})
  norma_embed_text(inspect_page_template ${PROJECT_BINARY_DIR}/inspect_page_template.c
    ${PROJECT_SOURCE_DIR}/tools/page/inspect_page.html)
  add_library(norma_tool_parts STATIC ${norma_tool_sources} ${PROJECT_BINARY_DIR}/command_table.c
    ${PROJECT_BINARY_DIR}/inspect_page_template.c)
  target_link_libraries(norma_tool_parts PUBLIC ${norma_for_programs} norma_compile_options Threads::Threads m)
  foreach(library PNG JPEG ZLIB)
    find_package(${library})
    if(${library}_FOUND)
      target_link_libraries(norma_tool_parts PUBLIC ${library}::${library})
      target_compile_definitions(norma_tool_parts PUBLIC NORMA_HAVE_${library})
    endif()
  endforeach()
  include(Mpi)
  norma_add_mpi(norma_tool_parts)
  add_executable(norma_tool tools/norma.c)
  set_target_properties(norma_tool PROPERTIES OUTPUT_NAME norma)
  target_link_libraries(norma_tool PRIVATE norma_tool_parts)

  # The man page and the completions come from the tables that --help prints.
  if(NOT CMAKE_CROSSCOMPILING OR CMAKE_CROSSCOMPILING_EMULATOR)
    add_custom_command(
      OUTPUT ${PROJECT_BINARY_DIR}/norma.1
      COMMAND norma_tool --man > ${PROJECT_BINARY_DIR}/norma.1
      DEPENDS norma_tool
      COMMENT "Writing norma.1"
      VERBATIM)
    foreach(shell bash zsh)
      add_custom_command(
        OUTPUT ${PROJECT_BINARY_DIR}/completion.${shell}
        COMMAND norma_tool --completion ${shell} > ${PROJECT_BINARY_DIR}/completion.${shell}
        DEPENDS norma_tool
        COMMENT "Writing completion.${shell}"
        VERBATIM)
    endforeach()
    add_custom_target(norma_man ALL DEPENDS ${PROJECT_BINARY_DIR}/norma.1
      ${PROJECT_BINARY_DIR}/completion.bash ${PROJECT_BINARY_DIR}/completion.zsh)
  endif()
endif()

# Measurements of parts, each a program of its own. They reach inner functions, which a shared library hides.
if(NORMA_LINK_SHARED AND NOT NORMA_SANITIZE)
  set(norma_bench_sources)
endif()
foreach(source IN LISTS norma_bench_sources)
  get_filename_component(name ${source} NAME_WE)
  add_executable(${name} ${source})
  target_link_libraries(${name} PRIVATE norma_tool_parts ${CMAKE_DL_LIBS})
endforeach()
