# SPDX-License-Identifier: GPL-2.0-only
# Thin: each verb is one script in scripts/, which says what it does and takes
# its settings from the environment (make VERB SETTING=value exports them).
export DRIVER COMPILER TEST CONFIG IOMMU CPUS SEED ROUNDS TRACE TIMEOUT JOBS KSRC KMEMLEAK FIRST BUG MUTANT SHARD SOB

.PHONY: help kselftest kselftest-tar check check-full repro shell tree export report series drift counts bench prove coverage mutants list clean
help:
	@scripts/help

kselftest:
	@scripts/kselftest

check:
	@scripts/check

check-full:
	@scripts/check full

kselftest-tar shell tree export report repro series drift counts bench prove coverage mutants:
	@scripts/$@

list:
	@TEST=list scripts/kselftest

clean:
	@rm -rf build
