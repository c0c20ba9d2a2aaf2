#!/bin/sh
# SPDX-License-Identifier: MIT
#
# pip_installs_the_package: from the tree, without a network, with a Python that has setuptools and
# wheel. What was installed finds the library by PIPC_LIBRARY.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

skip()
{
    echo "python install: $*: skipped"
    exit 77
}

PIPC_LIBRARY=$BUILD_DIR/libpipc.so
export PIPC_LIBRARY PYTHONDONTWRITEBYTECODE=1
[ -e "$PIPC_LIBRARY" ] || skip "no shared library was built"
! grep -q -e '^CMAKE_C_FLAGS:.*\(-fsanitize\|--coverage\)' \
    -e '^PIPC_SANITIZE:.*=.' "$BUILD_DIR/CMakeCache.txt" ||
    skip "Python does not load a library that is compiled for a sanitizer"

version=$(sed -nE 's/^#define PIPC_VERSION_(MAJOR|MINOR|PATCH) +//p' "$SOURCE_DIR/include/pipc.h" |
    paste -sd .)
for python in python3 /usr/bin/python3; do
    "$python" -c 'import setuptools, wheel, pip' 2>/dev/null || continue
    cp -R "$SOURCE_DIR/python" "$work/source"
    "$python" -m pip install --quiet --no-index --no-build-isolation --no-deps \
        --disable-pip-version-check --target "$work/site" "$work/source" >"$work/log" 2>&1 ||
        { cat "$work/log" >&2; exit 1; }
    cd "$work"
    PYTHONPATH=$work/site "$python" -c "
import importlib.metadata, IPC, pipc
here, there = IPC.Pipe.pair()
here.write('installed')
assert there.read() == 'installed' and pipc.__file__.startswith('$work/site')
assert importlib.metadata.version('libpipc') == pipc.__version__ == '$version'"
    echo "python install: pip installs it, and it works"
    exit
done
skip "no Python here has pip, setuptools and wheel"
