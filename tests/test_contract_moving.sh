#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The contract holds wherever a pipe moves into shared memory: its programs, with the move behind so
# many bytes, which is with the second, third, fourth or sixth of their short messages. (With the
# first, and before, they run as tests of their own.)
set -eu
[ -x "$BUILD_DIR/tests/test_contract_messages" ] || { echo "no cmocka here: skipped"; exit 77; }
for bytes in 1 9 17 33; do
    for subject in counting end goodbye messages; do
        program=$BUILD_DIR/tests/test_contract_$subject
        said=$(PIPC_TEST_MOVE_AFTER=$bytes "$program" '*moving: *' 2>&1) || {
            echo "$said"
            echo "contract_moving: $subject, with the move after $bytes bytes"
            exit 1
        }
    done
done
