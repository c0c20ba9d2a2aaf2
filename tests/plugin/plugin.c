/* SPDX-License-Identifier: MIT */
/* Built twice: plugin_static contains libpipc.a, plugin_shared is linked with libpipc.so. */
#include "plugin.h"

extern const struct plugin plugin;
__attribute__((visibility("default"))) const struct plugin plugin = {
    pipc_open,    pipc_open_pair, pipc_close,      pipc_write, pipc_read,
    pipc_pending, pipc_shutdown,  pipc_disconnect, pipc_fd,    pipc_set_timeout,
};
