# cmake --install: header, libraries, tool, man page, completions, licence, and what pkg-config and find_package need.
include(CMakePackageConfigHelpers)

install(TARGETS ${norma_libraries} EXPORT NormaTargets
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE ${PROJECT_SOURCE_DIR}/engine/CHANGELOG.md
  DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/norma)
install(FILES ${PROJECT_SOURCE_DIR}/engine/norma.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
if(TARGET norma_tool)
  install(TARGETS norma_tool RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()
if(TARGET norma_man)
  install(FILES ${PROJECT_BINARY_DIR}/norma.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
  set(NORMA_ZSH_COMPLETIONS ${CMAKE_INSTALL_DATADIR}/zsh/site-functions CACHE STRING "Where zsh looks for completions")
  install(FILES ${PROJECT_BINARY_DIR}/completion.bash RENAME norma
    DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
  install(FILES ${PROJECT_BINARY_DIR}/completion.zsh RENAME _norma DESTINATION ${NORMA_ZSH_COMPLETIONS})
endif()

set(norma_package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/Norma)
install(EXPORT NormaTargets NAMESPACE Norma:: DESTINATION ${norma_package_dir})
configure_package_config_file(cmake/NormaConfig.cmake.in ${PROJECT_BINARY_DIR}/NormaConfig.cmake
  INSTALL_DESTINATION ${norma_package_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/NormaConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/NormaConfig.cmake ${PROJECT_BINARY_DIR}/NormaConfigVersion.cmake
  cmake/FindProtobufC.cmake DESTINATION ${norma_package_dir})

# The prefix is found from where the file lies, so an installed tree may be moved.
file(RELATIVE_PATH norma_pc_to_prefix
  ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
configure_file(norma.pc.in ${PROJECT_BINARY_DIR}/norma.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/norma.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
