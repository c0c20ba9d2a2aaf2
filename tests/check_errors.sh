#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Each errno that the manual promises has a sentence in pipc_strerror. Those of sections 11 and 12
# are system calls', for programs that do a rendezvous by hand.
set -eu
cd "${SOURCE_DIR:-$(dirname "$0")/..}"
missing=
count=0
for error in $(sed '/^ \* 11 THE BYTES/,/^ \* 13 REFERENCE/d' include/pipc.h |
    grep -oE '\bE[A-Z0-9]{3,}\b' | sort -u); do
    echo "#include <errno.h>
        #ifndef $error
        #error none
        #endif" | ${CC:-cc} -fsyntax-only -x c - 2>/dev/null || continue # another word
    count=$((count + 1))
    grep -q "{$error, \"" src/api/strerror.c || missing="$missing $error"
done
[ -z "$missing" ] || { echo "no sentence in pipc_strerror:$missing" >&2 && exit 1; }
[ "$count" -gt 30 ] || { echo "only $count errors found in the manual" >&2 && exit 1; }
echo "errors: each of the manual's $count has a sentence"
