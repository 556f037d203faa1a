/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _LINUX_SORT_H
#define _LINUX_SORT_H

#define cmp_int(l, r)	(((l) > (r)) - ((l) < (r)))

#endif
