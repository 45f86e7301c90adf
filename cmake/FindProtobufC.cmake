# protobuf-c: the target ProtobufC::protobuf-c and the version in ProtobufC_VERSION. Used by Norma's own build and,
# installed beside NormaConfig.cmake, by programs that link the static library.
find_path(ProtobufC_INCLUDE_DIR protobuf-c/protobuf-c.h)
find_library(ProtobufC_LIBRARY protobuf-c)
mark_as_advanced(ProtobufC_INCLUDE_DIR ProtobufC_LIBRARY)

if(ProtobufC_INCLUDE_DIR)
  file(STRINGS ${ProtobufC_INCLUDE_DIR}/protobuf-c/protobuf-c.h ProtobufC_VERSION
       REGEX "^#define[ \t]+PROTOBUF_C_VERSION[ \t]+\"")
  string(REGEX REPLACE "^.*\"(.*)\".*$" "\\1" ProtobufC_VERSION "${ProtobufC_VERSION}")
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(ProtobufC
  REQUIRED_VARS ProtobufC_LIBRARY ProtobufC_INCLUDE_DIR VERSION_VAR ProtobufC_VERSION)

if(ProtobufC_FOUND AND NOT TARGET ProtobufC::protobuf-c)
  add_library(ProtobufC::protobuf-c UNKNOWN IMPORTED)
  set_target_properties(ProtobufC::protobuf-c PROPERTIES
    IMPORTED_LOCATION "${ProtobufC_LIBRARY}"
    INTERFACE_INCLUDE_DIRECTORIES "${ProtobufC_INCLUDE_DIR}")
endif()
