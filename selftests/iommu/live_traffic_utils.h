/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Live traffic in tests of the kselftest harness, which is to be included before.
 */
#ifndef __SELFTEST_LIVE_TRAFFIC_UTILS
#define __SELFTEST_LIVE_TRAFFIC_UTILS

#include "live_traffic.h"
#include "seeded.h"

/**
 * live_traffic_init() - live_flows_start() in the set-up of a fixture
 * @_metadata: the running test
 * @live: after live_nics_start()
 *
 * Skips if something is missing, ends the test if something fails. $SEED changes the
 * data.
 */
static void live_traffic_init(struct __test_metadata *_metadata, struct live_traffic *live)
{
	__u64 seed = seeded_setting("SEED", 1);
	int ret;

	ksft_print_msg("SEED=%llu\n", (unsigned long long)seed);
	ret = live_flows_start(live, seed);
	if (ret && live->skip)
		SKIP(return, "%s", live->error);
	ASSERT_EQ(0, ret)
	{
		TH_LOG("%s", live->error);
	}
}

/**
 * EXPECT_LIVE_TRAFFIC() - All flows bring what was sent, the links are up, no SMMU complains
 * @_live: the traffic
 * @...: format and arguments: what has happened before
 */
#define EXPECT_LIVE_TRAFFIC(_live, ...)                                         \
	do {                                                                    \
		struct live_traffic *__live = (_live);                          \
		char __when[128];                                               \
										\
		snprintf(__when, sizeof(__when), __VA_ARGS__);                  \
		ASSERT_EQ(0, live_traffic_check(__live))                        \
		{                                                               \
			TH_LOG("%s: %s", __when, __live->error);                \
		}                                                               \
		EXPECT_EQ(0, live_smmu_events(__live, NULL, NULL))              \
		{                                                               \
			TH_LOG("%s: %s", __when, __live->error);                \
		}                                                               \
	} while (0)

#endif
