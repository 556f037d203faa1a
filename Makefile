# SPDX-License-Identifier: GPL-2.0-only
# Thin: each verb is one script in scripts/, which says what it does and takes
# its settings from the environment (make VERB SETTING=value exports them).
export DRIVER TEST CONFIG TRACE TIMEOUT JOBS KSRC KMEMLEAK BUG

.PHONY: help kselftest check repro shell tree export report list clean
help:
	@scripts/help

kselftest:
	@scripts/kselftest

check:
	@scripts/check

shell tree export report repro:
	@scripts/$@

list:
	@TEST=list scripts/kselftest

clean:
	@rm -rf build
