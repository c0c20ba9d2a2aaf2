#!/bin/sh
# SPDX-License-Identifier: MIT
#
# bash_and_zsh_complete_the_options_of_pipccat: bash is asked, as it would be at a terminal; of zsh
# only the syntax is checked, where it is installed.
set -eu
cd "$SOURCE_DIR"
! command -v zsh >/dev/null || zsh -n tools/completion/_pipccat
command -v bash >/dev/null || { echo "no bash here: skipped"; exit 77; }
export PIPCCAT_TEST=1
exec bash -c '
    set -u
    . tools/completion/pipccat.bash
    complete -p pipccat >/dev/null || exit 1
    status=0

    # $1 what must be offered, one a line (grep -x); the rest: the words of the command line
    offers()
    {
        local expected=$1
        shift
        COMP_WORDS=(pipccat "$@") COMP_CWORD=$#
        _pipccat
        printf "%s\n" "${COMPREPLY[@]-}" | grep -qxe "$expected" && return
        echo "after pipccat $*: no $expected in: ${COMPREPLY[*]-}" >&2
        status=1
    }

    offers fifo ""
    offers serve-unix se
    offers unix --echo ""
    offers --key-file= --key
    offers json -o ""
    offers records --input = rec
    offers blocks --input = ""
    offers README.md -f READ
    offers CMakeLists.txt unix CMake
    offers tests --directory = tes
    offers PIPCCAT_TEST --key-env PIPCCAT_T
    offers sort exec sor
    offers --wait= tcp localhost --wa
    offers "" fifo ""
    exit $status
'
