#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Runs tests until one of them fails now and then: 200 times some of them and 10 times all beside
# four busy loops, and 3 times all on one processor. What has passed is counted in a folder, so a
# further call goes on. A run that fails is kept there, and made again.
# usage: soak_suite.sh BUILD FOLDER [RUNS]   RUNS: so many in this call; else all that is left
set -eu
build=$1
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

# $1 part, $2 its number, then how to start it: runs it once. False: it failed.
run()
{
    part=$1 number=$2
    shift 2
    log=$folder/$part.log
    start=$(date +%s)
    (cd "$build" && "$@" --output-on-failure --no-tests=error) >"$log" 2>&1 </dev/null || {
        mv "$log" "$folder/failed-$part-$(date +%s).log"
        echo "$part, run $number failed: see $folder/failed-$part-*.log"
        return 1
    }
    echo "$number" >"$folder/$part"
    echo "$part, run $number: passed, $(($(date +%s) - start)) s"
}

# $1 part, $2 how many runs in all, then how to start one
repeat()
{
    part=$1 most=$2 failures=0
    shift 2
    while [ "$(passed "$part")" -lt "$most" ] && [ "$left" -gt 0 ] && [ "$failures" -lt 3 ]; do
        left=$((left - 1))
        run "$part" "$(($(passed "$part") + 1))" "$@" || failures=$((failures + 1))
    done
}

begin_loops
repeat quick 200 ctest -j 6 -R "^($quick)\$"
repeat whole 10 ctest -j 4 -LE 'model|lint'
end_loops
repeat one 3 taskset -c 0 ctest -j 2 -LE 'model|lint'
echo "passed: quick $(passed quick) of 200, whole $(passed whole) of 10, one processor" \
    "$(passed one) of 3; failed: $(find "$folder" -name 'failed-*' | wc -l)"
[ -z "$(find "$folder" -name 'failed-*')" ]
