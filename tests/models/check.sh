#!/bin/sh
# SPDX-License-Identifier: MIT
#
# check.sh [MODEL...]: verifies the models of this folder with spin; each names the functions it is
# a model of. Lines in a model's head say what is done (DEFS are options -D for the preprocessor):
#
#   check: NAME DEFS       the whole state space has no failed assertion and no deadlock
#   cycles: NAME DEFS      nor a cycle without progress; `fair`: every process that can go on does
#   mutant: Mn DEFS TEXT   with -DMn, which is what TEXT says, the former must find an error
#   turning: Mn DEFS TEXT  likewise the latter
#   quick: NAME DEFS       a check with smaller bounds; QUICK=1 does these, and the checks without
#                          the word `long`, with the option -DQUICK, and nothing else
#
# Fails if a model has an error, or if the error of a mutant is not found. VERBOSE=1 shows states
# and seconds; ONLY=M3 does a part.
set -eu
cd "$(dirname "$0")"
here=$PWD
CC=${CC:-cc}
for tool in spin "${CC%% *}"; do
    command -v "$tool" >/dev/null || {
        echo "skipped: $tool is missing (./dev models installs spin)"
        exit 77
    }
done
[ $# -gt 0 ] || set -- *.pml
packed=-DCOLLAPSE # half the speed, for much less memory
[ -z "${QUICK:-}" ] || packed=
work=$(mktemp -d)
trap 'rm -rf "$work" "$work.lines"' EXIT INT TERM
failed=0

defs_of() # $@ words: the options among them
{
    for word; do
        case $word in
        -D*) printf '%s ' "$word" ;;
        esac
    done
}

# $1 kind, $2 model, $3... options. 0: no error; 1: an error; 2: no verdict.
run()
{
    kind=$1 model=$2
    shift 2
    case $kind in
    check | quick | mutant) how=-DSAFETY flags=-E ;;
    *) how=-DNP flags="-E -l${fair:+ -f}" ;;
    esac
    rm -rf "${work:?}/"*
    cd "$work"
    # shellcheck disable=SC2086  # a list
    if spin "$@" -a "$here/$model" >log 2>&1 && ! grep -q 'rror' log &&
        $CC $packed -O1 -w $how ${fair:+-DNFAIR=4} -DMEMLIM=1000 -o pan pan.c \
            >>log 2>&1; then
        ./pan $flags -m1000000 >>log 2>&1 || :
    fi
    cd "$here"
    grep -qE 'max search depth too small|reached -DMEMLIM|out of memory' "$work/log" && return 2
    case $(sed -n 's/.*errors: //p' "$work/log") in
    0) return 0 ;;
    [1-9]*) return 1 ;;
    *) return 2 ;;
    esac
}

show() # $1 what it is about
{
    awk -v what="$1" '/errors:/ { sub(/.*errors/, "errors"); errors = $0 }
        /states, stored/ && !states { states = $1 } /elapsed time/ { time = $4 }
        END { print what ": " states " states, " time " s, " errors }' "$work/log"
}

fail() # $1 what
{
    echo "FAILED: $1" >&2
    tail -n 30 "$work/log" >&2
    failed=1
}

check() # $1 model, $2 kind, $3 name, $4... words of the line
{
    model=$1 kind=$2 name=$3
    shift 3
    fair= mutant=
    case " $* " in *' fair '*) fair=1 ;; esac
    case $kind in mutant | turning) mutant=-D$name ;; esac
    # shellcheck disable=SC2046  # a list
    run "$kind" "$model" $(defs_of "$@") $mutant ${QUICK:+-DQUICK} && result=0 || result=$?
    [ -z "${VERBOSE:-}" ] || show "$model $kind $name"
    case $kind$result in
    check0 | quick0 | cycles0) proved=$((proved + 1)) ;;
    mutant1 | turning1) caught=$((caught + 1)) ;;
    mutant0 | turning0) fail "$model: $name is not caught: $*" ;;
    *) fail "$model: $kind $name" ;;
    esac
}

is_chosen() # $1 kind, $2 name, $3... words of the line
{
    kind=$1
    [ -z "${ONLY:-}" ] || [ "$ONLY" = "$2" ] || return 1
    shift 2
    case ${QUICK:+quick}$kind in quick | quickcycles | quickmutant | quickturning) return 1 ;; esac
    case "${QUICK:+quick} $* " in quick*' long '*) return 1 ;; esac
}

for model; do
    model=$(basename "$model" .pml).pml
    proved=0 caught=0
    sed -nE 's/^ \* (check|quick|cycles|mutant|turning): (.*)/\1 \2/p' "$model" >"$work.lines"
    while read -r kind name rest; do
        # shellcheck disable=SC2086  # words
        is_chosen "$kind" "$name" $rest || continue
        # shellcheck disable=SC2086  # words
        check "$model" "$kind" "$name" $rest </dev/null
    done <"$work.lines"
    echo "$model: $proved verifications, $caught mutants"
    rm -f "$work.lines"
done
exit $failed
