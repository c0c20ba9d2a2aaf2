# SPDX-License-Identifier: MIT
#
# A page of section 3: from the comment above a function, which has its sentences in one order, to
# the sections that a manual page has. See pages.awk.

function put_function(which,   count, i, j)
{
    in_section_3 = 1
    put_head(name[which], 3)
    put(".Nm " name[which])
    put(".Nd " argument(short(summary(which))))
    put(".Sh SYNOPSIS")
    put(".In pipc.h")
    put_prototype(prototype[which])
    count = load(comment_first[which], comment_last[which])
    returned = failed = context = ""
    heading("DESCRIPTION")
    put_description(which, count)
    put_constants_of(name[which])
    if (context != "") {
        heading("WAITING, THREADS AND FORK")
        put_paragraph(context)
    }
    put_returned(which)
    put_examples(name[which])
    put_failed(which)
    put_see_also(name[which], comment_first[which], comment_last[which], prototype[which])
}

# PIPC_API is left out: "pipc_t *pipc_open(const pipc_options_t *options);"
function put_prototype(text,   type, arguments, count, list, i)
{
    match(text, /pipc_[a-z0-9_]+\(/)
    type = substr(text, 1, RSTART - 1)
    sub(/ $/, "", type)
    put(".Ft " quoted(type))
    put(".Fo " substr(text, RSTART, RLENGTH - 1))
    arguments = substr(text, RSTART + RLENGTH)
    sub(/\);$/, "", arguments)
    count = split(arguments, list, /, */)
    for (i = 1; i <= count; i++)
        put(".Fa " quoted(list[i]))
    put(".Fc")
}

function quoted(text)
{
    return text ~ / / ? "\"" text "\"" : text
}

# The comment. Sentences about the result, about errors, and about waiting and threads are kept for
# sections of their own: `returned`, `failed`, `context`.
function put_description(which, count,   i, end, first)
{
    first = summary(which) ". "
    first = toupper(substr(first, 1, 1)) substr(first, 2) sorted(rest_of_first)
    put_text(first)
    fresh = 0
    for (i = first_of_rest; i <= count; i = end + 1) {
        end = i
        if (block[i] == "")
            continue
        end = end_of(i, count, kind_of(block[i]))
        if (kind_of(block[i]) == "paragraph")
            put_paragraph(sorted(joined(i, end)))
        else
            put_blocks(i, end)
    }
    if (returned == "" && prototype[which] !~ /^void/)
        returned = first
}

# Sorts the sentences of a paragraph; returns those that stay in the description.
function sorted(text,   end, sentence, place, kept)
{
    place = "kept"
    if (failed != "" && text ~ /^With .* E[A-Z]+/) { # a second paragraph about errors
        place = "failed"
        failed = failed "\n"
    }
    for (text = trimmed(text); text != ""; text = substr(text, end + 1)) {
        end = match(text, /\. /) ? RSTART + 1 : length(text)
        sentence = substr(text, 1, end) (substr(text, end, 1) == " " ? "" : " ")
        if (sentence ~ /^Returns /)
            place = "returned"
        else if (sentence ~ /^On failure (-1|NULL)/)
            place = "failed"
        if (is_context(sentence))
            context = context spelled_out(sentence)
        else if (place == "returned")
            returned = returned sentence
        else if (place == "failed")
            failed = failed sentence
        else
            kept = kept sentence
    }
    return trimmed(kept)
}

function is_context(sentence)
{
    return sentence ~ /^(Waits|Never waits|Cancelled there|Any thread|After fork|Else it waits)/ ||
        sentence ~ /^(One (reading |writing )?thread|A thread that is cancelled)/ ||
        sentence ~ /^With PIPC_ASYNC it does not wait/
}

function spelled_out(sentence)
{
    sub(/^Any thread\. /, "Any thread may call it. ", sentence)
    sub(/^One reading thread/, "For the one thread that reads", sentence)
    sub(/^One writing thread/, "For the one thread that writes", sentence)
    sub(/^One thread at a time/, "For one thread at a time", sentence)
    sub(/^One thread/, "For one thread at a time", sentence)
    return sentence
}

function put_returned(which)
{
    if (trimmed(returned) == "")
        return
    heading("RETURN VALUES")
    put_paragraph(returned)
}
