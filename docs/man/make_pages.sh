#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Makes the manual pages from pipc.h and examples.c: pipc(7), and a page of section 3 for each
# function and type.
# usage: make_pages.sh FOLDER   writes FOLDER/man7/pipc.7 and FOLDER/man3/*.3
# Environment: AWK, if the one to use is not awk.
set -eu
out=$1
here=$(dirname -- "$0")
header=$here/../../include/pipc.h

# The date of the text, changed at each release. A build must not put its own date in.
date='November 27, 2026'

version=$(sed -n 's/^#define PIPC_VERSION_[A-Z]* *\([0-9][0-9]*\)$/\1/p' "$header" | paste -sd . -)
rm -rf "$out/man3" "$out/man7"
mkdir -p "$out/man3" "$out/man7"
LC_ALL=C ${AWK:-awk} -v out="$out" -v date="$date" -v version="$version" \
    -f "$here/text.awk" -f "$here/pages.awk" -f "$here/function.awk" -f "$here/errors.awk" \
    -f "$here/types.awk" -f "$here/related.awk" "$header" "$here/examples.c"
