#!/bin/sh
# SPDX-License-Identifier: MIT
#
# a_sanitizer_sees_inside_a_library_that_is_built_with_it: it reports that a handle is used
# after its end, which the library reads and no call of the C library. `./dev asan` builds it so.
set -eu
grep -q '^PIPC_SANITIZE:.*=.*address' "$BUILD_DIR/CMakeCache.txt" ||
    { echo "built without PIPC_SANITIZE=address: skipped"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cat >"$work/program.c" <<'END'
#include <pipc.h>
int main(void)
{
    pipc_t *end[2];
    if (pipc_open_pair(end, 0) == -1)
        return 2;
    pipc_close(end[1]);
    pipc_close(end[0]);
    return pipc_bye_text(end[0]) != 0;
}
END
# The library's own directions alone, from where they would be installed.
options=$(sed -n 's/^Libs:.*-lpipc//p' "$BUILD_DIR/libpipc.pc")
# shellcheck disable=SC2086  # they are options
${CC:-cc} -I"$SOURCE_DIR/include" -o "$work/program" "$work/program.c" "$BUILD_DIR/libpipc.a" \
    $options -pthread -lrt
if "$work/program" 2>"$work/error"; then
    echo "the use of a closed handle is not seen" >&2
    exit 1
fi
grep -q 'heap-use-after-free' "$work/error" || { cat "$work/error" >&2; exit 1; }

if ${CMAKE:-cmake} -S "$SOURCE_DIR" -B "$work/build" -DCMAKE_C_COMPILER="${CC:-cc}" \
    -DPIPC_SANITIZE=nonsense >"$work/log" 2>&1; then
    echo "a sanitizer that is none is taken" >&2
    exit 1
fi
grep -q 'PIPC_SANITIZE:.*cannot link' "$work/log" || { cat "$work/log" >&2; exit 1; }
