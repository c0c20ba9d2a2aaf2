#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Runs tests until one of them fails now and then: 200 times some of them and 10 times all beside
# four busy loops, and 3 times all on one processor. Several runs go on at a time, each with its own
# folder for notes. What has passed is counted, so a further call goes on. The output of a run that
# fails is kept, and the run is made again.
# usage: soak_suite.sh BUILD FOLDER [RUNS]   RUNS: about so many in this call; else all that is left
set -eu
build=$(cd "$1" && pwd)
mkdir -p "$2"
folder=$(cd "$2" && pwd)
left=${3:-1000}
quick='byte_ring|byte_ring_wake|contract_goodbye|descriptor|duplex|ends|fds_messages'
quick="$quick|frame_and_queue|gather|pair|ring|ring_answer|server_fd|unix_open"
loops=

end_loops()
{
    for loop in $loops; do
        kill "$loop" 2>/dev/null || :
        wait "$loop" 2>/dev/null || :
    done
    loops=
}
trap end_loops EXIT
trap 'exit 130' INT TERM

begin_loops()
{
    for _ in 1 2 3 4; do
        (while :; do :; done) &
        loops="$loops $!"
    done
}

passed() # $1 part
{
    cat "$folder/$1" 2>/dev/null || echo 0
}

# $1 part, $2 number of the run among those at a time, then how to start it, with its folder
start()
{
    at=$folder/at-$2
    mkdir -p "$at"
    echo "subdirs($build)" >"$at/CTestTestfile.cmake"
    log=$folder/$1-$2.log
    shift 2
    (cd "$at" && exec "$@" --output-on-failure --no-tests=error) >"$log" 2>&1 </dev/null &
    runs="$runs $!:$log"
}

# $1 part: the runs that have been started. False: one has failed.
finish()
{
    ended=$(passed "$1") bad=
    for one in $runs; do
        if wait "${one%%:*}"; then
            ended=$((ended + 1))
            echo "$ended" >"$folder/$1"
        else
            bad=$folder/failed-$(date +%s)-$(basename "${one#*:}")
            mv "${one#*:}" "$bad"
            echo "$1: a run has failed, see $bad"
        fi
    done
    [ -z "$bad" ]
}

# $1 part, $2 how many runs in all, $3 how many at a time, then how to start one
repeat()
{
    part=$1 most=$2 step=$3 failures=0
    shift 3
    while [ "$(passed "$part")" -lt "$most" ] && [ "$left" -gt 0 ] && [ "$failures" -lt 3 ]; do
        runs= begin=$(date +%s) more=$((most - $(passed "$part")))
        [ "$more" -lt "$step" ] || more=$step
        left=$((left - more))
        for number in $(seq "$more"); do
            start "$part" "$number" "$@"
        done
        finish "$part" || failures=$((failures + 1))
        echo "$part: $(passed "$part") have passed; the last $more took $(($(date +%s) - begin)) s"
    done
}

begin_loops
repeat quick 200 5 ctest -j 5 -R "^($quick)\$"
repeat whole 10 2 ctest -j 6 -LE 'model|lint'
end_loops
repeat one 3 1 taskset -c 0 ctest -j 4 -LE 'model|lint'
echo "passed: quick $(passed quick) of 200, whole $(passed whole) of 10, one processor" \
    "$(passed one) of 3; failed: $(find "$folder" -name 'failed-*' | wc -l)"
[ -z "$(find "$folder" -name 'failed-*')" ]
