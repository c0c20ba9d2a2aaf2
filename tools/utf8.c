/* SPDX-License-Identifier: MIT */
/* Is it text? UTF-8 of Unicode's table 3-7: no overlong forms, no surrogates. */
#include "pipccat.h"

/* How many bytes the character at the front has; 0: it is none. */
static size_t character(const unsigned char *data, size_t size)
{
    unsigned char first = data[0], low = 0x80, high = 0xbf;
    size_t length = first < 0x80 ? 1 : first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    if (first > 0xf4 || length == 0 || length > size)
        return 0;
    if (first == 0xe0)
        low = 0xa0;
    else if (first == 0xed)
        high = 0x9f;
    else if (first == 0xf0)
        low = 0x90;
    else if (first == 0xf4)
        high = 0x8f;
    for (size_t i = 1; i < length; i++) {
        if (data[i] < low || data[i] > high)
            return 0;
        low = 0x80;
        high = 0xbf;
    }
    return length;
}

bool utf8_is_valid(const unsigned char *data, size_t size)
{
    while (size > 0) {
        size_t length = character(data, size);
        if (length == 0)
            return false;
        data += length;
        size -= length;
    }
    return true;
}
