#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The manual pages and pipc.h agree.
# usage: check_manual.sh pages       each public function and type has a page, and each page one of
#                                    them, with the same prototype or members; each has an example,
#                                    which is text of docs/man/examples.c; constants are there
#        check_manual.sh mandoc      mandoc finds nothing to warn of, nor in those of the tools
#        check_manual.sh installed   man finds and shows them in the installed tree
# Environment: SOURCE_DIR, BUILD_DIR (for installed), CC, AWK.
set -eu
way=$1
: "${SOURCE_DIR:=$(dirname "$0")/..}" "${CC:=cc}"
header=$SOURCE_DIR/include/pipc.h
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail()
{
    echo "manual: $*" >&2
    exit 1
}

skip()
{
    echo "manual: $*: skipped"
    exit 77
}

# One declaration a line, as the compiler sees the header and without its spaces: that is another
# way than the one by which the pages are made.
declared()
{
    "$CC" -E -P "-DPIPC_API=PIPC_PUBLIC" "$header" | tr '\n' ' ' | tr ';' '\n' |
        sed -n 's/.*PIPC_PUBLIC *\(.*\)/\1;/p' | tr -d ' ' | sort
}

# The types and the members of structs, likewise: "NAME" and "NAME MEMBER".
declared_types()
{
    "$CC" -E -P "$header" | tr '\n' ' ' | sed 's/typedef/\n&/g' | awk '
        !/^typedef.*pipc_([a-z]*_)?t/ { next }
        !/^typedef (struct|enum) *\{/ {
            sub(/;.*|\)\(.*/, "")
            sub(/.*[ *]/, "")
            print
            next
        }
        {
            match($0, /\} *pipc_[a-z]*_t/)
            name = substr($0, RSTART + 1, RLENGTH - 1)
            gsub(/ /, "", name)
            print name
            $0 = substr($0, 1, RSTART - 1)
        }
        !/^typedef enum/ {
            count = split(substr($0, index($0, "{") + 1), declaration, ";")
            for (i = 1; i < count; i++)
                print name, declaration[i]
        }' | members | sort
}

members() # "NAME const void *a" becomes "NAME a", "NAME size_t a, b" two lines
{
    awk '
        NF < 2 { print; next }
        {
            name = $1
            sub(/^[^ ]* */, "")
            while (match($0, /^[ *]*[a-z0-9_]+ *[ *]+[a-z]/)) # a word of the type
                $0 = substr($0, RLENGTH)
            count = split($0, one, / *, */)
            for (i = 1; i <= count; i++)
                print name, one[i]
        }'
}

# The same from the pages.
documented_types()
{
    for file in "$work"/man3/*_t.3; do
        sed -n 's/^\.Nm //p; s/^\.It Vt "\(.*\)"$/\1/p' "$file" |
            awk 'NR == 1 { name = $0; print; next } { print name, $0 }'
    done | members | sort
}

# What SYNOPSIS of the pages of functions has.
documented()
{
    for file in "$work"/man3/*.3; do
        case $file in *_t.3) continue ;; esac
        sed -n '/^\.Sh SYNOPSIS/,/^\.Sh DESCRIPTION/p' "$file" | awk '
            { gsub(/"/, "") }
            /^\.Ft / { text = substr($0, 5) }
            /^\.Fo / { text = text substr($0, 5) "(" }
            /^\.Fa / { text = text comma substr($0, 5); comma = "," }
            /^\.Fc/ { text = text ");" }
            END { gsub(/ /, "", text); print text }'
    done | sort
}

check_pages()
{
    declared >"$work/declared"
    documented >"$work/documented"
    [ -s "$work/declared" ] || fail "pipc.h declares nothing"
    diff -u --label pipc.h --label "pages of section 3" "$work/declared" "$work/documented" >&2 ||
        fail "the prototypes of pipc.h and of the pages differ"
    declared_types >"$work/declared_types"
    documented_types >"$work/documented_types"
    diff -u --label pipc.h --label "pages of types" "$work/declared_types" \
        "$work/documented_types" >&2 || fail "the types of pipc.h and of the pages differ"
    for file in "$work"/man3/*.3; do
        page=$(basename "$file" .3)
        sed -n 's/^\.Nm //p; s/^\.Fo //p' "$file" | grep -vx "$page" >&2 &&
            fail "$page.3 describes something else"
        grep -qxE "\.It (Xr $page 3|Vt $page)" "$work/man7/pipc.7" ||
            fail "pipc(7) does not list $page"
        check_example "$file"
    done
    grep -oE '\bPIPC_[A-Z_]+\b' "$header" | sort -u >"$work/constants"
    while read -r word; do
        case $word in PIPC_API | PIPC_H | PIPC_VERSION_*) continue ;; esac
        grep -q "$word" "$work/man7/pipc.7" || fail "pipc(7) does not mention $word"
    done <"$work/constants"
    types=$(grep -vc ' ' "$work/declared_types")
    echo "manual: $(wc -l <"$work/declared") functions and $types types, each with its page"
}

# The code of each example is as in the file that a test runs, and fits 80 columns.
check_example() # $1 page
{
    awk '/^\.Sh/ { inside = $2 == "EXAMPLES"; next }
        inside && /^\.Bd/ { code = 1; next }
        /^\.Ed/ { code = 0 }
        code { gsub(/\\-/, "-"); gsub(/\\e/, "\\"); print }' "$1" >"$work/code"
    [ -s "$work/code" ] || fail "$(basename "$1") has no example"
    if grep -vxFf "$SOURCE_DIR/docs/man/examples.c" "$work/code" >&2; then
        fail "the example of $(basename "$1") is not that of examples.c"
    fi
    ! grep -E '^.{76}' "$work/code" >&2 || fail "an example of $(basename "$1") is too wide"
}

check_words() # every word of the header's text is in its page: none was lost on the way
{
    sed -n '/^ \* 1 OVERVIEW/,/^ \*\/$/p' "$header" >"$work/text"
    check_text "$work/man7/pipc.7"
    for file in "$work"/man3/*.3; do
        page=$(basename "$file" .3)
        case $page in *_t) continue ;; esac
        awk -v begin="^(/[*]| [*]) $page - " '$0 ~ begin { inside = 1 }
            inside { print } /\*\// { inside = 0 }' "$header" >"$work/text"
        check_text "$file"
    done
}

check_text() # $1 page; the text is in $work/text
{
    [ -s "$work/text" ] || fail "$(basename "$1"): pipc.h has no text for it"
    # "One reading thread (8)" is spelled out there.
    words <"$work/text" | grep -vxE 'One|reading|writing' >"$work/in"
    sed 's/\\e/\\/g' "$1" | words >"$work/out"
    lost=$(LC_ALL=C comm -23 "$work/in" "$work/out" | tr '\n' ' ')
    [ -z "$lost" ] || fail "$(basename "$1") lacks words of pipc.h: $lost"
}

words()
{
    tr -cs 'A-Za-z0-9_' '\n' | LC_ALL=C sort -u
}

case $way in
pages)
    sh "$SOURCE_DIR/docs/man/make_pages.sh" "$work"
    check_pages
    check_words
    ;;
mandoc)
    command -v mandoc >/dev/null || skip "no mandoc here"
    sh "$SOURCE_DIR/docs/man/make_pages.sh" "$work"
    mandoc -Tlint -W warning "$work"/man7/* "$work"/man3/* "$SOURCE_DIR"/tools/*.1 \
        >"$work/warnings" 2>&1 || :
    [ ! -s "$work/warnings" ] || { cat "$work/warnings" >&2; fail "mandoc warns"; }
    echo "manual: mandoc finds nothing"
    ;;
installed)
    command -v man >/dev/null || skip "no man here"
    tree=$BUILD_DIR/installed
    pages=$(dirname "$(dirname "$(find "$tree" -name pipc.7)")")
    for page in pipc pipc_write pipc_server_open_unix pipc_options_t pipccat; do
        [ $page != pipccat ] || [ -n "$(find "$tree" -name pipccat.1)" ] || continue
        MANPATH=$pages MANPAGER=cat LC_ALL=C man "$page" >"$work/shown" 2>&1 ||
            fail "man $page: $(cat "$work/shown")"
        grep -q "^NAME" "$work/shown" || fail "man $page does not show the page"
    done
    echo "manual: man finds the pages in the installed tree"
    ;;
*)
    fail "what is $way?"
    ;;
esac
