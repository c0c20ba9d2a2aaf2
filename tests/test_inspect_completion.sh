#!/bin/sh
# SPDX-License-Identifier: MIT
#
# bash_and_zsh_complete_pipc_inspect: as test_pipccat_completion.sh does it.
set -eu
cd "$SOURCE_DIR"
! command -v zsh >/dev/null || zsh -n tools/completion/_pipc-inspect
command -v bash >/dev/null || { echo "no bash here: skipped"; exit 77; }
exec bash -c '
    set -u
    . tools/completion/pipc-inspect.bash
    complete -p pipc-inspect >/dev/null || exit 1
    offers() # $1 what must be offered, $2 the last word of the command line
    {
        COMP_WORDS=(pipc-inspect "$2") COMP_CWORD=1
        _pipc_inspect
        printf "%s\n" "${COMPREPLY[@]-}" | grep -qxe "$1" && return
        echo "after $2: no $1 in: ${COMPREPLY[*]-}" >&2
        exit 1
    }
    offers --json --j
    offers "$$" "$$"
    offers "$$" ""
'
