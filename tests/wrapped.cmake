# SPDX-License-Identifier: MIT
#
# What the linker has to replace for the names in wrapped.txt. A C library gives some functions
# another symbol: fstat64 for large files, __nanosleep64 for 64-bit time. The compiler is asked, by
# its assembly for an array of their addresses.
#
# The wrappers declare the real functions weak, since an older C library lacks some of them. A
# static program gets those that are there because they are asked for by name (--undefined).
#
# Sets `wrapped`, options for the linker. Writes wrapped_symbols.h, SYMBOL_name for fault_calls.c,
# and wrapped_symbols.txt, lines of `symbol name`, for check_seam.sh.
file(STRINGS wrapped.txt names REGEX "^[a-z]")
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS wrapped.txt)

set(lines "")
foreach(name ${names})
    string(APPEND lines "    (function *)&${name},\n")
endforeach()
file(WRITE ${CMAKE_CURRENT_BINARY_DIR}/wrapped.c "#include \"wrapped.h\"\n
typedef void function(void);
extern function *const symbols[];
function *const symbols[] = {\n${lines}};\n")

separate_arguments(flags UNIX_COMMAND "${CMAKE_C_FLAGS}")
execute_process(
    COMMAND ${CMAKE_C_COMPILER} ${flags} -w -O0 -g0 -fno-lto -fno-sanitize=all -U_FORTIFY_SOURCE
            -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -I${CMAKE_CURRENT_SOURCE_DIR} -S -o -
            ${CMAKE_CURRENT_BINARY_DIR}/wrapped.c
    OUTPUT_VARIABLE assembly ERROR_VARIABLE errors RESULT_VARIABLE failed)
string(REGEX MATCH "symbols:.*" assembly "${assembly}")
set(directive "\\.(long|quad|word|xword|dword|4byte|8byte)")
string(REGEX MATCHALL "${directive}[ \t]+[A-Za-z_][A-Za-z0-9_]*" symbols "${assembly}")
list(TRANSFORM symbols REPLACE "^.*[ \t]" "")
list(LENGTH names count)
list(LENGTH symbols found)
if(NOT failed STREQUAL "0" OR found LESS count)
    message(WARNING "the symbols of the C library's functions are not known: "
        "faults may not be injected\n${errors}")
    set(symbols ${names})
endif()

include(CheckFunctionExists)
set(wrapped "LINKER:--wrap=pthread_atfork" "LINKER:--wrap=setenv") # by ledger.c
set(header "/* Made from wrapped.txt by wrapped.cmake. */\n")
set(table "")
foreach(name ${names})
    list(POP_FRONT symbols symbol)
    list(APPEND wrapped "LINKER:--wrap=${symbol}")
    if(name MATCHES "^p(read|write)v2$")
        check_function_exists(${symbol} has_${name})
    else()
        set(has_${name} TRUE)
    endif()
    if(has_${name})
        list(APPEND wrapped "LINKER:--undefined=${symbol}")
    endif()
    string(APPEND header "#define SYMBOL_${name} \"${symbol}\"\n")
    string(APPEND table "${symbol} ${name}\n")
endforeach()
file(GENERATE OUTPUT ${CMAKE_CURRENT_BINARY_DIR}/wrapped_symbols.h CONTENT "${header}")
file(GENERATE OUTPUT ${CMAKE_CURRENT_BINARY_DIR}/wrapped_symbols.txt CONTENT "${table}")
