# SPDX-License-Identifier: MIT
#
# ERRORS of a page of section 3: the sentences of the function's comment, then what section 5 of
# pipc.h says of the errnos that these only name. An entry there can have parts: "Reading: ...
# Writing: ... pipc_detach: ..."; a page gets those that are about its function.

function put_failed(which,   i, count, last, words)
{
    if (failed == "")
        return
    heading("ERRORS")
    named = failed
    gsub(/\(no end\)/, "(the caller holds no end, and can take none)", failed)
    count = split(failed, words, "\n")
    for (i = 1; i <= count; i++)
        put_paragraph(words[i])
    find_meanings()
    count = split(unexplained(named), words, /[^A-Z]+/)
    for (i = 1; i <= count; i++)
        if (words[i] in meaning && !(meaning[words[i]] in seen)) {
            if (last == "") {
                put(".Pp")
                put("What is not explained above:")
                put(".Bl -tag -width ETIMEDOUT")
            }
            last = meaning[words[i]]
            seen[last] = 1
            put_item(term_of[last])
            put_text(part_for(which, text_of[last]))
        }
    if (last != "")
        put(".El")
    for (i in seen)
        delete seen[i]
}

# Without the errnos that have their reason behind them, in parentheses, and without those of an end
# that cannot be taken, of which the last one has.
function unexplained(text)
{
    gsub(/on pipc_open E[A-Z, E]*\(no end\)/, "", text)
    gsub(/ \(1?[0-9]\)/, "", text)
    gsub(/EINVAL/, "", text) # it has the same reason everywhere
    while (match(text, /E[A-Z0-9]+( or E[A-Z]+|, E[A-Z]+)? \([^)]*\)/))
        text = substr(text, 1, RSTART - 1) substr(text, RSTART + RLENGTH)
    return text
}

# Of "Reading: ONE. TWO. Writing: THREE. Unchanged." a function that reads gets "ONE. TWO.
# Unchanged.": the last sentence is for all. A text without a part for it stays as it is.
function part_for(which, text,   i, count, sentence, mine, has, all, tag)
{
    count = split(text, sentence, /\. /)
    mine = 1
    for (i = 1; i <= count; i++) {
        if (i < count)
            sentence[i] = sentence[i] "."
        if (match(sentence[i], /^(Reading|Writing|Opening|TCP|pipc_[a-z_, ]+)[^.:]*: /)) {
            tag = substr(sentence[i], 1, RLENGTH - 2)
            mine = is_about(tag, which)
            has = has || mine
            if (mine)
                sentence[i] = capital(substr(sentence[i], RLENGTH + 1))
        }
        if (mine || i == count)
            all = all (all == "" ? "" : " ") sentence[i]
    }
    return has ? all : text
}

function is_about(tag, which,   i, count, words)
{
    count = split(tag, words, /[, ]+/)
    for (i = 1; i <= count; i++)
        if (words[i] == name[which])
            return 1
    if (words[1] == "Reading")
        return context ~ /the one thread that reads/
    if (words[1] == "Writing")
        return context ~ /the one thread that writes/
    if (words[1] == "TCP")
        return name[which] == "pipc_open_tcp" || name[which] == "pipc_server_open"
    return words[1] == "Opening" && name[which] ~ /_open/
}

function capital(text)
{
    return toupper(substr(text, 1, 1)) substr(text, 2)
}

# Section 5: meaning[ERRNO] is the number of an entry; term_of[] and text_of[] are its parts.
function find_meanings(   i, first, words, count, k)
{
    if (meanings > 0)
        return
    for (first = 1; line[first] !~ /^ \*   EAGAIN  /; first++)
        ;
    for (i = first; line[i] !~ /^ \*$/; i++) {
        if (line[i] ~ /^ \*   E/ && line[i] !~ /^ \*   ENOMEM, /) {
            halves(substr(line[i], 4), 2)
            term_of[++meanings] = left
            text_of[meanings] = right
            count = split(left, words, /, /)
            for (k = 1; k <= count; k++)
                meaning[words[k]] = meanings
        } else if (line[i] ~ /^ \*       /)
            text_of[meanings] = trimmed(text_of[meanings] " " trimmed(substr(line[i], 3)))
        else
            break
    }
}
