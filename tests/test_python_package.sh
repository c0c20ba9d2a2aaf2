#!/bin/sh
# SPDX-License-Identifier: MIT
#
# python_uses_the_library: the package in python/ with the shared library of this build, with the
# default Python 3 and with Python 3.8 if that is here (pyenv's too).
set -eu

skip()
{
    echo "python package: $*: skipped"
    exit 77
}

PIPC_LIBRARY=$BUILD_DIR/libpipc.so
export PIPC_LIBRARY PYTHONDONTWRITEBYTECODE=1
[ -e "$PIPC_LIBRARY" ] || skip "no shared library was built"
! grep -q -e '^CMAKE_C_FLAGS:.*\(-fsanitize\|--coverage\)' \
    -e '^PIPC_SANITIZE:.*=.' "$BUILD_DIR/CMakeCache.txt" ||
    skip "Python does not load a library that is compiled for a sanitizer"

suits() # $1 python: from 3.8 on, and with ctypes
{
    "$1" -c 'import ctypes, multiprocessing, sys; sys.exit(sys.version_info < (3, 8))' 2>/dev/null
}

ran=
for python in python3 python3.8 "${PYENV_ROOT:-${HOME:-}/.pyenv}"/versions/3.8.*/bin/python3; do
    suits "$python" || continue
    PYTHONPATH=$SOURCE_DIR/python "$python" -W error::ResourceWarning \
        "$SOURCE_DIR/tests/test_python_package.py"
    [ -z "$ran" ] || break
    ran=$python
done
[ -n "$ran" ] || skip "no python3 from 3.8 on"
