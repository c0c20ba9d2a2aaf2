/* SPDX-License-Identifier: MIT */
#include "rendezvous/fifo_offer.h"

#include <errno.h>

#include "sys/sys.h"
#include "sys/sys_file.h"

/* Cleaners count in days, and at the least in hours. */
#define STAYS_YOUNG (3600 * INT64_C(1000000000)) /* nanoseconds */

const struct fifo_offer fifo_offer_none = {-1, -1, -1, -1, -1, "", "", 0};

/* ---- making ---- */

static int make_fifo(int directory, const char *name)
{
    return sys_file_make_fifo(directory, name) != 0 ? -1
                                                    : fifo_dir_open_fifo(directory, name, false);
}

static int fill_offer(struct fifo_offer *offer, int base)
{
    offer->directory = fifo_dir_open_directory(base, offer->private_name);
    if (offer->directory < 0)
        return -1;
    offer->door = make_fifo(offer->directory, FIFO_DOOR);
    if (offer->door < 0)
        return -1;
    offer->in = make_fifo(offer->directory, FIFO_IN);
    if (offer->in < 0)
        return -1;
    offer->out_reader = make_fifo(offer->directory, FIFO_OUT);
    if (offer->out_reader < 0)
        return -1;
    offer->out = fifo_dir_open_fifo(offer->directory, FIFO_OUT, true);
    return offer->out < 0 ? -1 : 0;
}

int fifo_offer_make(struct fifo_offer *offer, int base)
{
    fifo_dir_private_name(offer->private_name);
    offer->name = offer->private_name;
    offer->young_until = sys_now() + STAYS_YOUNG;
    if (sys_file_make_directory(base, offer->name) != 0)
        return -1;
    if (fill_offer(offer, base) == 0)
        return 0;
    int saved = errno;
    if (offer->directory < 0)
        sys_file_remove_directory(base, offer->name);
    fifo_offer_discard(offer, base);
    errno = saved;
    return -1;
}

int fifo_offer_reopen_door(struct fifo_offer *offer)
{
    int door = fifo_dir_open_fifo(offer->directory, FIFO_DOOR, false);
    if (door < 0)
        return -1;
    sys_close(offer->door); /* after the other is open: the door always has a reader */
    offer->door = door;
    return 0;
}

/* ---- looking after ---- */

bool fifo_offer_is_whole(const struct fifo_offer *offer, int base)
{
    return fifo_dir_find(offer->directory, base, offer->name) != FIFO_LOST &&
           fifo_dir_find(offer->door, offer->directory, FIFO_DOOR) != FIFO_LOST &&
           fifo_dir_find(offer->in, offer->directory, FIFO_IN) != FIFO_LOST &&
           fifo_dir_find(offer->out, offer->directory, FIFO_OUT) != FIFO_LOST;
}

void fifo_offer_keep_young(struct fifo_offer *offer)
{
    int64_t now = sys_now();
    if (now < offer->young_until)
        return;
    offer->young_until = now + STAYS_YOUNG;
    sys_file_touch(offer->directory, FIFO_DOOR);
    sys_file_touch(offer->directory, FIFO_IN);
    sys_file_touch(offer->directory, FIFO_OUT);
}

/* ---- removing ---- */

int fifo_offer_remove_names(int base, int directory, const char *name)
{
    if (fifo_dir_remove_fifo(directory, FIFO_IN) != 0 ||
        fifo_dir_remove_fifo(directory, FIFO_OUT) != 0)
        return -1;
    int result = sys_file_remove_directory(base, name);
    bool is_anothers = result != 0 && (errno == ENOENT || errno == ENOTEMPTY || errno == ENOTDIR);
    return is_anothers ? 0 : result;
}

void fifo_offer_close(struct fifo_offer *offer)
{
    sys_close(offer->directory);
    sys_close(offer->door);
    sys_close(offer->in);
    sys_close(offer->out);
    sys_close(offer->out_reader);
    *offer = fifo_offer_none;
}

void fifo_offer_discard(struct fifo_offer *offer, int base)
{
    int saved = errno;
    if (offer->directory >= 0) {
        fifo_dir_remove_fifo(offer->directory, FIFO_DOOR);
        fifo_offer_remove_names(base, offer->directory, offer->name);
    }
    fifo_offer_close(offer);
    errno = saved;
}
