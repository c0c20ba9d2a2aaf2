#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Holds the architecture: reads the #include lines of src/ and fails on each that these tables do not
# allow. What a file calls, rather than includes, is looked at by check_seam.sh.
set -eu
cd "${SOURCE_DIR:-$(dirname "$0")/..}"

# file (without .c and .h): the files it may include; its own header goes without saying.
# `api` is pipc.h.
layers='
sys_linux:
sys_cancel:     sys_linux
sys_signal:     sys_cancel
sys:            sys_signal sys_cancel
sys_io:         sys_linux sys_signal sys_cancel sys
sys_life:       sys_cancel sys
sys_net:        sys_cancel sys
sys_file:       sys_cancel sys
self:           sys
digest:
frame:
auth:           frame digest
handshake:      auth self sys_net sys
pending:        handshake sys_net
tcp_where:      sys_net
tcp:            tcp_where pending handshake auth sys_net sys
server:         pending handshake auth digest self sys_net sys
queue:          sys api
ready:          sys
shared:         sys_life sys
ends:           shared self sys_life sys
transport:
transport_fd:   transport ready self sys_net sys
watch:          ends shared self sys_life sys
ring:           transport watch ends shared self sys
transport_ring: ring transport watch ends shared self sys_life sys
channel:        transport frame queue ready sys api
channel_input:  channel transport frame queue ready sys api
channel_output: channel transport frame queue ready sys api
channel_ready:  channel transport frame queue ready sys api
channel_read:   channel transport frame queue ready sys api
channel_write:  channel transport frame queue ready sys api
fifo_home:      sys_file sys
fifo_offer:     fifo_home sys_file sys
fifo:           fifo_offer fifo_home transport sys_file sys
anonymous:      channel transport ends self sys api
pipc:           tcp server fifo anonymous channel transport sys api
'

# Headers of the C library that are open to every file. The rest, where I/O is, is for sys, with
# exceptions by file where only constants or types are used.
plain='errno limits pthread stdalign stdatomic stdbool stddef stdint stdio string sys/types sys/uio'
system='
transport_fd: fcntl
tcp: poll
server: poll
'

failed=0
complain()
{
    echo "$*" >&2
    failed=1
}

row() # $1 table, $2 name: the names in that row; fails when there is none
{
    printf '%s\n' "$1" | awk -v name="$2:" '$1 == name { $1 = ""; print; found = 1 } END { exit !found }'
}

contains() # $1 list, $2 word
{
    case " $1 " in *" $2 "*) ;; *) return 1 ;; esac
}

check_include() # $1 file, $2 its name, $3 what it may include, $4 header, with its quotes or brackets
{
    header=${4#?}
    header=${header%.h?}
    [ "$header" != pipc ] || header=api
    case $4 in
    \"*) ;;
    *) if [ "$header" != api ]; then
        case $2 in sys | sys_*) return ;; esac
        contains "$plain $(row "$system" "$2" || :)" "$header" ||
            complain "$1: $4 is for sys alone"
        return
    fi ;;
    esac
    [ "$header" = "$2" ] || contains "$3" "$header" || complain "$1: $2 may not include $4"
}

for file in src/*.[ch]; do
    name=$(basename "${file%.?}")
    allowed=$(row "$layers" "$name") || { complain "$file: not in the table of $0"; continue; }
    includes=$(sed -nE 's/^[[:space:]]*#[[:space:]]*include[[:space:]]*([<"][^>"]*[>"]).*/\1/p' "$file")
    [ "$(grep -cE '^[[:space:]]*#[[:space:]]*include' "$file")" = "$(printf '%s' "$includes" | grep -c .)" ] ||
        complain "$file: an #include that this script cannot read"
    for header in $includes; do
        check_include "$file" "$name" "$allowed" "$header"
    done
done

# The table itself points one way.
printf '%s\n' "$layers" | awk -F: 'NF { n = split($2, to, " "); for (i = 1; i <= n; i++) print $1, to[i] }' |
    tsort >/dev/null || complain "the table of layers has a cycle"

[ "$failed" = 0 ] && echo "layers: one way"
exit "$failed"
