/* SPDX-License-Identifier: MIT */
/* [readme] */
#include <errno.h>
#include <pipc.h>
#include <stdio.h>
#include <unistd.h>

int main(void)
{
    char text[64];
    ssize_t size;
    pipc_t *pipe = pipc_open(NULL);
    if (pipe == NULL || pipc_set_timeout(pipe, 5000, -1) == -1)
        return 1;
    pid_t child = fork();
    if (child == -1)
        return 1;
    if (child == 0) {
        if (pipc_write(pipe, "hello", 5) == -1 || pipc_disconnect(pipe, "bye now") == -1)
            return 1;
    } else {
        while ((size = pipc_read(pipe, text, sizeof text)) >= 0)
            printf("%d bytes: %.*s\n", (int)size, (int)size, text);
        if (errno != ESHUTDOWN)
            return 1;
        printf("the child left: %s\n", pipc_bye_text(pipe));
    }
    pipc_close(pipe);
    return 0;
}
/* [/readme] */
