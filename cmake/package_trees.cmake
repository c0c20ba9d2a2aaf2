# SPDX-License-Identifier: MIT
#
# cpack runs this when each package's files lie in a folder of their own, named after the group of
# components. It puts the documents where the distribution looks for them, with the licence and, for
# Debian, the changelog in its form; compresses manual pages; strips the static library.
if(NOT CPACK_GENERATOR MATCHES "^(DEB|RPM)$")
    return()
endif()
include(${CPACK_PIPC_SOURCE_DIR}/cmake/pc_prefix.cmake)
set(name_runtime_DEB libpipc0)
set(name_development_DEB libpipc-dev)
set(name_runtime_RPM libpipc)
set(name_development_RPM libpipc-devel)
set(name_tools_DEB pipc-tools)
set(name_tools_RPM pipc-tools)

function(run)
    execute_process(COMMAND ${ARGN} RESULT_VARIABLE status)
    if(NOT status EQUAL 0)
        message(FATAL_ERROR "failed: ${ARGN}")
    endif()
endfunction()

function(debian_documents folder package)
    file(READ ${CPACK_PIPC_SOURCE_DIR}/LICENSE licence)
    string(REGEX MATCH "Copyright [^\n]*" copyright "${licence}")
    string(REGEX REPLACE "^.*\n(Permission is)" "\\1" licence "${licence}")
    string(REGEX REPLACE "\n+$" "" licence "${licence}")
    string(REGEX REPLACE "\n\n" "\n.\n" licence "${licence}")
    string(REPLACE "\n" "\n " licence "${licence}")
    string(REGEX REPLACE "^Copyright (\\(c\\) )?" "" copyright "${copyright}")
    file(WRITE ${folder}/copyright
        "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n"
        "Upstream-Name: libpipc\n\nFiles: *\nCopyright: ${copyright}\n"
        "License: Expat\n ${licence}\n")
    set(ENV{LC_ALL} C)
    string(TIMESTAMP date "%a, %d %b %Y %H:%M:%S +0000" UTC) # respects SOURCE_DATE_EPOCH
    file(WRITE ${folder}/changelog.Debian
        "libpipc (${CPACK_PACKAGE_VERSION}-${CPACK_DEBIAN_PACKAGE_RELEASE}) unstable;"
        " urgency=medium\n\n  * Made by cpack from the sources. CHANGELOG.md says what is new.\n\n"
        " -- ${CPACK_PACKAGE_CONTACT}  ${date}\n")
    file(COPY ${CPACK_PIPC_SOURCE_DIR}/CHANGELOG.md DESTINATION ${folder})
    file(RENAME ${folder}/CHANGELOG.md ${folder}/changelog)
    run(gzip -9nf ${folder}/changelog ${folder}/changelog.Debian)
endfunction()

foreach(group runtime development tools)
    set(tree ${CPACK_TEMPORARY_DIRECTORY}/${group}${CPACK_PACKAGING_INSTALL_PREFIX})
    if(NOT IS_DIRECTORY ${tree})
        continue()
    endif()
    set(documents ${tree}/share/doc/${name_${group}_${CPACK_GENERATOR}})
    file(MAKE_DIRECTORY ${documents})
    file(GLOB installed ${tree}/share/doc/pipc/*)
    foreach(file ${installed})
        get_filename_component(name ${file} NAME)
        file(RENAME ${file} ${documents}/${name})
    endforeach()
    file(REMOVE_RECURSE ${tree}/share/doc/pipc)
    if(CPACK_GENERATOR STREQUAL "DEB")
        file(REMOVE ${documents}/LICENSE ${documents}/CHANGELOG.md)
        debian_documents(${documents} ${name_${group}_DEB})
    else()
        file(COPY ${CPACK_PIPC_SOURCE_DIR}/LICENSE DESTINATION ${documents})
    endif()

    file(GLOB pages ${tree}/share/man/man[0-9]/*[0-9])
    if(pages)
        run(gzip -9nf ${pages})
    endif()
    file(GLOB descriptions ${tree}/lib*/pkgconfig/*.pc ${tree}/lib/*/pkgconfig/*.pc)
    foreach(file ${descriptions})
        pipc_write_pc(${file} ${file} ${CPACK_PACKAGING_INSTALL_PREFIX})
    endforeach()
    file(GLOB_RECURSE archives ${tree}/*.a)
    if(archives)
        run(strip --strip-debug --enable-deterministic-archives ${archives})
    endif()
endforeach()
