/* SPDX-License-Identifier: MIT */
/*
 * What the files of wrappers share (fault_calls.c, fault_io.c). The declarations of the real
 * functions are weak: one that the C library lacks has no such symbol, and its wrapper is not used.
 */
#ifndef PIPC_TESTS_FAULT_WRAP_H
#define PIPC_TESTS_FAULT_WRAP_H

#include "fault.h"
#include "wrapped_symbols.h"

/* The C library may have another symbol for a function: fstat64, for large files. */
#define REAL(name)    __asm__("__real_" SYMBOL_##name)
#define WRAPPED(name) __asm__("__wrap_" SYMBOL_##name)

/*
 * Declares the real function and begins its wrapper. A wrapper with `...` passes on as many
 * arguments as there can be, and reads them where the caller gave none, as the C library does.
 */
#define WRAP(type, name, ...)                                                              \
    type __real_##name(__VA_ARGS__) REAL(name) __attribute__((weak));                      \
    type __wrap_##name(__VA_ARGS__) WRAPPED(name) __attribute__((no_sanitize("address"))); \
    type __wrap_##name(__VA_ARGS__)

/* Whether this call must fail. */
#define DENIED(name) fault_denied(CALL_##name)

#define WRAP_INT(name, parameters, arguments)                      \
    int __real_##name parameters REAL(name) __attribute__((weak)); \
    int __wrap_##name parameters WRAPPED(name);                    \
    int __wrap_##name parameters                                   \
    {                                                              \
        return DENIED(name) ? -1 : __real_##name arguments;        \
    }

#endif
