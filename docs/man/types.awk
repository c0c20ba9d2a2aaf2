# SPDX-License-Identifier: MIT
#
# A page of section 3 for each type: from the comment above it and from its members. Constants have
# a comment that names what they are for ("Flags of pipc_options_t."), and stand on its page.

# Fills type_name[], and the lines of the comment and of what is below it: type_first[],
# type_last[], type_end[]; constants_first[NAME], constants_last[NAME], constants_end[NAME].
function find_types(   i, first, last)
{
    for (i = 1; line[i] !~ /^\/\* ---- Types/; i++)
        ;
    for (i++; line[i] !~ /^\/\* ---- /; i++) {
        if (line[i] !~ /^\/\*/)
            continue
        for (first = i; line[i] !~ /\*\/$/; i++)
            ;
        last = i
        while (line[i + 1] != "")
            i++
        if (line[last + 1] ~ /^typedef/)
            add_type(first, last, i)
        else if (line[last + 1] ~ /^#define/)
            add_constants(first, last, i)
    }
}

function add_type(first, last, end,   text)
{
    text = line[end]
    sub(/;$/, "", text)
    sub(/\)\(.*/, "", text) # of a pointer to a function: (*NAME)(...)
    sub(/.*[ }*]/, "", text)
    type_name[++types] = text
    is_type[text] = types
    type_first[types] = first
    type_last[types] = last
    type_end[types] = end
}

function add_constants(first, last, end,   text)
{
    if (!match(line[first], /pipc_[a-z_]+/))
        fail("line " first ": constants of what?")
    text = substr(line[first], RSTART, RLENGTH)
    constants_first[text] = first
    constants_last[text] = last
    constants_end[text] = end
}

function put_type_page(which,   count, text, rest)
{
    in_section_3 = 1
    count = load(type_first[which], type_last[which])
    text = trimmed(joined(1, count))
    rest = ""
    if (match(text, /\. /)) {
        rest = substr(text, RSTART + 2)
        text = substr(text, 1, RSTART - 1)
    }
    sub(/\.$/, "", text)
    put_head(type_name[which], 3)
    put(".Nm " type_name[which])
    put(".Nd " argument(short(tolower(substr(text, 1, 1)) substr(text, 2))))
    put(".Sh SYNOPSIS")
    put(".In pipc.h")
    put_declared(which)
    heading("DESCRIPTION")
    put_text(text ". " rest)
    fresh = 0
    put_members(type_last[which] + 1, type_end[which])
    put_constants_of(type_name[which])
    put_examples(type_name[which])
    put_see_also(type_name[which], type_first[which], type_last[which], "")
}

# As in the header, without its comments; and how a variable of it begins.
function put_declared(which,   i, text, start)
{
    put(".Bd -literal")
    for (i = type_last[which] + 1; i <= type_end[which]; i++) {
        text = line[i]
        sub(/ *\/\*.*/, "", text)
        if (text != "" && text !~ /^ *[^ ].*\*\/$/)
            put(text)
    }
    start = toupper(type_name[which])
    sub(/_T$/, "_INIT", start)
    for (i = 1; i <= lines; i++)
        if (index(line[i], "#define " start) == 1) {
            text = type_name[which]
            gsub(/^pipc_|_t$/, "", text)
            put("")
            put(type_name[which] " " text " = " start ";")
        }
    put(".Ed")
}

function put_members(first, last,   i)
{
    if (line[first] !~ /\{/)
        return
    put(".Bl -tag -width Ds")
    for (i = first; i <= last; i++)
        put_member(line[i])
    put(".El")
}

function put_constants_of(which,   i, count, text)
{
    if (!(which in constants_first))
        return
    count = load(constants_first[which], constants_last[which])
    text = joined(1, count)
    sub(/\.$/, ":", text)
    put(".Pp")
    put_text(text)
    put(".Bl -tag -width Ds")
    for (i = constants_last[which] + 1; i <= constants_end[which]; i++)
        put_member(line[i])
    put(".El")
}
