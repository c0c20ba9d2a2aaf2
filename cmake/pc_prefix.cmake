# SPDX-License-Identifier: MIT
#
# The prefix in libpipc.pc. It is relative to the file, so that a tree may be moved. Below /usr
# nothing moves, and pkg-config leaves out the folders that a compiler searches anyway, and puts a
# sysroot before the others, only if it can read where they are.
function(pipc_write_pc from to prefix)
    file(READ ${from} text)
    string(REGEX REPLACE "/+$" "" prefix "${prefix}")
    if(prefix MATCHES "^/usr(/local)?$")
        string(REGEX REPLACE "^prefix=[^\n]*" "prefix=${prefix}" text "${text}")
    endif()
    file(WRITE ${to} "${text}")
endfunction()
