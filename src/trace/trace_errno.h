/* SPDX-License-Identifier: MIT */
#ifndef PIPC_TRACE_ERRNO_H
#define PIPC_TRACE_ERRNO_H

/* "EPIPE"; NULL: not one that the manual names. */
const char *trace_errno_name(int error);

#endif
