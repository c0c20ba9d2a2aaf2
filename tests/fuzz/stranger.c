/* SPDX-License-Identifier: MIT */
#include "stranger.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

const struct auth_key stranger_right_key = {"right", 5, false};
static const struct auth_key wrong_key = {"wrong", 5, false};

static void begin_auth(struct stranger *stranger)
{
    static uint32_t number;
    uint8_t nonce[AUTH_NONCE] = {0}, mark[AUTH_MARK] = {0};
    number++; /* another process each time */
    memcpy(nonce, &number, sizeof number);
    memcpy(mark, &number, sizeof number);
    if (stranger->knows != STRANGER_KNOWS_NOTHING)
        auth_init(&stranger->auth, stranger->is_accepting,
                  stranger->knows == STRANGER_KNOWS ? &stranger_right_key : &wrong_key, nonce,
                  mark);
}

void stranger_begin(struct stranger *stranger, int fd, bool is_accepting, enum stranger_key knows)
{
    int at_once = 1; /* of a Unix socket it fails */
    *stranger = (struct stranger){.fd = fd, .is_accepting = is_accepting, .knows = knows};
    fuzz_nonblock(fd);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &at_once, sizeof at_once);
    begin_auth(stranger);
}

/* A reset spares the machine connections that are over and still remembered. */
void stranger_hang_up(struct stranger *stranger)
{
    struct linger at_once = {1, 0};
    if (stranger->fd < 0)
        return;
    setsockopt(stranger->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    close(stranger->fd);
    stranger->fd = -1;
}

void stranger_say(struct stranger *stranger, const uint8_t *bytes, size_t size)
{
    if (stranger->fd >= 0 && size > 0)
        (void)(send(stranger->fd, bytes, size, MSG_NOSIGNAL) + 1); /* the other may be gone */
}

void stranger_hear(struct stranger *stranger)
{
    ssize_t got =
        stranger->fd < 0 ? -1 : recv(stranger->fd, stranger->heard, STRANGER_HEARD_MAX, 0);
    if (got > 0)
        stranger->heard_size = (size_t)got;
}

enum { WORD_CHALLENGE, WORD_OLD_CHALLENGE, WORD_WELCOME, WORD_FAILURE, WORD_RESPONSE, WORD_OLD };

static void say_word(struct stranger *stranger, unsigned which)
{
    static const char *const words[] = {
        [WORD_CHALLENGE] = "#CHALLENGE#{sha256}0123456789012345678901234567890123456789",
        [WORD_OLD_CHALLENGE] = "#CHALLENGE#01234567890123456789",
        [WORD_WELCOME] = "#WELCOME#",
        [WORD_FAILURE] = "#FAILURE#",
        [WORD_RESPONSE] = "{sha256}01234567890123456789012345678901",
        [WORD_OLD] = "0123456789012345"};
    uint8_t frame[4 + 64] = {0};
    const char *word = words[which % 6];
    frame[3] = (uint8_t)strlen(word);
    memcpy(frame + 4, word, frame[3]);
    stranger_say(stranger, frame, 4 + (size_t)frame[3]);
}

/* Knows nothing, and answers whatever comes with what might be right. */
static bool lie(struct stranger *stranger)
{
    stranger_hear(stranger);
    if (stranger->fd < 0 || stranger->heard_size < 5)
        return false;
    bool is_challenge = stranger->heard_size > 30 && stranger->heard[4] == '#';
    bool is_verdict = stranger->heard_size < 20;
    say_word(stranger, is_challenge ? WORD_RESPONSE : is_verdict ? WORD_CHALLENGE : WORD_WELCOME);
    stranger->heard_size = 0;
    return true;
}

static bool shake_hands(struct stranger *stranger)
{
    const uint8_t *out;
    uint8_t *in;
    size_t size;
    if (stranger->knows == STRANGER_KNOWS_NOTHING)
        return lie(stranger);
    if (stranger->fd < 0)
        return false;
    if ((size = auth_output(&stranger->auth, &out)) > 0) {
        ssize_t sent = send(stranger->fd, out, size, MSG_NOSIGNAL);
        if (sent > 0)
            auth_sent(&stranger->auth, (size_t)sent);
        return sent > 0;
    }
    if ((size = auth_wants(&stranger->auth, &in)) == 0)
        return false;
    ssize_t got = recv(stranger->fd, in, size, 0);
    if (got > 0)
        auth_received(&stranger->auth, (size_t)got);
    return got > 0;
}

bool stranger_shake_hands(struct stranger *stranger, unsigned times)
{
    bool could = false;
    while (times-- > 0 && shake_hands(stranger))
        could = true;
    return could;
}

void stranger_take_step(struct stranger *stranger, unsigned step, unsigned number,
                        struct fuzz_input *in)
{
    size_t size = number;
    const uint8_t *bytes;
    switch (step) {
    case 0:
        bytes = fuzz_take(in, &size);
        stranger_say(stranger, bytes, size);
        break;
    case 1:
        stranger_shake_hands(stranger, number);
        break;
    case 2:
        stranger_hear(stranger);
        break;
    case 3:
        stranger_say(stranger, stranger->heard, stranger->heard_size);
        break;
    case 4:
        say_word(stranger, number);
        break;
    case 5:
        if (stranger->fd >= 0)
            shutdown(stranger->fd, number & 1 ? SHUT_WR : SHUT_RD);
        break;
    default:
        stranger_hang_up(stranger);
        break;
    }
}
