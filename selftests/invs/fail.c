// SPDX-License-Identifier: GPL-2.0-only
/* How the programs end that are no fuzzers */

#include <libgen.h>
#include <stdarg.h>
#include <unistd.h>

#include "invs_test.h"

void fail(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	fputs("failed: ", stderr);
	vfprintf(stderr, format, args);
	fputs("\n", stderr);
	va_end(args);
	/* Other threads may be running */
	_exit(1);
}

void invs_warn(const char *file, int line, const char *condition)
{
	fail("warning at %s:%d: %s", basename((char *)file), line, condition);
}
