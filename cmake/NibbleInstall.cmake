# cmake --install: the program with its man page and completions, the libraries, the public headers, and what
# find_package(nibble) reads. It gives nibble::runtime, which reads and runs models (nibble::runtime-static: the same as an archive),
# and nibble::nibble, which makes them on top of it. nibble-runtime.pc is for who builds without CMake.
# Four components, each a Debian package (NibblePackage.cmake): library, runtime, training, development.
include(CMakePackageConfigHelpers)
set(package_folder ${CMAKE_INSTALL_LIBDIR}/cmake/nibble)

set_target_properties(nibble-runtime PROPERTIES EXPORT_NAME runtime)
set_target_properties(nibble-runtime-static PROPERTIES EXPORT_NAME runtime-static)
install(TARGETS nibble EXPORT nibbleTargets LIBRARY COMPONENT runtime NAMELINK_COMPONENT development)
install(TARGETS nibble-runtime nibble-runtime-static EXPORT nibbleTargets
        LIBRARY COMPONENT library NAMELINK_COMPONENT development ARCHIVE COMPONENT development)
install(TARGETS nibble_cli RUNTIME COMPONENT runtime)
if(TARGET nibble_torch)  # loaded at run time, from beside libnibble
  install(TARGETS nibble_torch LIBRARY COMPONENT training)
endif()
install(DIRECTORY include/nibble DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT development FILES_MATCHING PATTERN "*.h")
install(FILES include/nibble.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT development)
install(FILES docs/nibble.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1 COMPONENT runtime)
install(FILES completions/nibble.bash DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions COMPONENT runtime
        RENAME nibble)
install(FILES completions/_nibble DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/site-functions COMPONENT runtime)
install(FILES completions/nibble.fish DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d COMPONENT runtime)
string(REGEX REPLACE "[^/]+" ".." up ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
set(private ${NIBBLE_ARCHIVE_NEEDS} dl pthread stdc++ m)
list(TRANSFORM private PREPEND "-l")
list(JOIN private " " private)
configure_file(cmake/nibble-runtime.pc.in ${PROJECT_BINARY_DIR}/nibble-runtime.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/nibble-runtime.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT development)
install(FILES cmake/NibbleOperators.cmake DESTINATION ${package_folder} COMPONENT development)
install(EXPORT nibbleTargets NAMESPACE nibble:: DESTINATION ${package_folder} COMPONENT development)
configure_package_config_file(cmake/nibbleConfig.cmake.in ${PROJECT_BINARY_DIR}/nibbleConfig.cmake
                              INSTALL_DESTINATION ${package_folder})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/nibbleConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/nibbleConfig.cmake ${PROJECT_BINARY_DIR}/nibbleConfigVersion.cmake
        DESTINATION ${package_folder} COMPONENT development)
