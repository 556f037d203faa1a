#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Load the KUnit tests of the SMMUv3 driver and pass their KTAP on. They need no
# SMMU, but a kernel with CONFIG_ARM_SMMU_V3_KUNIT_TEST=m and KUNIT_DEBUGFS=y.
# KUNIT_FIRST=1: end with the first module that has a failure.
# SEED: of the random sequences of arm-smmu-v3-fuzz-test. KUNIT_MODULES,
# FUZZ_STEPS: see smmuv3_kunit_fuzz.sh.

ksft_skip=4
modules=${KUNIT_MODULES:-arm-smmu-v3-test arm-smmu-v3-cmds-test arm-smmu-v3-cmdq-test arm-smmu-v3-fuzz-test}
results=/sys/kernel/debug/kunit
failslab=/sys/kernel/debug/failslab

skip()
{
	echo "1..0 # SKIP $1"
	exit $ksft_skip
}

[ "$(id -u)" -eq 0 ] || skip "must be root"
[ -d $results ] || skip "no $results (CONFIG_KUNIT_DEBUGFS, or debugfs not mounted)"

# Tests that let allocations fail, one after the other, skip without this: only
# what a test asks for fails, but also if the allocation could sleep.
if [ -d $failslab ]; then
	ignore=$(cat $failslab/ignore-gfp-wait)
	verbose=$(cat $failslab/verbose)
	echo N > $failslab/ignore-gfp-wait
	echo 0 > $failslab/verbose
fi

status=0
found=0
ran=0
for module in $modules; do
	# Older drivers have only the first one.
	modprobe -D "$module" > /dev/null 2>&1 || continue
	found=$((found + 1))
	modprobe -r "$module" 2> /dev/null
	before=$(ls $results)
	options=
	[ "$module" != arm-smmu-v3-fuzz-test ] ||
		options="${SEED:+seed=$SEED} ${FUZZ_STEPS:+steps=$FUZZ_STEPS}"
	# shellcheck disable=SC2086  # a list of options
	if ! modprobe "$module" $options; then
		printf 'KTAP version 1\n1..1\nnot ok 1 %s does not load\n' "$module"
		status=1
		continue
	fi
	for suite in "$results"/*; do
		! echo "$before" | grep -qx "${suite##*/}" || continue
		grep -qE '^ *(not )?ok ' "$suite/results" 2> /dev/null || continue
		ran=$((ran + 1))
		cat "$suite/results"
		! grep -q '^ *not ok' "$suite/results" || status=1
	done
	modprobe -r "$module"
	[ -z "${KUNIT_FIRST-}" ] || [ $status -eq 0 ] || break
done

if [ -d $failslab ]; then
	echo "$ignore" > $failslab/ignore-gfp-wait
	echo "$verbose" > $failslab/verbose
fi
[ $found -ne 0 ] || skip "there is no $modules (CONFIG_ARM_SMMU_V3_KUNIT_TEST=m)"
if [ $ran -eq 0 ] && [ $status -eq 0 ]; then
	echo "Bail out! $modules ran no suite (is KUnit enabled? kunit.enable=1)"
	status=1
fi
exit $status
