# What is generated at build time: C from the ONNX schema, and the tables of operators and passes.

find_program(PROTOC_C protoc-c REQUIRED)
file(GLOB norma_schema CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/proto/onnx.proto)
set(norma_proto_sources ${PROJECT_BINARY_DIR}/proto/onnx.pb-c.c)
if(NOT norma_schema)
  set(norma_proto_sources)
endif()
add_custom_command(
  OUTPUT ${norma_proto_sources} ${PROJECT_BINARY_DIR}/proto/onnx.pb-c.h
  COMMAND ${CMAKE_COMMAND} -E make_directory ${PROJECT_BINARY_DIR}/proto
  COMMAND ${PROTOC_C} --proto_path=${PROJECT_SOURCE_DIR}/proto --c_out=${PROJECT_BINARY_DIR}/proto
          ${PROJECT_SOURCE_DIR}/proto/onnx.proto
  DEPENDS ${PROJECT_SOURCE_DIR}/proto/onnx.proto
  COMMENT "Generating proto/onnx.pb-c.c"
  VERBATIM)

# norma_add_table(OUTPUT FILE SOURCES...): a C file that lists what the sources export, one thing per source. The file
# is written anew only when its contents change, so editing an operator does not compile the table again.
function(norma_add_table kind output)
  set(list_file ${output}.sources)
  list(JOIN ARGN "\n" sources)
  file(CONFIGURE OUTPUT ${list_file} CONTENT "${sources}\n" @ONLY)
  add_custom_command(
    OUTPUT ${output}
    COMMAND ${CMAKE_COMMAND} -DKIND=${kind} -DLIST=${list_file} -DOUTPUT=${output}
            -P ${PROJECT_SOURCE_DIR}/cmake/write_table.cmake
    DEPENDS ${ARGN} ${list_file} ${PROJECT_SOURCE_DIR}/cmake/write_table.cmake
    COMMENT "Listing ${kind}s"
    VERBATIM)
endfunction()

# norma_embed_text(VARIABLE OUTPUT FILE): a C file that holds the bytes of a text file as `const char VARIABLE[]`.
function(norma_embed_text variable output file)
  add_custom_command(
    OUTPUT ${output}
    COMMAND ${CMAKE_COMMAND} -DVARIABLE=${variable} -DFILE=${file} -DOUTPUT=${output}
            -P ${PROJECT_SOURCE_DIR}/cmake/embed_text.cmake
    DEPENDS ${file} ${PROJECT_SOURCE_DIR}/cmake/embed_text.cmake
    COMMENT "Embedding ${file}"
    VERBATIM)
endfunction()
