/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "hosts.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"

static int far_namespace = -1;

bool hosts_do(const char *command)
{
    int status = system(command);
    return status != -1 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

void hosts_write_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
        harness_skip("this machine lets a test make no network of its own");
    close(fd);
}

static bool has_loopback(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(9)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool has_route = connect(fd, (struct sockaddr *)&address, sizeof address) == 0;
    close(fd);
    return has_route;
}

void hosts_set_loopback_up(void)
{
    struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
    if (has_loopback() || unshare(CLONE_NEWNET) != 0)
        return;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    ioctl(fd, SIOCSIFFLAGS, &request);
    close(fd);
}

void hosts_need_loopback(void)
{
    if (!has_loopback())
        harness_skip("the loopback interface is down, and a test may not set it up");
}

/* A namespace of users first, for who is not allowed to make one of networks. */
static void leave_the_network(void)
{
    char map[64];
    if (unshare(CLONE_NEWNET | CLONE_NEWNS) == 0)
        return;
    snprintf(map, sizeof map, "0 %u 1", (unsigned)geteuid());
    if (unshare(CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWNS) != 0)
        harness_skip("this machine lets a test make no network of its own");
    hosts_write_file("/proc/self/uid_map", map);
}

void hosts_make_alone(void)
{
    leave_the_network();
    if (!hosts_do("ip link set lo up && ip link add near type veth peer name far 2>/dev/null && "
                  "ip link set far up && ip link set near up && ip addr add " HOSTS_NEAR
                  "/24 dev near && ip addr add " HOSTS_NEAR6 "/64 dev near nodad"))
        harness_skip("this machine has no `ip` or no veth");
}

void hosts_name(const char *text)
{
    char path[] = "/tmp/pipc-test-hosts-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
    bool mounted = mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) == 0 &&
                   mount(path, "/etc/hosts", "none", MS_BIND, NULL) == 0;
    unlink(path);
    if (!mounted)
        harness_skip("this machine lets a test mount nothing");
}

struct cable {
    struct harness_gate made, plugged;
    int status;
};

static int hold_far_namespace(void *arg)
{
    struct cable *cable = arg;
    if (unshare(CLONE_NEWNET) != 0)
        return 1;
    harness_gate_open(&cable->made);
    harness_gate_wait(&cable->plugged);
    return hosts_do("ip addr add " HOSTS_FAR "/24 dev far && ip addr add 10.77.0.3/24 dev far && "
                    "ip addr add " HOSTS_FAR6
                    "/64 dev far nodad && ip link set lo up && ip link set far up")
               ? 0
               : 2;
}

/* The first packets over a new link may be lost, and come again a second later. */
static void await_far(void)
{
    struct sockaddr_in far = {.sin_family = AF_INET, .sin_port = htons(1)};
    assert_int_equal(inet_pton(AF_INET, HOSTS_FAR, &far.sin_addr), 1);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_errno(connect(fd, (const struct sockaddr *)&far, sizeof far), ECONNREFUSED);
    close(fd);
}

void hosts_make(void)
{
    struct cable cable;
    char command[400], path[64];
    leave_the_network();
    harness_gate_init(&cable.made);
    harness_gate_init(&cable.plugged);
    pid_t pid = harness_fork(hold_far_namespace, &cable);
    harness_gate_wait(&cable.made);
    snprintf(path, sizeof path, "/proc/%d/ns/net", (int)pid);
    far_namespace = open(path, O_RDONLY | O_CLOEXEC);
    snprintf(command, sizeof command,
             "ip link add near type veth peer name far netns %d 2>/dev/null && "
             "ip addr add " HOSTS_NEAR "/24 dev near && ip addr add " HOSTS_NEAR6
             "/64 dev near nodad && ip link set lo up && ip link set near up",
             (int)pid);
    bool made = far_namespace >= 0 && hosts_do(command);
    harness_gate_open(&cable.plugged);
    if (harness_wait(pid) != 0 || !made)
        harness_skip("this machine has no `ip` or no veth");
    harness_gate_close(&cable.made);
    harness_gate_close(&cable.plugged);
    await_far();
}

void hosts_forget(void)
{
    close(far_namespace);
}

void hosts_go_far(void)
{
    if (setns(far_namespace, CLONE_NEWNET) != 0)
        fail_msg("setns: %s", strerror(errno));
}

static int do_far(void *command)
{
    hosts_go_far();
    return hosts_do(command) ? 0 : 1;
}

void hosts_do_far(const char *command)
{
    assert_int_equal(harness_wait(harness_fork(do_far, (void *)(uintptr_t)command)), 0);
}
