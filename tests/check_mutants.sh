#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Each bug of tests/mutants still applies to the sources, and names tests that there are.
# ./dev mutants plants them.
set -eu
cd "${SOURCE_DIR:-$(dirname "$0")/..}"
for tool in python3 patch; do
    [ $tool != patch ] || ! command -v git >/dev/null || continue # git does as well
    command -v $tool >/dev/null || {
        echo "skipped: $tool is missing"
        exit 77
    }
done
exec python3 tests/mutants/run.py --check
