/* SPDX-License-Identifier: MIT */
/*
 * One end of a pipc_open whose shared memory others write at any moment: the input, between calls,
 * and a second thread, during them. Calls must not crash or hang, nor read beyond the memory; they
 * fail as the manual says. As long as only whole frames were published, in order, the messages are
 * compared.
 *
 *   input   1 byte: whether the peer's end is held; then steps of 1 byte and its parameters
 */
#include "fuzz.h"

#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "lockstep.h"
#include "peer/shared.h"

enum { STEPS_MAX = 200, MESSAGE_MAX = 1 << 20, FRAMES_MAX = 64, ATTACKS_MAX = 300, BURST = 32 };

/* The victim holds end 0: it reads what end 1 writes. */
static struct {
    pipc_t *pipe;
    struct shared_page *page; /* a mapping of the attacker's own */
    uint8_t *data[2];
    size_t mapped;
    bool has_peer;  /* a second thread holds end 1 */
    bool has_left;  /* the victim said goodbye: its next call takes an end anew */
    bool is_out;    /* and found none */
    bool is_forged; /* no message is known any more */
    struct {
        size_t size;
        uint8_t byte;
    } frame[FRAMES_MAX]; /* published, and unread */
    size_t first, count;
    int polled;
    struct fuzz_input in;
} s;

/* ---- the memory ---- */

static size_t head_size(void)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    return (sizeof(struct shared_page) + page - 1) / page * page;
}

/* The new descriptor that is a file of that size. */
static void map_memory(const struct fuzz_fds *before)
{
    struct fuzz_fds now = fuzz_fds_now();
    struct stat status;
    s.mapped = head_size() + 2 * RING_GROWN;
    for (int fd = 0; fd < FUZZ_FDS && s.page == NULL; fd++) {
        if (!now.is_open[fd] || before->is_open[fd] || fstat(fd, &status) != 0 ||
            !S_ISREG(status.st_mode) || (size_t)status.st_size != s.mapped)
            continue;
        void *memory = mmap(NULL, s.mapped, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        FUZZ_NEED(memory != MAP_FAILED);
        s.page = memory;
        s.data[0] = (uint8_t *)memory + head_size();
        s.data[1] = s.data[0] + RING_GROWN;
    }
    FUZZ_NEED(s.page != NULL);
}

static _Atomic uint64_t *word(unsigned which)
{
    struct shared_page *page = s.page;
    _Atomic uint64_t *const words[] = {
        &page->ring[1].head, &page->ring[1].tail, &page->ring[1].steps, &page->ring[1].grown,
        &page->ring[0].head, &page->ring[0].tail, &page->ring[0].steps, &page->ring[0].grown,
        &page->end[1].state, &page->end[1].until, &page->end[0].state,  &page->end[0].until};
    return words[which % 12];
}

static const uint64_t leaps[] = {1,
                                 4,
                                 64,
                                 RING_SIZE / 16,
                                 RING_SIZE / 4,
                                 RING_SIZE / 2,
                                 RING_SIZE - 1,
                                 RING_SIZE,
                                 RING_SIZE + 1,
                                 RING_GROWN - 1,
                                 RING_GROWN,
                                 RING_GROWN + 1,
                                 (uint64_t)1 << 31,
                                 (uint64_t)1 << 32,
                                 (uint64_t)1 << 62,
                                 (uint64_t)1 << 63};

static void forge_word(unsigned which, unsigned how, uint64_t number)
{
    _Atomic uint64_t *at = word(which);
    uint64_t leap = leaps[number % 16];
    switch (how % 8) {
    case 0:
        atomic_fetch_add(at, number);
        break;
    case 1:
        atomic_fetch_sub(at, number);
        break;
    case 2:
        atomic_fetch_add(at, leap);
        break;
    case 3:
        atomic_fetch_sub(at, leap);
        break;
    case 4:
        atomic_store(at, atomic_load(word((unsigned)number)));
        break;
    case 5:
        atomic_fetch_xor(at, (uint64_t)1 << (number % 64));
        break;
    case 6:
        atomic_store(at, 0 - (number & 1));
        break;
    default:
        atomic_store(&s.page->end[which & 1].interest, (unsigned)number);
        break;
    }
}

/* Bytes of the ring that the victim reads, as it is laid out now. */
static void write_data(uint64_t position, const uint8_t *bytes, size_t size)
{
    size_t mask = (atomic_load(&s.page->ring[1].grown) != 0 ? RING_GROWN : RING_SIZE) - 1;
    for (size_t i = 0; i < size; i++)
        ((volatile uint8_t *)s.data[1])[(position + i) & mask] = bytes[i];
}

/* ---- the attacker's thread ---- */

static atomic_bool attack_ends;

static void attack(void *context)
{
    uint64_t dice = *(uint32_t *)context;
    for (int i = 0; i < ATTACKS_MAX && !atomic_load(&attack_ends); i++) {
        uint32_t roll = fuzz_random(&dice);
        uint8_t bytes[4] = {(uint8_t)(roll >> 24), 0, (uint8_t)(roll >> 16), (uint8_t)(roll >> 8)};
        if (roll & 1)
            write_data(atomic_load(&s.page->ring[1].tail) + roll % 64, bytes, sizeof bytes);
        else
            forge_word(roll >> 1 & 15, roll >> 5 & 7, roll >> 8 & 1 ? roll >> 9 & 15 : roll);
    }
}

/* ---- calls ---- */

static bool may_read_fail_with(int error)
{
    switch (error) {
    case EAGAIN:
    case ETIMEDOUT:
    case EPIPE:
    case ECONNRESET:
    case EPROTO:
    case ESHUTDOWN:
    case EMSGSIZE:
        return true;
    default:
        return error == EBUSY && s.has_left;
    }
}

static bool may_write_fail_with(int error)
{
    return error != ESHUTDOWN && error != EMSGSIZE && may_read_fail_with(error);
}

/* Touches each byte, so that a checker of memory sees what lies beyond. */
static void check_message(const pipc_msg_t *got)
{
    const uint8_t *data = got->data;
    unsigned sum = 0;
    FUZZ_CHECK(got->size <= MESSAGE_MAX + 3, "a message of %zu bytes", got->size);
    for (size_t i = 0; i < got->size; i++)
        sum += data[i];
    if (s.is_forged)
        return;
    size_t size = s.frame[s.first].size;
    FUZZ_CHECK(s.count > 0 && got->size == size, "another message");
    FUZZ_CHECK(sum == size * s.frame[s.first].byte, "other bytes");
}

static void take_message(const pipc_msg_t *got)
{
    check_message(got);
    if (s.is_forged)
        return;
    s.first++;
    s.count--;
}

static void check_failure(bool reads)
{
    int error = errno;
    FUZZ_CHECK(reads ? may_read_fail_with(error) : may_write_fail_with(error),
               "an errno that does not belong here");
    if (reads && !s.is_forged)
        FUZZ_CHECK(error == EMSGSIZE || s.count == 0, "%zu messages are there", s.count);
}

static void call_read(size_t room)
{
    static uint8_t buffer[MESSAGE_MAX];
    ssize_t got = pipc_read(s.pipe, buffer, room);
    pipc_msg_t view = {buffer, (size_t)got, PIPC_DATA};
    FUZZ_CHECK(got <= (ssize_t)room, "%zd bytes in a buffer of %zu", got, room);
    if (got >= 0)
        take_message(&view);
    else
        check_failure(true);
}

static void call_on_first(unsigned call)
{
    pipc_msg_t got = {NULL, 0, PIPC_DATA};
    int result = call == 0 ? pipc_read_msg(s.pipe, &got) : pipc_peek(s.pipe, &got);
    if (result != 0)
        check_failure(true);
    else if (call == 0)
        take_message(&got);
    else if (s.is_forged || got.kind == PIPC_DATA)
        check_message(&got);
    if (result == 0 && call == 0)
        pipc_msg_free(&got);
}

static void call_read_pending(size_t max)
{
    pipc_msg_t got[BURST];
    ssize_t count = pipc_read_pending(s.pipe, got, max);
    FUZZ_CHECK(count <= (ssize_t)max, "%zd messages for %zu", count, max);
    if (count == -1)
        check_failure(true);
    for (ssize_t i = 0; i < count; i++) {
        take_message(&got[i]);
        pipc_msg_free(&got[i]);
    }
}

static void call_write(size_t size)
{
    static const uint8_t bytes[300000];
    ssize_t sent = pipc_write(s.pipe, bytes, size);
    FUZZ_CHECK(sent == (ssize_t)size || sent == -1, "a write of %zu returns %zd", size, sent);
    if (sent == -1)
        check_failure(false);
}

static void call_write_batch(unsigned count)
{
    struct iovec messages[BURST];
    static uint8_t bytes[64];
    for (unsigned i = 0; i < count; i++)
        messages[i] = (struct iovec){bytes, sizeof bytes};
    ssize_t sent = pipc_write_batch(s.pipe, messages, count);
    FUZZ_CHECK(sent >= -1 && sent <= (ssize_t)count, "a batch of %u returns %zd", count, sent);
    if (sent == -1)
        check_failure(false);
}

static void call_state(unsigned which)
{
    ssize_t result = 0;
    switch (which % 6) {
    case 0:
        result = pipc_pending(s.pipe);
        break;
    case 1:
        result = pipc_flush(s.pipe);
        break;
    case 2:
        result = pipc_want(s.pipe, which / 6 % 4);
        break;
    case 3:
        s.polled = pipc_fd(s.pipe);
        result = s.polled;
        break;
    case 4:
        result = pipc_skip(s.pipe);
        s.is_forged = true;
        break;
    default:
        fuzz_stats(s.pipe);
        break;
    }
    if (result < 0)
        FUZZ_CHECK(may_read_fail_with(errno), "an errno that does not belong here");
}

/* A call that waits must end by its timeout, whatever is written meanwhile. */
static void call_that_waits(unsigned number)
{
    FUZZ_CHECK(pipc_set_timeout(s.pipe, 1, 1) == 0 || s.has_left, "pipc_set_timeout");
    if (number & 1)
        call_read(number * 100);
    else
        call_write(number * 10000);
    FUZZ_CHECK(pipc_set_timeout(s.pipe, 0, 0) == 0 || s.has_left, "pipc_set_timeout");
}

static void call_last(unsigned which)
{
    int result = which & 1 ? pipc_disconnect(s.pipe, "bye") : pipc_shutdown(s.pipe);
    if (result != 0)
        check_failure(false);
    if (result != 0 || (which & 1) == 0)
        return;
    /* The next call takes an end anew, perhaps the other one, with timeouts of its own. */
    s.has_left = s.is_forged = true;
    s.is_out = pipc_set_timeout(s.pipe, 0, 0) != 0;
    FUZZ_CHECK(!s.is_out || errno == EBUSY || errno == EPIPE, "no end, for another reason");
}

static void take_call(unsigned call, unsigned number)
{
    static const uint32_t sizes[] = {0, 1, 16, 4092, 8192, 65536, 131072, 262140};
    if (s.is_out)
        return;
    switch (call % 12) {
    case 0:
        call_read(MESSAGE_MAX);
        break;
    case 1:
        call_read(number);
        break;
    case 2:
        call_on_first(number & 1);
        break;
    case 3:
        call_read_pending(number % BURST);
        break;
    case 4:
    case 5:
        call_write(sizes[number % 8]);
        break;
    case 6:
        call_write_batch(number % BURST);
        break;
    case 7:
    case 8:
    case 9:
        call_state(number);
        break;
    case 10:
        if (number < 32)
            call_that_waits(number);
        break;
    default:
        if (number < 16)
            call_last(number);
        break;
    }
}

/* ---- steps ---- */

static void publish_frame(uint8_t byte, size_t size)
{
    static uint8_t frame[4 + 256];
    _Atomic uint64_t *head = word(0);
    size_t capacity = sizeof s.frame / sizeof s.frame[0];
    if (s.first + s.count == capacity)
        s.is_forged = true;
    memset(frame, byte, sizeof frame);
    frame[0] = frame[1] = frame[2] = 0;
    frame[3] = (uint8_t)size;
    write_data(atomic_load(head), frame, 4 + size);
    atomic_fetch_add(head, 4 + size);
    if (s.is_forged)
        return;
    s.frame[s.first + s.count].size = size;
    s.frame[s.first + s.count++].byte = byte;
}

/* Any bytes, where the victim reads or just published. */
static void publish_bytes(unsigned number)
{
    size_t size = number % 32;
    uint64_t at = atomic_load(number & 32 ? word(0) : word(1));
    const uint8_t *bytes = fuzz_take(&s.in, &size);
    write_data(at + (number >> 7), bytes, size);
    if (number & 64)
        atomic_fetch_add(word(0), size);
    s.is_forged = true;
}

static void peer_calls(void *context)
{
    unsigned number = *(unsigned *)context;
    char bytes[100] = {0};
    pipc_msg_t got;
    if (number & 1)
        (void)(pipc_write(s.pipe, bytes, number % 100) + 1);
    else if (number & 2)
        (void)pipc_pending(s.pipe);
    else if (pipc_read_msg(s.pipe, &got) == 0)
        pipc_msg_free(&got);
}

static void take_step(void)
{
    unsigned step = fuzz_byte(&s.in), number = fuzz_byte(&s.in);
    uint32_t seed;
    fuzz_trace("step %u, call %u, %u%s\n", step % 16, step / 16, number,
               s.is_forged ? ", forged" : "");
    switch (step % 16) {
    case 0:
    case 1:
        publish_frame((uint8_t)step, number);
        break;
    case 2:
    case 3:
        publish_bytes(number);
        break;
    case 4:
    case 5:
        s.is_forged = true;
        forge_word(step / 16, number / 32, number % 32);
        break;
    case 6:
        s.is_forged = true;
        forge_word(step / 16, number & 1, fuzz_word(&s.in) | (uint64_t)fuzz_word(&s.in) << 32);
        break;
    case 7:
        if (s.has_peer) {
            s.is_forged = true;
            lockstep_run(peer_calls, &number);
        }
        break;
    case 8:
        s.is_forged = true;
        seed = fuzz_word(&s.in);
        atomic_store(&attack_ends, false);
        lockstep_start(attack, &seed);
        take_call(step / 16, number);
        atomic_store(&attack_ends, true);
        lockstep_wait();
        break;
    default:
        take_call(step / 16, number);
        break;
    }
}

/* ---- one input ---- */

static void begin_here(void *unused)
{
    (void)unused;
    fuzz_no_timeouts(s.pipe);
}

static void close_here(void *unused)
{
    (void)unused;
    pipc_close(s.pipe);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct fuzz_fds before = fuzz_fds_now();
    pipc_options_t options = PIPC_OPTIONS_INIT;
    memset(&s, 0, sizeof s);
    s.in = (struct fuzz_input){bytes, size};
    s.has_peer = fuzz_byte(&s.in) & 1;
    options.max_message = MESSAGE_MAX;
    s.pipe = pipc_open(&options);
    FUZZ_CHECK(s.pipe != NULL, "no pipe");
    begin_here(NULL);
    map_memory(&before);
    if (s.has_peer)
        lockstep_run(begin_here, NULL);
    for (int i = 0; i < STEPS_MAX && !fuzz_is_over(&s.in); i++)
        take_step();
    if (s.has_peer)
        lockstep_run(close_here, NULL);
    pipc_close(s.pipe);
    munmap(s.page, s.mapped);
    fuzz_fds_check(&before);
    return 0;
}
