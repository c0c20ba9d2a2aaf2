#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Holds the architecture. The folder is the layer: a file includes and calls only its own folder and
# those that the table allows. Reads the #include lines of src/, and the symbols that the objects of
# the library import, which neither a macro nor a declaration by hand can hide. Fails also on a
# circle of calls between files.
# usage: check_layers.sh object...  those of the library
set -eu
cd "${SOURCE_DIR:-$(dirname "$0")/..}"

# folder: the folders that it may use besides itself
layers='
api:        rendezvous channel codec peer transport trace sys
rendezvous: transport codec trace sys
channel:    transport codec trace sys
peer:       transport trace sys
transport:  trace sys
codec:
trace:      sys
sys:
'

# Headers that are for src/sys alone; and those of one system, which are for its folder alone.
private='sys/sys_cancel.h sys/sys_signal.h'
systems='linux/* sys/epoll sys/eventfd sys/random sys/syscall sys/timerfd'

# Headers of the C library that are open to every file. The rest, where I/O is, is for sys, with
# exceptions by file where only constants or types are used.
plain='errno limits pthread stdalign stdatomic stdbool stddef stdint stdio string sys/types sys/uio'
system='
transport_fd: fcntl
'

failed=0
complain()
{
    echo "$*" >&2
    failed=1
}

keep() # $1 name of a table: its rows as variables, TABLE_NAME
{
    eval "rows=\$$1"
    while IFS=: read -r name words; do
        [ -z "$name" ] || eval "$1_$name=\$words"
    done <<END
$rows
END
}

row() # $1 name of a table, $2 name: the words in that row, in $row; fails when there is none
{
    eval "row=\${$1_$2-none}"
    [ "$row" != none ]
}

contains() # $1 list, $2 word
{
    case " $1 " in *" $2 "*) ;; *) return 1 ;; esac
}

may_use() # $1 folder, $2 folder
{
    [ "$1" = "$2" ] || { row layers "$1" && contains "$row" "$2"; }
}

check_system() # $1 file, $2 header, $3 the same without quotes or brackets
{
    case $1 in src/sys/*/*) return ;; esac
    for of_system in $systems; do
        case $3 in
        $of_system | $of_system.h) complain "$1: $2 is for the folder of one system" ;;
        esac
    done
    case $3 in sys/*/*) complain "$1: $2 is for the folder of one system" ;; esac
}

check_include() # $1 file, $2 header, with its quotes or brackets
{
    name=${1##*/}
    row system "${name%.?}" || row=
    header=${2#?}
    header=${header%?}
    case $2 in
    '"pipc.h"' | '<pipc.h>')
        case $folder in api | channel) return ;; esac
        complain "$1: the public header is for api and channel" ;;
    \"*/*)
        may_use "$folder" "${header%%/*}" || complain "$1: $folder may not include $2"
        ! contains "$private" "$header" || [ "$folder" = sys ] || complain "$1: $2 is for sys alone"
        check_system "$1" "$2" "$header" ;;
    \"*) complain "$1: $2 is included without its folder" ;;
    *)
        check_system "$1" "$2" "$header"
        [ "$folder" = sys ] || contains "$plain $row" "${header%.h}" ||
            complain "$1: $2 is for sys alone" ;;
    esac
}

keep layers
keep system
for file in src/*/*.[ch] src/sys/*/*.[ch]; do
    folder=${file#src/}
    folder=${folder%%/*}
    row layers "$folder" || { complain "$file: its folder is not in the table of $0"; continue; }
    includes=$(sed -nE 's/^[[:space:]]*#[[:space:]]*include[[:space:]]*([<"][^>"]*[>"]).*/\1/p' \
        "$file")
    [ "$(grep -cE '^[[:space:]]*#[[:space:]]*include' "$file")" = \
        "$(printf '%s' "$includes" | grep -c .)" ] ||
        complain "$file: an #include that this script cannot read"
    for header in $includes; do
        check_include "$file" "$header"
    done
done

[ $# -gt 0 ] || { echo "usage: $0 object..." >&2; exit 2; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# $work/symbols: file, D (defines) or U (uses), symbol. $work/calls: file, file that it calls,
# symbol.
nm -gAP "$@" | sed -nE \
    's|^.*/src/([^ ]*)[.]c[.]o: ([^ ]+) ([A-Za-z])( .*)?$|\1 \3 \2|p' |
    awk '$2 ~ /[Uw]/ { $2 = "U" } $2 != "U" { $2 = "D" } $3 !~ /^(__|_GLOBAL_)/' >"$work/symbols"
awk 'NR == FNR { if ($2 == "D") at[$3] = $1; next }
     $2 == "U" && $3 in at &&
         at[$3] != $1 { print $1, at[$3], $3 }' "$work/symbols" "$work/symbols" >"$work/calls"
[ -s "$work/calls" ] || complain "the objects call nothing of each other"

while read -r from to symbol; do
    may_use "${from%%/*}" "${to%%/*}" || complain "$from calls $symbol of $to"
done <"$work/calls"

awk '{ print $1, $2 }' "$work/calls" | sort -u >"$work/order"
tsort "$work/order" >/dev/null 2>"$work/circle" ||
    complain "a circle of calls: $(tr '\n' ' ' <"$work/circle")"

# The table itself points one way.
printf '%s\n' "$layers" | awk \
    -F: 'NF { n = split($2, to, " "); for (i = 1; i <= n; i++) print $1, to[i] }' |
    tsort >/dev/null || complain "the table of layers has a circle"

[ "$failed" = 0 ] && echo "layers: one way; $(wc -l <"$work/order") pairs of files, no circle"
exit "$failed"
