/* SPDX-License-Identifier: MIT */
#include "transport/ring_wrap.h"

#include <errno.h>

#define IS_MAPPED UINT64_MAX

/* A former holder may have left a position beyond the row: then there is none. */
static uint64_t row_from(const struct ring_area *area, uint64_t position)
{
    return area->grown == 0 && position <= RING_SIZE ? RING_SIZE - position : 0;
}

void ring_wrap_init(struct ring *r)
{
    r->is_out_mapped = r->peer.wrap == NULL;
    r->in_row = r->is_out_mapped ? IS_MAPPED : row_from(&r->in_area, r->in_begin);
}

static bool map_area(struct ring *r, struct ring_area *area, bool is_out)
{
    uint8_t *data = r->peer.wrap(r->peer.context, is_out);
    if (data != NULL)
        *area = ring_area_init(data, area->grown, false);
    else
        errno = ENOMEM;
    return data != NULL;
}

bool ring_wrap_in(struct ring *r)
{
    if (r->in_row != IS_MAPPED && map_area(r, &r->in_area, false))
        r->in_row = IS_MAPPED;
    return r->in_row == IS_MAPPED;
}

bool ring_wrap_out(struct ring *r, size_t total)
{
    uint64_t row = row_from(&r->out_area, r->out_head);
    if (r->is_out_mapped)
        return true;
    if (row > 0 && total <= row) {
        r->out_tail = 0;
        return true;
    }
    r->is_out_mapped = map_area(r, &r->out_area, true);
    r->lacks_memory = !r->is_out_mapped;
    if (r->lacks_memory)
        r->out_tail = r->out_head - ring_area_size(&r->out_area); /* no room, to try it again */
    return r->is_out_mapped;
}
