# SPDX-License-Identifier: MIT
#
# What `cpack -G DEB` and `cpack -G RPM` make of the components of install.cmake: a runtime package
# (libpipc0, libpipc), a development package with the documents (libpipc-dev, libpipc-devel), and
# pipc-tools where the tools are built. It needs CMake 3.19. Whoever publishes packages names
# himself: -DCPACK_PACKAGE_CONTACT="NAME <ADDRESS>". package_trees.cmake adds what a distribution
# wants beside the installed files.
set(CPACK_PACKAGE_NAME libpipc)
set(CPACK_PACKAGE_VENDOR "The libpipc authors")
if(NOT CPACK_PACKAGE_CONTACT)
    set(CPACK_PACKAGE_CONTACT "The libpipc authors <libpipc@packages.invalid>")
endif()
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "message pipes between threads, processes and hosts")
set(CPACK_RESOURCE_FILE_LICENSE ${PROJECT_SOURCE_DIR}/LICENSE)
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS
    OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
set(CPACK_GENERATOR DEB)
set(CPACK_PRE_BUILD_SCRIPTS ${PROJECT_SOURCE_DIR}/cmake/package_trees.cmake)
set(CPACK_COMPONENTS_GROUPING ONE_PER_GROUP)
set(runtime_description "This is the shared library.")
set(development_description
    "This is what a compiler needs: header, libraries, and the files for pkg-config
and CMake; and the manual pages.")
set(tools_description "These are the programs.")
foreach(group runtime development tools)
    string(TOUPPER ${group} name)
    set(CPACK_DEBIAN_${name}_DESCRIPTION
        "libpipc carries whole messages between two threads, a parent and its child,
two processes that agree on a name, a server and its clients, or two hosts.
A program waits for them in the poll loop that it already has.
${${group}_description}")
    set(CPACK_RPM_${name}_PACKAGE_DESCRIPTION "${CPACK_DEBIAN_${name}_DESCRIPTION}")
endforeach()

set(version ${PROJECT_VERSION}-1)
set(CPACK_DEBIAN_PACKAGE_RELEASE 1)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_RUNTIME_PACKAGE_NAME libpipc0)
set(CPACK_DEBIAN_RUNTIME_PACKAGE_SECTION libs)
set(CPACK_DEBIAN_RUNTIME_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_RUNTIME_PACKAGE_CONTROL_EXTRA ${PROJECT_SOURCE_DIR}/cmake/triggers)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS ON)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS_POLICY ">=")
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_NAME libpipc-dev)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_DEPENDS "libc6-dev | libc-dev")
set(CPACK_DEBIAN_TOOLS_PACKAGE_NAME pipc-tools)
set(CPACK_DEBIAN_TOOLS_PACKAGE_SECTION utils)
set(CPACK_DEBIAN_TOOLS_PACKAGE_DEPENDS libc6)
if(TARGET pipc_shared)
    string(PREPEND CPACK_DEBIAN_DEVELOPMENT_PACKAGE_DEPENDS "libpipc0 (= ${version}), ")
endif()
if(NOT TARGET pipc_static) # otherwise pipccat has the library in it
    string(PREPEND CPACK_DEBIAN_TOOLS_PACKAGE_DEPENDS "libpipc0 (>= ${PROJECT_VERSION}), ")
endif()

set(CPACK_RPM_FILE_NAME RPM-DEFAULT)
set(CPACK_RPM_COMPONENT_INSTALL ON)
set(CPACK_RPM_PACKAGE_LICENSE MIT)
set(CPACK_RPM_PACKAGE_GROUP System/Libraries)
set(CPACK_RPM_RUNTIME_PACKAGE_NAME libpipc)
set(CPACK_RPM_DEVELOPMENT_PACKAGE_NAME libpipc-devel)
set(CPACK_RPM_TOOLS_PACKAGE_NAME pipc-tools)
if(TARGET pipc_shared)
    set(CPACK_RPM_DEVELOPMENT_PACKAGE_REQUIRES "libpipc = ${version}")
endif()
if(NOT TARGET pipc_static)
    set(CPACK_RPM_TOOLS_PACKAGE_REQUIRES "libpipc >= ${PROJECT_VERSION}")
endif()
# The same bytes each time, where SOURCE_DATE_EPOCH is set.
set(CPACK_RPM_SPEC_MORE_DEFINE "%define use_source_date_epoch_as_buildtime 1
%define clamp_mtime_to_source_date_epoch 1
%define _buildhost localhost")
foreach(event INSTALL UNINSTALL)
    set(CPACK_RPM_RUNTIME_POST_${event}_SCRIPT_FILE ${PROJECT_SOURCE_DIR}/cmake/ldconfig.sh)
endforeach()
# Folders of every system, which no package owns.
foreach(folder lib lib/pkgconfig lib/cmake share share/doc share/man share/man/man1
        share/man/man3 share/man/man7 share/bash-completion share/bash-completion/completions
        share/zsh share/zsh/site-functions bin include)
    list(APPEND CPACK_RPM_EXCLUDE_FROM_AUTO_FILELIST_ADDITION /usr/${folder})
endforeach()
foreach(folder "" /pkgconfig /cmake)
    list(APPEND CPACK_RPM_EXCLUDE_FROM_AUTO_FILELIST_ADDITION /usr/${CMAKE_INSTALL_LIBDIR}${folder})
endforeach()

set(CPACK_PIPC_SOURCE_DIR ${PROJECT_SOURCE_DIR}) # for package_trees.cmake
include(CPack)
get_cmake_property(components COMPONENTS) # those that have rules so far
foreach(name runtime development tools)
    if(name IN_LIST components)
        cpack_add_component_group(${name})
        cpack_add_component(${name} GROUP ${name})
    endif()
endforeach()
if(documentation IN_LIST components)
    cpack_add_component(documentation GROUP development)
endif()
