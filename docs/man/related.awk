# SPDX-License-Identifier: MIT
#
# EXAMPLES and SEE ALSO of a page of section 3. What stands in examples.c between [man PAGE ...] and
# [/man] is an example of these pages; its first comment is the text above it.

function read_example(text,   i, count, words)
{
    if (match(text, /\[man [a-z_0-9 ]+\]/)) {
        count = split(substr(text, RSTART + 5, RLENGTH - 6), words, / /)
        examples++
        for (i = 1; i <= count; i++)
            examples_of[words[i]] = examples_of[words[i]] " " examples
        inside = 1
    } else if (text ~ /\[\/man\]/)
        inside = 0
    else if (inside)
        example[examples, ++example_size[examples]] = text
}

function check_examples(   i)
{
    for (i in examples_of)
        if (!(i in is_function) && !(i in is_type))
            fail("an example is for " i ", which has no page")
}

function put_examples(which,   i, count, numbers)
{
    if (!(which in examples_of))
        fail(which " has no example")
    heading("EXAMPLES")
    count = split(examples_of[which], numbers, / /)
    for (i = 1; i <= count; i++)
        if (numbers[i] != "")
            put_example(numbers[i])
}

function put_example(number,   i, text, all)
{
    do { # the comment
        text = example[number, ++i]
        gsub(/^\/\* ?|^ \* ?| ?\*\/$/, "", text)
        all = all " " text
    } while (example[number, i] !~ /\*\/$/)
    put_paragraph(trimmed(all))
    put(".Bd -literal")
    for (i++; i <= example_size[number]; i++) {
        text = escaped(example[number, i])
        gsub(/-/, "\\-", text)
        put(text ~ /^[.']/ ? "\\&" text : text)
    }
    put(".Ed")
    fresh = 0
}

# Pages that the comment or the prototype names; those that name this one; and those whose names
# begin alike. That something holds "on pipc_open" does not make that page worth reading.
function put_see_also(which, first, last, declared,   i, k, list, count, text)
{
    for (i in found)
        delete found[i]
    find_named(text_of_comment(first, last) " " declared " " text_of_examples(which))
    for (i = 1; i <= functions; i++) {
        text = text_of_comment(comment_first[i], comment_last[i]) " " prototype[i]
        if (has_word(text, which) || are_alike(name[i], which))
            found[name[i]] = 1
    }
    for (i = 1; i <= types; i++)
        if (has_word(text_of_comment(type_first[i], type_end[i]), which))
            found[type_name[i]] = 1
    delete found[which]
    delete found["pipc_t"] # all have to do with it
    put(".Sh SEE ALSO")
    for (k = 2; k <= 3; k++) {
        count = 0
        for (i in found)
            if (section_of(i) == k)
                list[++count] = i
        sort(list, count)
        for (i = 1; i <= count; i++) {
            text = list[i]
            sub(/\(.*/, "", text)
            put(".Xr " text " " k " ,")
        }
    }
    put(".Xr pipc 7")
}

function text_of_comment(first, last,   text)
{
    text = joined(1, load(first, last))
    gsub(/on pipc_open[^_]/, "", text)
    gsub(/pipc_open (handle|takes)/, "", text)
    return text
}

function text_of_examples(which,   i, k, count, numbers, text)
{
    count = split(examples_of[which], numbers, / /)
    for (i = 1; i <= count; i++)
        for (k = 1; k <= example_size[numbers[i]]; k++)
            text = text " " example[numbers[i], k]
    return text
}

# Into found[]: functions and types of the library, and calls of the system as poll(2).
function find_named(text,   i, count, words)
{
    count = split(text, words, /[^a-z0-9_()]+/)
    for (i = 1; i <= count; i++) {
        gsub(/^[()]+|\)+$/, "", words[i])
        if (words[i] ~ /^[a-z0-9_]+\(2$/)
            found[words[i] ")"] = 1
        sub(/\(.*/, "", words[i])
        if (words[i] in is_function || words[i] in is_type)
            found[words[i]] = 1
    }
}

function has_word(text, word)
{
    return (" " text " ") ~ ("[^a-z0-9_]" word "[^a-z0-9_]")
}

function are_alike(one, other) # pipc_open_fifo and pipc_open_tcp, pipc_write and pipc_writev
{
    return one !~ /_t$/ && other !~ /_t$/ &&
        (stem(one) == stem(other) || index(one, other) == 1 || index(other, one) == 1)
}

function stem(text) # pipc_open_fifo: pipc_open
{
    match(text, /^pipc_[a-z]+/)
    return substr(text, 1, RLENGTH)
}

function section_of(text)
{
    return text ~ /\(2\)$/ ? 2 : 3
}

function sort(list, count,   i, k, text)
{
    for (i = 2; i <= count; i++) {
        text = list[i]
        for (k = i - 1; k > 0 && list[k] > text; k--)
            list[k + 1] = list[k]
        list[k + 1] = text
    }
}
