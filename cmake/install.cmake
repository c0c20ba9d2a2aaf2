# SPDX-License-Identifier: MIT
#
# What `cmake --install` puts where: the headers, both libraries, libpipc.pc, the CMake package and
# the documents. The manual pages are in docs/man/CMakeLists.txt.
# The tree may be moved afterwards: everything in it finds the rest by relative paths. Only below
# /usr libpipc.pc has the prefix.
#
# Each rule names its component: runtime (the shared library), development (what a compiler needs),
# tools (programs, with their pages), documentation. packages.cmake makes packages of them.
include(CMakePackageConfigHelpers)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/pipc)

install(FILES include/pipc.h include/pipc.hpp DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
    COMPONENT development)
foreach(target pipc_static pipc_shared)
    if(TARGET ${target})
        install(TARGETS ${target} EXPORT pipc_targets
            ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT development
            LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT runtime
                NAMELINK_COMPONENT development)
    endif()
endforeach()
install(EXPORT pipc_targets NAMESPACE pipc:: FILE pipcTargets.cmake DESTINATION ${package_dir}
    COMPONENT development)

configure_package_config_file(cmake/pipcConfig.cmake.in ${PROJECT_BINARY_DIR}/pipcConfig.cmake
    INSTALL_DESTINATION ${package_dir} NO_SET_AND_CHECK_MACRO NO_CHECK_REQUIRED_COMPONENTS_MACRO)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/pipcConfigVersion.cmake
    COMPATIBILITY SameMinorVersion) # before 1.0 a minor release may break
install(FILES ${PROJECT_BINARY_DIR}/pipcConfig.cmake ${PROJECT_BINARY_DIR}/pipcConfigVersion.cmake
    DESTINATION ${package_dir} COMPONENT development)

if(IS_ABSOLUTE "${CMAKE_INSTALL_LIBDIR}" OR IS_ABSOLUTE "${CMAKE_INSTALL_INCLUDEDIR}")
    set(pc_prefix ${CMAKE_INSTALL_PREFIX})
    set(pc_libdir ${CMAKE_INSTALL_FULL_LIBDIR})
    set(pc_includedir ${CMAKE_INSTALL_FULL_INCLUDEDIR})
else()
    file(RELATIVE_PATH up /prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig /prefix)
    string(REGEX REPLACE "/$" "" up "${up}")
    set(pc_prefix "\${pcfiledir}/${up}")
    set(pc_libdir "\${prefix}/${CMAKE_INSTALL_LIBDIR}")
    set(pc_includedir "\${prefix}/${CMAKE_INSTALL_INCLUDEDIR}")
endif()
set(pc_sanitize "")
if(sanitize)
    set(pc_sanitize " ${sanitize}")
endif()
configure_file(cmake/libpipc.pc.in ${PROJECT_BINARY_DIR}/libpipc.pc @ONLY)
install(CODE "include(\"${PROJECT_SOURCE_DIR}/cmake/pc_prefix.cmake\")
    pipc_write_pc(\"${PROJECT_BINARY_DIR}/libpipc.pc\"
        \"${PROJECT_BINARY_DIR}/pkgconfig/libpipc.pc\" \"\${CMAKE_INSTALL_PREFIX}\")"
    COMPONENT development)
install(FILES ${PROJECT_BINARY_DIR}/pkgconfig/libpipc.pc
    DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT development)

install(FILES README.md CHANGELOG.md LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR}
    COMPONENT documentation)
install(DIRECTORY docs/ DESTINATION ${CMAKE_INSTALL_DOCDIR}/docs COMPONENT documentation
    FILES_MATCHING PATTERN "*.md" PATTERN "*.svg" PATTERN man EXCLUDE)
install(DIRECTORY bench/ DESTINATION ${CMAKE_INSTALL_DOCDIR}/bench COMPONENT documentation
    FILES_MATCHING PATTERN "*.svg")
install(DIRECTORY examples/ DESTINATION ${CMAKE_INSTALL_DOCDIR}/examples COMPONENT documentation
    FILES_MATCHING PATTERN "*.c" PATTERN "*.py" PATTERN "*.sh" PATTERN __pycache__ EXCLUDE)

# The tools, where they are built (tools/CMakeLists.txt has their rules).
foreach(tool pipccat pipc-inspect)
    if(TARGET ${tool})
        target_compile_options(${tool} PRIVATE ${prefix_map})
    endif()
endforeach()

# For the top level only: a parent may have an uninstall target of its own.
if(top_level AND NOT TARGET uninstall)
    add_custom_target(uninstall COMMAND ${CMAKE_COMMAND} "-DBUILD_DIR=${PROJECT_BINARY_DIR}"
        -P ${PROJECT_SOURCE_DIR}/cmake/uninstall.cmake VERBATIM)
endif()
