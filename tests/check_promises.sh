#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Each test that docs/how-it-is-tested.md names as the proof of a promise is in its program.
set -eu
cd "${SOURCE_DIR:-$(dirname "$0")/..}"
named=$(sed -n '/^## The promises/,/^## Do/p' docs/how-it-is-tested.md |
    grep '^| ' | grep -oE '`[a-z_]+: [A-Za-z0-9_]+`' | tr -d '`:')
count=0 missing=0
while read -r program name; do
    count=$((count + 1))
    grep -qE "^TEST(_[A-Z_]+)?\\($name[),]" "tests/test_$program.c" && continue
    echo "promises: test_$program has no test $name" >&2
    missing=$((missing + 1))
done <<END
$named
END
[ "$count" -gt 50 ] || { echo "only $count tests found in the table" >&2 && exit 1; }
[ "$missing" = 0 ]
echo "promises: each of the $count tests that the table names is there"
