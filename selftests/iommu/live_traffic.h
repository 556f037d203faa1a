/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Two NICs that are linked, each in a network namespace of its own so that the
 * kernel cannot take a short cut, and traffic both ways while a test does
 * something else to their SMMUs.
 */
#ifndef __SELFTEST_LIVE_TRAFFIC_H
#define __SELFTEST_LIVE_TRAFFIC_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LIVE_NICS	2
#define LIVE_FLOWS	4
/* Of a stream: enough for many packets at once, little enough to come soon */
#define LIVE_CHUNK	(16 << 10)

struct nl_sock;

/**
 * struct live_nic - One end of the link
 * @bdf: the device
 * @name: of its network interface
 * @index: of its network interface
 * @netns: its network namespace
 * @route: rtnetlink there, hears of every change of the link
 * @lost: how often the link was lost
 */
struct live_nic {
	const char *bdf;
	char name[16];
	int index;
	int netns;
	struct nl_sock *route;
	unsigned int lost;
};

/**
 * struct live_flow - Traffic in one direction
 * @traffic: the whole
 * @name: for messages
 * @tx: socket that sends
 * @rx: socket that receives
 * @stream: TCP in large chunks, or else UDP in packets of all sizes
 * @seed: of lengths and contents
 * @thread: its thread
 * @chunks: that have arrived
 * @failed: it has ended because of @error
 * @error: in words
 */
struct live_flow {
	struct live_traffic *traffic;
	const char *name;
	int tx;
	int rx;
	bool stream;
	uint64_t seed;
	pthread_t thread;
	atomic_ulong chunks;
	atomic_bool failed;
	char error[160];
};

/**
 * struct live_traffic - NICs, flows and the events of SMMUs
 * @home: network namespace that the NICs come from
 * @nic: the NICs
 * @flow: the flows
 * @nr_running: flows with a thread
 * @stop: ends the flows
 * @kmsg: the kernel's log
 * @linked: the NICs are there and have a link
 * @skip: live_nics_start() failed since something is missing
 * @error: why a function failed, in words
 */
struct live_traffic {
	int home;
	struct live_nic nic[LIVE_NICS];
	struct live_flow flow[LIVE_FLOWS];
	unsigned int nr_running;
	atomic_bool stop;
	int kmsg;
	bool linked;
	bool skip;
	char error[256];
};

/**
 * live_nics_start() - Link two NICs
 * @live: to be filled; live_nics_stop() has to follow, whatever this returns
 * @bdf: the NICs; they are bound to their own driver if they are not
 *
 * A link takes seconds to come up. Processes that are forked later can all use it, one
 * after the other.
 *
 * Return: 0 or -1, see @live->skip and @live->error.
 */
int live_nics_start(struct live_traffic *live, const char *const bdf[LIVE_NICS]);

/**
 * live_nics_stop() - Take the NICs out of their namespaces
 * @live: after live_nics_start()
 */
void live_nics_stop(struct live_traffic *live);

/**
 * live_flows_start() - Let data flow
 * @live: after live_nics_start(); live_flows_stop() has to follow, whatever this returns
 * @seed: of all data
 *
 * Return: 0 or -1, see @live->skip and @live->error, which may be those of
 * live_nics_start().
 */
int live_flows_start(struct live_traffic *live, uint64_t seed);

/**
 * live_flows_stop() - End the flows
 * @live: after live_flows_start()
 */
void live_flows_stop(struct live_traffic *live);

/**
 * live_traffic_check() - See whether all is well
 * @live: the traffic
 *
 * Waits until every flow has brought something new.
 *
 * Return: 0, or -1 and @live->error: data that came late, not at all or not as
 * it was sent, or a link that was lost.
 */
int live_traffic_check(struct live_traffic *live);

/**
 * live_smmu_events() - Events that SMMUs have reported since the last call
 * @live: the traffic
 * @asked: a device that is to fault, or NULL
 * @nr_asked: its events are counted here, not in the return value
 *
 * Reads the kernel's log, in which there are no more than ten of a kind in a row.
 *
 * Return: how many; the last one is in @live->error.
 */
unsigned int live_smmu_events(struct live_traffic *live, const char *asked,
			      unsigned int *nr_asked);

#endif
