/* SPDX-License-Identifier: MIT */
/*
 * Joins the programs of one host to those of others, by NATS (Debian: libnats-dev, nats-server).
 * They open a pipe on its path. Each message is one of these lines, and any data behind it:
 *     request ID SUBJECT MS           gets "answer ID" and data, or "fail ID REASON": one of them
 *     publish ID SUBJECT              for all who subscribe; gets nothing, or "fail ID REASON"
 *     subscribe ID SUBJECT [GROUP]    gets "message SUBJECT REPLY" and data, each time. Of a group,
 *                                     one member gets it: so tasks are spread over workers
 * Who gets a REPLY that is not "-" answers with "publish ID REPLY". Only such an answer says that
 * a request is done. Anything else may be lost when a server dies, or when a program is too slow:
 * "news TEXT" reports both. An ID is a number above 0. Each program has a process of the bridge.
 *     cc bridge_nats.c $(pkg-config --cflags --libs libpipc libnats)
 *     ./a.out PATH nats://HOST:4222[,nats://OTHER:4222]...
 */
#include <err.h>
#include <errno.h>
#include <nats/nats.h>
#include <pipc.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { line_size = 1024, at_once = 64, for_ever = 1000000000, end_ms = 5000 };
static pipc_t *program, *feed[2]; /* feed: what is for the program, from the threads to the loop */
static pthread_mutex_t feed_lock = PTHREAD_MUTEX_INITIALIZER;
static natsConnection *nats;

/* This and the on_ functions run in threads of libnats. They wait while the feed is full, as the
 * program does not read. The rest waits in libnats; on_error reports what is over its limit. */
static void hand_over(natsMsg *m, const char *format, ...)
{
    char line[8 * line_size]; /* servers take subjects of 4 KiB */
    va_list values;
    int size = (va_start(values, format), vsnprintf(line, sizeof line, format, values));
    va_end(values);
    struct iovec parts[] = {{line, (size_t)size}, {NULL, 0}};
    if (m != NULL)
        parts[1] = (struct iovec){(char *)natsMsg_GetData(m), (size_t)natsMsg_GetDataLength(m)};
    pthread_mutex_lock(&feed_lock);
    if (size >= (int)sizeof line || pipc_writev(feed[1], parts, 2) == -1)
        err(1, "a message is lost"); /* the program sees an end, and not a gap */
    pthread_mutex_unlock(&feed_lock);
    natsMsg_Destroy(m);
}

static void on_message(natsConnection *c, natsSubscription *s, natsMsg *m, void *unused)
{
    const char *reply = ((void)c, (void)s, (void)unused, natsMsg_GetReply(m));
    hand_over(m, "message %s %s\n", natsMsg_GetSubject(m), reply != NULL ? reply : "-");
}

static void on_answer(natsConnection *c, natsSubscription *s, natsMsg *m, void *id)
{
    const char *format = m == NULL                   ? "fail %lu no answer in time"
                         : natsMsg_IsNoResponders(m) ? "fail %lu nobody is there"
                                                     : "answer %lu\n";
    (void)c, natsSubscription_Destroy(s); /* so this is called once */
    hand_over(m, format, (unsigned long)id);
}

static void on_news(natsConnection *c, void *text)
{
    (void)c, hand_over(NULL, "news %s", (char *)text);
}

static void on_error(natsConnection *c, natsSubscription *s, natsStatus status, void *unused)
{
    (void)s, (void)unused, on_news(c, (char *)natsStatus_GetText(status));
}

static natsStatus obey(const pipc_msg_t *m, unsigned long *id)
{
    char line[line_size] = "", verb[16] = "", subject[line_size] = "", more[line_size] = "";
    natsSubscription *s; /* on_answer destroys it; others stay until this process ends */
    natsInbox *box = NULL;
    char *end = memccpy(line, m->data, '\n', m->size < line_size ? m->size : line_size - 1);
    int used = end != NULL ? (int)(end - line) : (int)m->size, size = (int)m->size - used;
    const char *data = (const char *)m->data + used;
    int n =
        used >= line_size ? 0 : sscanf(line, "%15s %18lu %1023s %1023s", verb, id, subject, more);
    if (n == 3 && strcmp(verb, "publish") == 0)
        return natsConnection_Publish(nats, subject, data, size);
    if (n >= 3 && strcmp(verb, "subscribe") == 0)
        return n == 3 ? natsConnection_Subscribe(&s, nats, subject, on_message, NULL)
                      : natsConnection_QueueSubscribe(&s, nats, subject, more, on_message, NULL);
    if (n != 4 || strcmp(verb, "request") != 0 || *id == 0)
        return NATS_INVALID_ARG;
    natsStatus status = natsInbox_Create(&box);
    if (status == NATS_OK)
        status = natsConnection_SubscribeTimeout(&s, nats, box, atol(more), on_answer, (void *)*id);
    if (status == NATS_OK) /* one that fails is reported when its time is up */
        natsConnection_PublishRequest(nats, subject, box, data, size);
    natsInbox_Destroy(box);
    return status;
}

/* Until the program has gone. Writes wait for it, and take in what it sends meanwhile. */
static int serve(const char *urls)
{
    pipc_msg_t m;
    char line[line_size];
    static natsOptions *o;
    if (pipc_open_pair(feed, NULL) == -1 || pipc_set_timeout(feed[0], 0, -1) == -1 ||
        pipc_fd(feed[0]) == -1 || pipc_set_timeout(program, 0, -1) == -1 ||
        natsOptions_Create(&o) != NATS_OK || natsOptions_SetURL(o, urls) != NATS_OK ||
        natsOptions_SetMaxReconnect(o, for_ever) != NATS_OK ||
        natsOptions_UseGlobalMessageDelivery(o, true) != NATS_OK || /* one thread for all */
        natsOptions_SetErrorHandler(o, on_error, NULL) != NATS_OK ||
        natsOptions_SetDisconnectedCB(o, on_news, "what has no answer may be lost") != NATS_OK ||
        natsOptions_SetReconnectedCB(o, on_news, "a server is there again") != NATS_OK ||
        natsConnection_Connect(&nats, o) != NATS_OK || pipc_fd(program) == -1)
        return pipc_disconnect(program, "no server of NATS is there"), 1;
    struct pollfd items[] = {{pipc_fd(program), POLLIN, 0}, {pipc_fd(feed[0]), POLLIN, 0}};
    while (poll(items, 2, -1) != -1 || errno == EINTR) {
        int i = 0;
        for (; i < at_once && pipc_read_msg(feed[0], &m) == 0; i++, pipc_msg_free(&m))
            pipc_write(program, m.data, m.size); /* EPIPE: reading reports that, too */
        for (i = 0; i < at_once && pipc_read_msg(program, &m) == 0; i++, pipc_msg_free(&m)) {
            unsigned long id = 0;
            natsStatus status = obey(&m, &id);
            int size = snprintf(line, sizeof line, "fail %lu %s", id, natsStatus_GetText(status));
            if (status != NATS_OK)
                pipc_write(program, line, (size_t)size);
        }
        if (i < at_once && errno != EAGAIN)
            break;
    }
    return natsConnection_FlushTimeout(nats, end_ms) != NATS_OK;
}

int main(int argc, char **argv)
{
    pipc_server_t *server = argc == 3 ? pipc_server_open_unix(argv[1], NULL) : NULL;
    if (server == NULL || puts("ready") < 0 || fflush(stdout) != 0)
        err(1, "bridge_nats PATH URL[,URL]...");
    signal(SIGCHLD, SIG_IGN); /* no zombies */
    for (;; pipc_close(program)) {
        program = pipc_server_accept(server, -1);
        pid_t pid = program != NULL ? fork() : -1;
        if (pid == 0)
            return pipc_server_close(server), serve(argv[2]);
        if (pid == -1)
            warn("a program is turned away");
    }
}
