# SPDX-License-Identifier: MIT
#
# The target `uninstall`: removes what the installs from this build folder have put somewhere, all
# of it or by component, and the folders of libpipc alone that are empty then. DESTDIR is respected.
# A file that is no longer there is passed over.
# usage: cmake -DBUILD_DIR=FOLDER -P uninstall.cmake
cmake_minimum_required(VERSION 3.16)

file(GLOB manifests "${BUILD_DIR}/install_manifest*.txt")
if(NOT manifests)
    message(FATAL_ERROR "nothing was installed from ${BUILD_DIR}: it has no install_manifest.txt")
endif()

set(folders)
foreach(manifest ${manifests})
    file(STRINGS "${manifest}" files)
    foreach(name ${files})
        set(file "$ENV{DESTDIR}${name}")
        if(EXISTS "${file}" OR IS_SYMLINK "${file}")
            file(REMOVE "${file}")
            if(EXISTS "${file}" OR IS_SYMLINK "${file}")
                message(FATAL_ERROR "cannot remove ${file}")
            endif()
            message("removed: ${file}")
        endif()
        get_filename_component(folder "${file}" DIRECTORY)
        if(folder MATCHES "/cmake/pipc$|/doc/[^/]*pipc[^/]*(/[a-z]+)?$") # libpipc's own
            list(APPEND folders "${folder}")
        endif()
    endforeach()
endforeach()

list(REMOVE_DUPLICATES folders)
list(SORT folders ORDER DESCENDING) # the deepest first
foreach(folder ${folders})
    file(GLOB rest "${folder}/*" "${folder}/.[!.]*")
    if(NOT rest AND IS_DIRECTORY "${folder}" AND NOT IS_SYMLINK "${folder}")
        file(REMOVE_RECURSE "${folder}")
    endif()
endforeach()
file(REMOVE ${manifests})
