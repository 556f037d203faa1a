// SPDX-License-Identifier: GPL-2.0-only
/* libFuzzer: bytes are steps. "invs shrink" shows a case that it has found. */

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "invs_test.h"
#include "steps.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

void fail(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	abort();
}

void invs_warn(const char *file, int line, const char *condition)
{
	fail("warning at %s:%d: %s", file, line, condition);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct step steps[MAX_STEPS];
	size_t num = size / sizeof(*steps);

	if (num > MAX_STEPS)
		num = MAX_STEPS;
	memcpy(steps, data, num * sizeof(*steps));
	steps_run(steps, num);
	return 0;
}
