#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Only the random sequences of smmuv3_kunit.sh, the module arm-smmu-v3-fuzz-test:
# with seed SEED, and ROUNDS calls (default 20000). A sequence that fails is made
# smaller and printed as calls.

export KUNIT_MODULES=arm-smmu-v3-fuzz-test
export FUZZ_STEPS="${ROUNDS-}"
exec sh "$(dirname "$0")/smmuv3_kunit.sh"
