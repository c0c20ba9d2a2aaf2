/* SPDX-License-Identifier: MIT */
/* The arguments of options: numbers with units. Nothing but the whole argument will do. */
#include "pipccat.h"
#include <errno.h>
#include <limits.h>
#include <stdlib.h>

/* Digits at the front, up to most; *end is behind them. */
static bool digits(const char *text, int base, uint64_t most, uint64_t *number, char **end)
{
    if (*text < '0' || *text > '9') /* strtoull also takes signs and spaces */
        return false;
    errno = 0;
    unsigned long long value = strtoull(text, end, base);
    *number = value;
    return errno == 0 && value <= most;
}

bool value_size(const char *text, size_t *size)
{
    static const char units[] = "KMG";
    char *end;
    uint64_t number;
    if (!digits(text, 10, SIZE_MAX, &number, &end))
        return false;
    for (int i = 0; units[i] != '\0' && *end != '\0'; i++)
        if (*end == units[i] || *end == units[i] + ('a' - 'A')) {
            int shift = 10 * (i + 1);
            if (number > SIZE_MAX >> shift)
                return false;
            number <<= shift;
            end++;
            break;
        }
    *size = (size_t)number;
    return *end == '\0' && number > 0;
}

bool value_count(const char *text, uint64_t *count)
{
    char *end;
    return digits(text, 10, UINT64_MAX, count, &end) && *end == '\0' && *count > 0;
}

bool value_seconds(const char *text, int *ms)
{
    char *end;
    uint64_t whole, thousandths = 0;
    if (!digits(text, 10, INT_MAX / 1000 - 1, &whole, &end))
        return false;
    if (*end == '.') {
        uint64_t unit = 100;
        for (end++; *end >= '0' && *end <= '9'; end++, unit /= 10)
            thousandths += (uint64_t)(*end - '0') * unit;
    }
    *ms = (int)(whole * 1000 + thousandths);
    return *end == '\0';
}

bool value_port(const char *text, uint16_t lowest, uint16_t *port)
{
    char *end;
    uint64_t number;
    if (!digits(text, 10, UINT16_MAX, &number, &end) || *end != '\0' || number < lowest)
        return false;
    *port = (uint16_t)number;
    return true;
}

bool value_descriptor(const char *text, int *fd)
{
    char *end;
    uint64_t number;
    if (!digits(text, 10, INT_MAX, &number, &end) || *end != '\0')
        return false;
    *fd = (int)number;
    return true;
}

bool value_mode(const char *text, mode_t *mode)
{
    char *end;
    uint64_t number;
    if (!digits(text, 8, 0777, &number, &end) || *end != '\0')
        return false;
    *mode = (mode_t)number;
    return true;
}
