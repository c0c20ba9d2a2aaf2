#!/bin/sh
# SPDX-License-Identifier: MIT
#
# After an RPM package came or went: the loader learns of the library.
exec /sbin/ldconfig
