#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Load the KUnit tests of the SMMUv3 driver and pass their KTAP on. They need no
# SMMU, but a kernel with CONFIG_ARM_SMMU_V3_KUNIT_TEST=m and KUNIT_DEBUGFS=y.

ksft_skip=4
module=arm-smmu-v3-test
results=/sys/kernel/debug/kunit

skip()
{
	echo "1..0 # SKIP $1"
	exit $ksft_skip
}

[ "$(id -u)" -eq 0 ] || skip "must be root"
[ -d $results ] || skip "no $results (CONFIG_KUNIT_DEBUGFS, or debugfs not mounted)"
modprobe -r $module 2> /dev/null
before=$(ls $results)
modprobe $module || skip "cannot load $module (CONFIG_ARM_SMMU_V3_KUNIT_TEST=m)"

status=0
ran=0
for suite in "$results"/*; do
	! echo "$before" | grep -qx "${suite##*/}" || continue
	grep -qE '^ *(not )?ok ' "$suite/results" 2> /dev/null || continue
	ran=$((ran + 1))
	cat "$suite/results"
	! grep -q '^ *not ok' "$suite/results" || status=1
done
modprobe -r $module
if [ $ran -eq 0 ]; then
	echo "Bail out! $module ran no suite (is KUnit enabled? kunit.enable=1)"
	status=1
fi
exit $status
