/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * banned.h: libc calls that do not compile here (meson includes this file before every other).
 *
 * Each is easy to use wrongly on bytes of a peer and has a safe neighbour: snprintf, sbuf, rd/wr,
 * parse_u64.
 */
#ifndef VIRTFS_COMMON_BANNED_H
#define VIRTFS_COMMON_BANNED_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define VIRTFS_BANNED(name) virtfs_##name##_is_banned_see_common_banned_h

#undef strcpy
#define strcpy(a, b) VIRTFS_BANNED(strcpy)
#undef strcat
#define strcat(a, b) VIRTFS_BANNED(strcat)
#undef strncpy
#define strncpy(a, b, n) VIRTFS_BANNED(strncpy)
#undef strncat
#define strncat(a, b, n) VIRTFS_BANNED(strncat)
#undef sprintf
#define sprintf(...) VIRTFS_BANNED(sprintf)
#undef vsprintf
#define vsprintf(...) VIRTFS_BANNED(vsprintf)
#undef strtok
#define strtok(a, b) VIRTFS_BANNED(strtok)
#undef atoi
#define atoi(a) VIRTFS_BANNED(atoi)
#undef atol
#define atol(a) VIRTFS_BANNED(atol)
#undef alloca
#define alloca(n) VIRTFS_BANNED(alloca)
#undef ctime
#define ctime(a) VIRTFS_BANNED(ctime)
#undef localtime
#define localtime(a) VIRTFS_BANNED(localtime)
#undef gmtime
#define gmtime(a) VIRTFS_BANNED(gmtime)

#endif
