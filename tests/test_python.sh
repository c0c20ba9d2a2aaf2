#!/bin/sh
# SPDX-License-Identifier: MIT
#
# python_speaks_the_same: multiprocessing.connection, with each Python 3 that is here (pyenv's too),
# as Client and as Listener, with and without a key.
set -eu
found=
versions=
for python in python3 python3.8 python3.9 python3.10 python3.11 python3.12 python3.13 python3.14 \
    "${PYENV_ROOT:-${HOME:-}/.pyenv}"/versions/3.*/bin/python3; do
    command -v "$python" >/dev/null 2>&1 && "$python" \
        -c 'import multiprocessing.connection' 2>/dev/null || continue
    version=$("$python" -c 'import sys; print(sys.version.split()[0])')
    case " $versions " in *" $version "*) continue ;; esac
    versions="$versions $version"
    found="$found $python"
    "$python" "$SOURCE_DIR/tests/test_python.py" "$BUILD_DIR/examples" \
        "$SOURCE_DIR/examples/peer.py"
done
[ -n "$found" ] || { echo "no python3 here: skipped"; exit 77; }
echo "with$versions"
