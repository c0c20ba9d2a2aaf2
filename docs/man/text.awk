# SPDX-License-Identifier: MIT
#
# From the text of a comment to mdoc(7): words, paragraphs, lists, tables, code. The lines of the
# comment are in block[], without the " * " in front. What is written goes to the file `page`.
#
#   the comment has                           the page gets
#   lines that begin at column 0              a paragraph
#   "- ..." or "1. ...", indented by 1 or 2   a list
#   lines indented by 4                       code, as it is
#   "TERM   text", indented by 2 (or 0)       a list of terms
#   the same with a line of titles above      a list of rows, each cell after its title

function put(text)
{
    print text >page
}

function escaped(text)
{
    gsub(/\\/, "\\e", text)
    return text
}

function indent_of(text)
{
    match(text, /^ */)
    return RLENGTH
}

function trimmed(text)
{
    sub(/^ +/, "", text)
    sub(/ +$/, "", text)
    return text
}

# ---- Words ----------------------------------------------------------------------------------

# Which macro marks this word, given without the punctuation around it; "" for none.
function macro_of(word)
{
    if (word in is_function)
        return "Fn"
    if (word ~ /^pipc_[a-z_]*_t$/ || word == "pipc_t")
        return "Vt"
    if (word ~ /^PIPC_[A-Z0-9_]+$/ || word ~ /^(SO|RWF|O|MADV|TCP)_[A-Z_]+$/)
        return "Dv"
    if (word ~ /^E[A-Z0-9]+$/ && word != "EOF")
        return "Er"
    if (word ~ /^[a-z_0-9]+\([1-8]\)$/)
        return "Xr"
    return ""
}

# The same word as arguments of a macro: ( Fn pipc_read ) , or "" if it is to stay text.
function as_macro(word, before,   lead, trail, macro)
{
    lead = trail = ""
    if (in_section_3 && word ~ /^\(1?[0-9]\)[.,;:)]*$/) { # a section of the manual
        match(word, /[0-9]+/)
        lead = substr(word, RSTART, RLENGTH)
        return "Pq Xr pipc 7 , section " lead spread(substr(word, RSTART + RLENGTH + 1))
    }
    if (in_section_3 && before ~ /^\(?[Ss]ee$/ && word ~ /^1?[0-9][.,;:)]*$/) {
        match(word, /^[0-9]+/)
        return "Xr pipc 7 , section " substr(word, 1, RLENGTH) spread(substr(word, RLENGTH + 1))
    }
    if (substr(word, 1, 1) == "(") {
        lead = "( "
        word = substr(word, 2)
    }
    while (word ~ /[.,;:]$/ || (word ~ /\)$/ && word !~ /\([1-8]\)$/)) {
        trail = " " substr(word, length(word)) trail
        word = substr(word, 1, length(word) - 1)
    }
    macro = macro_of(word)
    if (macro == "")
        return ""
    if (macro == "Xr") {
        sub(/\(/, " ", word)
        sub(/\)/, "", word)
    }
    return macro " " lead word trail
}

function spread(punctuation,   i, all) # "),." becomes " ) , ."
{
    for (i = 1; i <= length(punctuation); i++)
        all = all " " substr(punctuation, i, 1)
    return all
}

function plain(word) # as text: what is a minus in a shell or in C stays one
{
    word = escaped(word)
    if (word ~ /^[("]*-[A-Za-z0-9]/)
        sub(/-/, "\\-", word)
    return word
}

function put_line(text)
{
    if (text == "")
        return
    if (text ~ /^[.']/)
        text = "\\&" text
    put(text)
}

function put_text(text,   words, count, i, line, macro)
{
    if (in_section_3)
        gsub(/\(6, Keys\)/, "(6)", text)
    count = split(trimmed(text), words, / +/)
    line = ""
    for (i = 1; i <= count; i++) {
        macro = as_macro(words[i], i > 1 ? words[i - 1] : "")
        if (macro != "") {
            put_line(line)
            put("." macro)
            line = ""
            continue
        }
        line = line (line == "" ? "" : " ") plain(words[i])
        if (words[i] ~ /[.?!]["')]*$/ || length(line) > 76) { # a sentence ends a line
            put_line(line)
            line = ""
        }
    }
    put_line(line)
}

# A term of a list, all on one line of the page.
function put_item(text,   words, count, i, line, macro, after_macro)
{
    count = split(trimmed(text), words, / +/)
    line = ".It"
    for (i = 1; i <= count; i++) {
        macro = as_macro(words[i], "")
        if (macro != "")
            line = line " " macro
        else
            line = line (after_macro ? " No " : " ") argument(words[i])
        after_macro = macro != ""
    }
    put(line)
}

function argument(word) # \& keeps it from being a macro or a delimiter
{
    word = plain(word)
    gsub(/"/, "\\(dq", word)
    return word ~ /^([A-Z][a-z][a-z]?|[.,:;()|?!].*|%.)$/ ? "\\&" word : word
}

# ---- Blocks ---------------------------------------------------------------------------------

# The two columns of a line: fills left and right; 1 if there is a gap of `gap` spaces or more.
function halves(text, gap,   spaces)
{
    spaces = substr("        ", 1, gap)
    text = trimmed(text)
    if (index(text, spaces) == 0) {
        left = text
        right = ""
        return 0
    }
    left = substr(text, 1, index(text, spaces) - 1)
    right = trimmed(substr(text, length(left) + 1))
    return 1
}

function kind_of(text,   indent)
{
    indent = indent_of(text)
    if (indent == 0)
        return halves(text, 3) ? "terms" : "paragraph"
    if (text ~ /^ +- /)
        return "bullets"
    if (text ~ /^ +[0-9]\. /)
        return "numbers"
    if (text ~ /^ +\*\) /)
        return "note"
    if (indent > 8 || gsub(/[^ ]   +[^ ]/, "&", text) >= 2)
        return "table"
    return indent == 4 ? "code" : "terms"
}

# The last line of the block of this kind that begins at line `first`.
function end_of(first, last, kind,   i, base, indent)
{
    base = indent_of(block[first])
    for (i = first + 1; i <= last; i++) {
        if (kind == "code" && block[i] == "" && indent_of(block[i + 1]) >= base)
            continue
        if (block[i] == "")
            break
        indent = indent_of(block[i])
        if (kind == "paragraph" ? indent > 0 : indent < base && kind != "table")
            break
        if (kind == "terms" && base == 0 && indent == 0 && !halves(block[i], 3))
            break
    }
    return i - 1
}

function joined(first, last,   i, text)
{
    for (i = first; i <= last; i++)
        text = text " " trimmed(block[i])
    return substr(text, 2)
}

function put_blocks(first, last,   end, kind)
{
    while (first <= last) {
        if (block[first] == "") {
            first++
            continue
        }
        kind = kind_of(block[first])
        end = end_of(first, last, kind)
        if (kind == "paragraph" || kind == "note")
            put_paragraph(joined(first, end))
        else if (kind == "bullets" || kind == "numbers")
            put_list(first, end, kind == "bullets" ? "-bullet" : "-enum")
        else if (kind == "code")
            put_code(first, end)
        else if (kind == "table")
            put_table(first, end)
        else
            put_terms(first, end)
        first = end + 1
    }
}

function put_paragraph(text)
{
    if (text == "")
        return
    if (!fresh)
        put(".Pp")
    fresh = 0
    put_text(text)
}

function put_code(first, last,   i)
{
    put(".Bd -literal")
    for (i = first; i <= last; i++) {
        text = escaped(substr(block[i], 5))
        gsub(/-/, "\\-", text)
        put(text ~ /^[.']/ ? "\\&" text : text)
    }
    put(".Ed")
    fresh = 0
}

function put_list(first, last, type,   i, j, base, text)
{
    base = indent_of(block[first])
    put(".Bl " type)
    for (i = first; i <= last; i = j) {
        for (j = i + 1; j <= last && indent_of(block[j]) > base; j++)
            ;
        put(".It")
        text = joined(i, j - 1)
        sub(/^(-|[0-9]\.) /, "", text)
        put_text(text)
    }
    put(".El")
    fresh = 0
}

function put_terms(first, last,   i, j, base, term, text)
{
    base = indent_of(block[first])
    put(".Bl -tag -width ETIMEDOUT")
    for (i = first; i <= last; i = j) {
        term = ""
        j = i
        do { # a term without text goes together with the next line
            halves(block[j], base == 0 ? 3 : 2)
            term = term (term == "" ? "" : " ") left
            text = right
            for (j++; j <= last && indent_of(block[j]) > base; j++)
                text = text " " trimmed(block[j])
        } while (trimmed(text) == "" && j <= last)
        if (trimmed(text) == "") {
            text = substr(term, index(term, ": ") + 2)
            term = substr(term, 1, index(term, ": ") - 1)
        }
        if (base == 0)
            put_parameters(term)
        else
            put_item(term)
        put_text(text)
    }
    put(".El")
    fresh = 0
}

function put_parameters(term)
{
    gsub(/,/, " ,", term)
    put(".It Fa " term)
}

# ---- Tables ---------------------------------------------------------------------------------

# Cuts a line at its gaps: fills cell[] and, with the column where each begins, column[].
function cut(text,   count, position, width)
{
    count = 0
    position = 0
    while (text != "") {
        match(text, /^ */)
        position += RLENGTH
        text = substr(text, RLENGTH + 1)
        width = index(text, "  ") ? index(text, "  ") - 1 : length(text)
        if (width == 0)
            break
        count++
        cell[count] = substr(text, 1, width)
        column[count] = position
        text = substr(text, width + 1)
        position += width
    }
    return count
}

function put_table(first, last,   i, k, count, base, titles, title, where, at, row)
{
    base = indent_of(block[first + 1])
    titles = cut(block[first])
    for (k = 1; k <= titles; k++) {
        title[k] = cell[k]
        where[k] = column[k]
    }
    put(".Bl -tag -width Ds")
    for (i = first + 1; i <= last; i++) {
        count = cut(block[i])
        if (column[1] == base) # a deeper one goes on with the row before
            put_row(row, title, titles)
        for (k = 1; k <= count; k++) {
            at = column_at(column[k], where, titles)
            row[at] = row[at] (row[at] == "" ? "" : " ") cell[k]
        }
    }
    put_row(row, title, titles)
    put(".El")
    fresh = 0
}

# The column, 1 to titles, that a cell belongs to; 0 is the name of the row.
function column_at(position, where, titles,   k)
{
    for (k = titles; k > 0 && position + 4 < where[k]; k--)
        ;
    return where[1] < 4 && k == 1 ? 0 : k
}

function put_row(row, title, titles,   k, text)
{
    if (row[0] == "")
        return
    put_item(row[0])
    for (k = 1; k <= titles; k++) {
        if (row[k] != "")
            text = text (text == "" ? "" : "; ") title[k] ": " row[k]
        row[k] = ""
    }
    row[0] = ""
    put_text(text)
}
