# SPDX-License-Identifier: MIT
#
# Writes the manual pages from pipc.h: man7/pipc.7 from the comment at its head and from its types,
# man3/NAME.3 from the comment above each function and each type. pipc.h is the only source of what
# they say, and examples.c of what they show.
#
# usage: awk -v out=FOLDER -v date=DATE -v version=VERSION \
#            -f text.awk -f pages.awk -f function.awk -f errors.awk -f types.awk -f related.awk \
#            pipc.h examples.c

FNR == 1 {
    files++
}

files == 1 {
    line[++lines] = $0
    next
}

{
    read_example($0)
}

END {
    find_functions()
    find_types()
    check_examples()
    page = out "/man7/pipc.7"
    put_overview()
    close(page)
    for (which = 1; which <= functions; which++) {
        page = out "/man3/" name[which] ".3"
        put_function(which)
        close(page)
    }
    for (which = 1; which <= types; which++) {
        page = out "/man3/" type_name[which] ".3"
        put_type_page(which)
        close(page)
    }
}

function fail(text)
{
    print "pages.awk: " text >"/dev/stderr"
    exit 1
}

# ---- What the header has --------------------------------------------------------------------

# Fills name[], prototype[], and the lines of the comment: comment_first[], comment_last[]; and for
# a function that begins a group ("---- Reading ----") group[].
function find_functions(   i, text, title)
{
    for (i = 1; i <= lines; i++) {
        if (line[i] ~ /^\/\* ---- /) {
            title = line[i]
            gsub(/^\/\* -+ | -+ \*\/$/, "", title)
        }
        if (line[i] !~ /^PIPC_API /)
            continue
        functions++
        comment_last[functions] = i - 1
        for (text = line[i]; text !~ /;$/; text = text " " trimmed(line[i]))
            i++
        sub(/^PIPC_API /, "", text)
        prototype[functions] = text
        match(text, /pipc_[a-z0-9_]+\(/)
        name[functions] = substr(text, RSTART, RLENGTH - 1)
        is_function[name[functions]] = functions
        group[functions] = title
        title = ""
        find_comment(functions)
    }
    if (functions == 0)
        fail("no functions in the header")
}

function find_comment(which,   i)
{
    i = comment_last[which]
    if (line[i] !~ /\*\/$/)
        fail(name[which] " has no comment")
    while (line[i] !~ /^\/\*/)
        i--
    comment_first[which] = i
}

# Copies a comment to block[], without what makes it a comment; returns the number of lines.
function load(first, last,   i, count, text)
{
    for (i = first; i <= last; i++) {
        text = line[i]
        sub(/^\/?\*+\/?$|^ \*\/$|^ \*$|^\/\* |^ \* /, "", text)
        sub(/ \*\/$/, "", text)
        block[++count] = text
    }
    block[count + 1] = ""
    return count
}

# What a function's comment begins with, "NAME - does this": up to the end of the first sentence.
function summary(which,   text, count, i)
{
    count = load(comment_first[which], comment_last[which])
    i = 1
    while (block[i] == "")
        i++
    for (; i <= count && block[i] != ""; i++)
        text = text " " block[i]
    text = substr(text, length(name[which]) + 5)
    rest_of_first = ""
    if (match(text, /\. /)) {
        rest_of_first = substr(text, RSTART + 2)
        text = substr(text, 1, RSTART - 1)
    }
    sub(/\.$/, "", text)
    first_of_rest = i
    return text
}

function short(text) # without numbers of sections
{
    gsub(/ \(1?[0-9]\)/, "", text)
    return text
}

function put_head(title, section)
{
    put(".\\\" Made from pipc.h by docs/man/pages.awk; what is changed here is lost.")
    put(".Dd " date)
    put(".Dt " toupper(title) " " section)
    put(".Os libpipc " version)
    put(".Sh NAME")
}

# ---- pipc(7) --------------------------------------------------------------------------------

function put_overview(   i)
{
    in_section_3 = 0
    put_head("pipc", 7)
    put(".Nm pipc")
    put(".Nd two-way message pipes")
    put(".Sh SYNOPSIS")
    put(".In pipc.h")
    put(".Pp")
    put(".Dl cc program.c $(pkg\\-config \\-\\-cflags \\-\\-libs libpipc)")
    put(".Sh DESCRIPTION")
    put("A number in parentheses refers to a section of this page.")
    put("Each function and each type has a page of its own; section 13 has the list.")
    for (i = 1; line[i] !~ /^ \* 1 [A-Z]/; i++)
        ;
    put_sections(i)
    put_reference()
    put(".Sh EXAMPLES")
    put("Each page of section 3 has one.")
    put("Whole programs, for two threads, workers, servers, event loops and more, are in the")
    put("folder")
    put(".Pa examples")
    put("of the documents that are installed with the library")
    put(".Pq Pa share/doc/pipc , or Pa /usr/share/doc/libpipc\\-dev .")
    put(".Pa README.md")
    put("beside it says which one is for what.")
    put(".Sh SEE ALSO")
    put(".Xr poll 2 ,")
    put(".Xr pipe 7 ,")
    put(".Xr tcp 7 ,")
    put(".Xr unix 7")
}

# From the line of a heading, "1 OVERVIEW", to the end of that comment, and section 13 after it.
function put_sections(first,   i, last, end)
{
    for (end = first; line[end] !~ /^ \*\/$/; end++)
        ;
    while (first < end) {
        for (last = first + 1; last < end && line[last] !~ /^ \* 1?[0-9] [A-Z][A-Z]/; last++)
            ;
        put_section(first, last - 1)
        first = last
    }
    for (first = end; line[first] !~ /^ \* 13 /; first++)
        ;
    for (last = first; line[last + 1] !~ /^ \*\/$/; last++)
        ;
    put_section(first, last)
}

function put_section(first, last,   count)
{
    heading(substr(line[first], 4))
    count = load(first + 1, last)
    if (line[first] ~ /KINDS OF PIPE$/)
        put_kinds(count)
    else
        put_blocks(1, count)
}

function heading(text)
{
    put(".Sh " text)
    fresh = 1
}

function subheading(text)
{
    put(".Ss " text)
    fresh = 1
}

# Section 6 becomes subsections: "pipc_open_pair: the two ends" begins one.
function put_kinds(count,   i, end, text)
{
    for (i = 1; i <= count; i = end + 1) {
        for (; i <= count && block[i] == ""; i++)
            ;
        if (i > count)
            break
        end = end_of(i, count, kind_of(block[i]))
        if (kind_of(block[i]) != "paragraph") {
            put_blocks(i, end)
            continue
        }
        text = joined(i, end)
        if (text ~ /^(pipc_|PIPC_|Keys)[^.:]*: /)
            text = put_label(text)
        else if (title_of(text) != "")
            subheading(title_of(text))
        put_paragraph(text)
    }
}

function put_label(text,   label)
{
    label = substr(text, 1, index(text, ": ") - 1)
    text = substr(text, index(text, ": ") + 2)
    sub(/, (for|on) .*/, "", label)
    subheading(label)
    return toupper(substr(text, 1, 1)) substr(text, 2)
}

# Paragraphs of section 6 that are about more kinds than the one before them.
function title_of(text)
{
    if (text ~ /^The handles of pipc_open_tcp/)
        return "Connections over TCP"
    if (text ~ /^Who can connect over TCP/)
        return "Who can connect"
    if (text ~ /^On all kinds/)
        return "The end of writing"
    return ""
}

# ---- Section 13 -----------------------------------------------------------------------------

function put_reference(   i, which)
{
    subheading("Types")
    for (i = 1; line[i] !~ /^\/\* ---- Types/; i++)
        ;
    put(".Bl -tag -width Ds")
    for (i++; line[i] !~ /^\/\* ---- /; i = put_type(i))
        ;
    put(".El")
    for (which = 1; which <= functions; which++) {
        if (group[which] != "") {
            if (which > 1)
                put(".El")
            subheading(group[which])
            put(".Bl -tag -width pipc_server_open_unix(3)")
        }
        put(".It Xr " name[which] " 3")
        put_text(short(summary(which)) ".")
    }
    put(".El")
}

# A type or a group of constants: a comment, and what is below it up to an empty line. Returns the
# line after it.
function put_type(i,   first, last, count, defined)
{
    first = i
    while (line[i] != "" && line[i] !~ /\*\/$/)
        i++
    if (line[i] == "")
        return i + 1
    last = i
    for (i++; line[i] != "" && line[i] !~ /^\/\*/; i++)
        defined = defined line[i] "\n"
    if (defined == "" || defined ~ /^#define PIPC_[A-Z_]*INIT/) # belongs to the type before it
        return i + 1
    count = load(first, last)
    put_defined(defined, joined(1, count))
    return i
}

function put_defined(text, comment,   lines, count, k, type)
{
    count = split(text, lines, "\n")
    type = lines[count - 1]
    if (type ~ /^#define/)
        put(".It " (comment ~ /events/ ? "Events" : "Flags"))
    else {
        sub(/;$/, "", type)
        sub(/\)\(.*/, "", type) # of a pointer to a function: (*NAME)(...)
        sub(/.*[ }*]/, "", type)
        put(".It Vt " type)
    }
    put_text(comment)
    if (count < 3 && text !~ /\{/)
        return
    put(".Bl -tag -width Ds -compact")
    for (k = 1; k < count; k++)
        put_member(lines[k])
    put(".El")
}

# A line of a struct, a constant, or an enum in one line.
function put_member(text,   comment, value)
{
    comment = ""
    if (match(text, /\/\*.*\*\//))
        comment = substr(text, RSTART + 3, RLENGTH - 6)
    sub(/ *\/\*.*/, "", text)
    if (text ~ /^#define/) {
        split(text, value, / +/)
        put(".It Dv " value[2] " Pq " value[3])
    } else if (text ~ /^typedef enum/) {
        gsub(/.*\{ *| *\}.*/, "", text)
        gsub(/,/, " , Dv", text)
        put(".It Dv " text)
    } else if (text ~ /;$/ && text !~ /^\}/)
        put(".It Vt \"" trimmed(substr(text, 1, length(text) - 1)) "\"")
    else
        return
    put_text(comment)
}
