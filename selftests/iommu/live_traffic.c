// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <arpa/inet.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <linux/ethtool.h>
#include <linux/if.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>

#include <netlink/netlink.h>
#include <netlink/msg.h>
#include <netlink/route/addr.h>
#include <netlink/route/link.h>

#include "../kselftest.h"
#include "live_traffic.h"
#include "pci_guard.h"
#include "seeded.h"

/* RFC 5737 TEST-NET-1: never routed */
#define LIVE_ADDRESS		"192.0.2.%u"
#define LIVE_PREFIX		24
#define LIVE_PORT		5001

/* Of an Ethernet frame, behind IP and UDP headers */
#define LIVE_DATAGRAM		1472

#define LIVE_WAIT_MS		10000

/* Few enough for the TLB of an emulated SMMU to hold all that is mapped */
#define LIVE_RING		64

static int fail(struct live_traffic *live, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(live->error, sizeof(live->error), fmt, args);
	va_end(args);
	return -1;
}

/* Sockets, rtnetlink too, belong to the namespace of the thread that makes them */
static int enter(struct live_traffic *live, int netns)
{
	if (setns(netns, CLONE_NEWNET))
		return fail(live, "setns: %s", strerror(errno));
	return 0;
}

/* Only interfaces of the namespace that sysfs belongs to are there */
static bool nic_look(struct live_nic *nic)
{
	struct dirent *entry = NULL;
	char path[PATH_MAX];
	DIR *dir;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/net", nic->bdf);
	dir = opendir(path);
	while (dir && (entry = readdir(dir)) && entry->d_name[0] == '.')
		;
	if (entry) {
		snprintf(nic->name, sizeof(nic->name), "%.15s", entry->d_name);
		nic->index = if_nametoindex(nic->name);
	}
	if (dir)
		closedir(dir);
	return nic->index;
}

static int nic_bind(struct live_traffic *live, struct live_nic *nic)
{
	unsigned int ms;
	char driver[64];
	int ret;

	/* A test that failed may have left the interface in its namespace */
	pci_driver(nic->bdf, driver, sizeof(driver));
	if (driver[0] && strcmp(driver, "vfio-pci") && nic_look(nic))
		return 0;
	ret = pci_bind(nic->bdf, NULL);
	if (ret) {
		live->skip = ret == -ENODEV;
		return fail(live, "no driver for the NIC %s: %s", nic->bdf, strerror(-ret));
	}
	for (ms = 0; ms < LIVE_WAIT_MS; ms += 10) {
		if (nic_look(nic))
			return 0;
		usleep(10000);
	}
	return fail(live, "%s has no network interface", nic->bdf);
}

/* One queue and a short ring, if the NIC can: order is kept, and few pages are mapped */
static void nic_shorten(struct live_nic *nic)
{
	struct ethtool_ringparam ring = { .cmd = ETHTOOL_GRINGPARAM };
	struct ethtool_channels channels = { .cmd = ETHTOOL_GCHANNELS };
	struct ifreq ifr = {};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	memcpy(ifr.ifr_name, nic->name, sizeof(nic->name));
	ifr.ifr_data = (void *)&channels;
	if (!ioctl(fd, SIOCETHTOOL, &ifr)) {
		channels.cmd = ETHTOOL_SCHANNELS;
		channels.combined_count = 1;
		ioctl(fd, SIOCETHTOOL, &ifr);
	}
	ifr.ifr_data = (void *)&ring;
	if (!ioctl(fd, SIOCETHTOOL, &ifr)) {
		ring.cmd = ETHTOOL_SRINGPARAM;
		ring.rx_pending = LIVE_RING;
		ring.tx_pending = LIVE_RING;
		ioctl(fd, SIOCETHTOOL, &ifr);
	}
	close(fd);
}

/* From the namespace of the calling thread to another one */
static int nic_move(struct live_traffic *live, struct live_nic *nic, int netns)
{
	struct rtnl_link *from = rtnl_link_alloc(), *to = rtnl_link_alloc();
	struct nl_sock *route = nl_socket_alloc();
	int ret = nl_connect(route, NETLINK_ROUTE);

	rtnl_link_set_ifindex(from, nic->index);
	rtnl_link_set_ns_fd(to, netns);
	if (!ret)
		ret = rtnl_link_change(route, from, to, 0);
	nl_socket_free(route);
	rtnl_link_put(from);
	rtnl_link_put(to);
	return ret ? fail(live, "move %s: %s", nic->name, nl_geterror(ret)) : 0;
}

/* A change of a link that leaves it without carrier, or down */
static int nic_heard(struct nl_msg *msg, void *arg)
{
	struct nlmsghdr *header = nlmsg_hdr(msg);
	struct ifinfomsg *info = nlmsg_data(header);
	struct live_nic *nic = arg;

	if ((header->nlmsg_type == RTM_NEWLINK || header->nlmsg_type == RTM_DELLINK) &&
	    info->ifi_index == nic->index &&
	    (header->nlmsg_type == RTM_DELLINK || !(info->ifi_flags & IFF_LOWER_UP)))
		nic->lost++;
	return NL_OK;
}

static int nic_up(struct live_traffic *live, struct live_nic *nic)
{
	struct rtnl_link *from, *to = rtnl_link_alloc(), *link;
	struct rtnl_addr *addr = rtnl_addr_alloc();
	struct nl_addr *local = NULL;
	char text[32];
	int ret;

	nic->route = nl_socket_alloc();
	ret = nl_connect(nic->route, NETLINK_ROUTE);
	if (ret || rtnl_link_get_kernel(nic->route, 0, nic->name, &from)) {
		ret = fail(live, "%s is not in its namespace", nic->name);
		goto put;
	}
	nic->index = rtnl_link_get_ifindex(from);
	rtnl_link_set_flags(to, IFF_UP);
	ret = rtnl_link_change(nic->route, from, to, 0);
	rtnl_link_put(from);

	snprintf(text, sizeof(text), LIVE_ADDRESS, (unsigned int)(nic - live->nic) + 1);
	if (!ret)
		ret = nl_addr_parse(text, AF_INET, &local);
	if (!ret) {
		nl_addr_set_prefixlen(local, LIVE_PREFIX);
		rtnl_addr_set_local(addr, local);
		rtnl_addr_set_ifindex(addr, nic->index);
		ret = rtnl_addr_add(nic->route, addr, 0);
		nl_addr_put(local);
	}
	if (ret)
		ret = fail(live, "%s: %s", nic->name, nl_geterror(ret));
put:
	rtnl_link_put(to);
	rtnl_addr_put(addr);
	return ret;
}

static int nic_wait_carrier(struct live_traffic *live, struct live_nic *nic)
{
	struct rtnl_link *link;
	unsigned int ms;
	bool up = false;

	for (ms = 0; ms < LIVE_WAIT_MS && !up; ms += 10) {
		if (rtnl_link_get_kernel(nic->route, nic->index, NULL, &link))
			break;
		up = rtnl_link_get_flags(link) & IFF_LOWER_UP;
		rtnl_link_put(link);
		if (!up)
			usleep(10000);
	}
	if (!up) {
		live->skip = true;
		return fail(live, "%s and %s are not linked (%s has no carrier)",
			    live->nic[0].bdf, live->nic[1].bdf, nic->bdf);
	}
	nl_socket_disable_seq_check(nic->route);
	nl_socket_modify_cb(nic->route, NL_CB_VALID, NL_CB_CUSTOM, nic_heard, nic);
	if (nl_socket_add_membership(nic->route, RTNLGRP_LINK) ||
	    nl_socket_set_nonblocking(nic->route))
		return fail(live, "%s: cannot listen to rtnetlink", nic->name);
	return 0;
}

static void flow_fail(struct live_flow *flow, const char *what, size_t at, size_t length)
{
	snprintf(flow->error, sizeof(flow->error), "%s, %s %lu (%zu bytes): %s at byte %zu",
		 flow->name, flow->stream ? "chunk" : "datagram", (unsigned long)flow->chunks,
		 length, what, at);
	flow->failed = true;
}

static void *flow_main(void *arg)
{
	static _Thread_local uint64_t sent[LIVE_CHUNK / 8], got[LIVE_CHUNK / 8];
	struct live_flow *flow = arg;
	struct seeded random = seeded_init(flow->seed, flow - flow->traffic->flow, 0);
	size_t length, i;
	ssize_t ret;

	while (!flow->traffic->stop) {
		length = flow->stream ? LIVE_CHUNK : 1 + seeded_below(&random, LIVE_DATAGRAM);
		for (i = 0; i <= (length - 1) / 8; i++)
			sent[i] = seeded_next(&random);
		ret = send(flow->tx, sent, length, MSG_NOSIGNAL);
		if (ret != (ssize_t)length) {
			flow_fail(flow, "not sent", ret < 0 ? 0 : ret, length);
			break;
		}
		memset(got, 0, length);
		ret = recv(flow->rx, got, length, MSG_WAITALL | MSG_TRUNC * !flow->stream);
		if (ret != (ssize_t)length) {
			flow_fail(flow, "nothing more for ten seconds", ret < 0 ? 0 : ret, length);
			break;
		}
		for (i = 0; i < length && ((char *)sent)[i] == ((char *)got)[i]; i++)
			;
		if (i < length) {
			flow_fail(flow, "not what was sent", i, length);
			break;
		}
		flow->chunks++;
	}
	return NULL;
}

/* A socket of a NIC; one that does nothing for too long fails */
static int flow_socket(struct live_traffic *live, unsigned int nr, int type, unsigned int port,
		       struct sockaddr_in *address)
{
	struct timeval limit = { .tv_sec = LIVE_WAIT_MS / 1000 };
	/* A whole chunk has to fit in */
	int size = 4 * LIVE_CHUNK;
	/* No connection that outlives its process and keeps the namespace */
	struct linger linger = { .l_onoff = 1 };
	char text[32];
	int fd;

	if (enter(live, live->nic[nr].netns))
		return -1;
	fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
	snprintf(text, sizeof(text), LIVE_ADDRESS, nr + 1);
	*address = (struct sockaddr_in){
		.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = inet_addr(text),
	};
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) ||
	    setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)) ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)) ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size)) ||
	    bind(fd, (struct sockaddr *)address, sizeof(*address))) {
		fail(live, "socket for %s: %s", live->nic[nr].name, strerror(errno));
		if (fd >= 0)
			close(fd);
		return -1;
	}
	return fd;
}

/* Flow @nr: odd ones are streams, from the third on they go the other way */
static int flow_start(struct live_traffic *live, unsigned int nr, uint64_t seed)
{
	static const char * const name[LIVE_FLOWS] = {
		"UDP there", "TCP there", "UDP back", "TCP back",
	};
	struct live_flow *flow = &live->flow[nr];
	struct sockaddr_in from, to;
	int listener;

	flow->traffic = live;
	flow->name = name[nr];
	flow->stream = nr % 2;
	flow->seed = seed;
	flow->tx = flow_socket(live, nr / 2, flow->stream ? SOCK_STREAM : SOCK_DGRAM,
			       LIVE_PORT + nr, &from);
	flow->rx = flow_socket(live, !(nr / 2), flow->stream ? SOCK_STREAM : SOCK_DGRAM,
			       LIVE_PORT + nr, &to);
	if (flow->tx < 0 || flow->rx < 0)
		return -1;
	if (flow->stream && listen(flow->rx, 1))
		return fail(live, "listen: %s", strerror(errno));
	if (connect(flow->tx, (struct sockaddr *)&to, sizeof(to)))
		return fail(live, "%s: %s does not reach %s: %s", flow->name, live->nic[nr / 2].bdf,
			    live->nic[!(nr / 2)].bdf,
			    errno == EINPROGRESS ? "no answer for ten seconds" : strerror(errno));
	if (flow->stream) {
		listener = flow->rx;
		flow->rx = accept(listener, NULL, NULL);
		close(listener);
		if (flow->rx < 0)
			return fail(live, "accept: %s", strerror(errno));
	}
	if (pthread_create(&flow->thread, NULL, flow_main, flow))
		return fail(live, "no thread");
	live->nr_running++;
	return 0;
}

static int nics_start(struct live_traffic *live)
{
	unsigned int i;

	for (i = 0; i < LIVE_NICS; i++) {
		struct live_nic *nic = &live->nic[i];

		if (nic_bind(live, nic))
			return -1;
		nic_shorten(nic);
		if (unshare(CLONE_NEWNET)) {
			live->skip = errno == EINVAL;
			return fail(live, "no new network namespace: %s", strerror(errno));
		}
		nic->netns = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
		if (enter(live, live->home) || nic_move(live, nic, nic->netns) ||
		    enter(live, nic->netns) || nic_up(live, nic) || enter(live, live->home))
			return -1;
	}
	return nic_wait_carrier(live, &live->nic[0]) ?: nic_wait_carrier(live, &live->nic[1]);
}

int live_nics_start(struct live_traffic *live, const char *const bdf[LIVE_NICS])
{
	unsigned int i;

	memset(live, 0, sizeof(*live));
	for (i = 0; i < LIVE_NICS; i++) {
		live->nic[i].bdf = bdf[i];
		live->nic[i].netns = -1;
	}
	live->kmsg = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	live->home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	if (live->kmsg < 0 || live->home < 0 || geteuid()) {
		live->skip = true;
		return fail(live, "needs root, /dev/kmsg and network namespaces");
	}
	live->linked = !nics_start(live);
	enter(live, live->home);
	return live->linked ? 0 : -1;
}

void live_nics_stop(struct live_traffic *live)
{
	unsigned int i;

	for (i = 0; i < LIVE_NICS; i++) {
		struct live_nic *nic = &live->nic[i];

		nl_socket_free(nic->route);
		if (nic->netns >= 0 && !enter(live, nic->netns))
			nic_move(live, nic, live->home);
		enter(live, live->home);
		close(nic->netns);
	}
	close(live->home);
	close(live->kmsg);
}

int live_flows_start(struct live_traffic *live, uint64_t seed)
{
	unsigned int i;
	int ret = 0;

	for (i = 0; i < LIVE_FLOWS; i++)
		live->flow[i] = (struct live_flow){ .tx = -1, .rx = -1 };
	/* Why not is in @live->error */
	if (!live->linked)
		return -1;
	lseek(live->kmsg, 0, SEEK_END);
	for (i = 0; i < LIVE_FLOWS && !ret; i++)
		ret = flow_start(live, i, seed);
	enter(live, live->home);
	return ret;
}

void live_flows_stop(struct live_traffic *live)
{
	unsigned int i;

	live->stop = true;
	for (i = 0; i < live->nr_running; i++)
		pthread_join(live->flow[i].thread, NULL);
	for (i = 0; i < LIVE_FLOWS; i++) {
		close(live->flow[i].tx);
		close(live->flow[i].rx);
	}
}

int live_traffic_check(struct live_traffic *live)
{
	unsigned int i, ms = 0;
	int ret;

	for (i = 0; i < LIVE_NICS; i++) {
		/* One message each time, until there is none */
		do
			ret = nl_recvmsgs_default(live->nic[i].route);
		while (!ret);
		if (ret != -NLE_AGAIN)
			return fail(live, "%s: what its link did is lost: %s", live->nic[i].name,
				    nl_geterror(ret));
		if (live->nic[i].lost)
			return fail(live, "%s has lost its link %u times", live->nic[i].bdf,
				    live->nic[i].lost);
	}
	for (i = 0; i < LIVE_FLOWS; i++) {
		struct live_flow *flow = &live->flow[i];
		unsigned long before = flow->chunks;

		/* The one on its way may have been sent before */
		while (flow->chunks < before + 2) {
			if (flow->failed)
				return fail(live, "%s", flow->error);
			if (ms++ > LIVE_WAIT_MS)
				return fail(live, "%s: stuck after %lu", flow->name,
					    (unsigned long)flow->chunks);
			usleep(1000);
		}
	}
	return 0;
}

unsigned int live_smmu_events(struct live_traffic *live, const char *asked,
			      unsigned int *nr_asked)
{
	char record[1024], client[32];
	unsigned int events = 0;
	ssize_t len;

	snprintf(client, sizeof(client), "client: %s ", asked ? asked : "");
	for (;;) {
		len = read(live->kmsg, record, sizeof(record) - 1);
		/* EPIPE: records were lost, go on with what there is */
		if (len < 0 && errno == EPIPE)
			continue;
		if (len <= 0)
			return events;
		record[len] = 0;
		record[strcspn(record, "\n")] = 0;
		if (!strstr(record, "arm-smmu-v3") || !strstr(record, " event: "))
			continue;
		if (asked && strstr(record, client)) {
			(*nr_asked)++;
			continue;
		}
		events++;
		fail(live, "%.200s", strchr(record, ';') ? strchr(record, ';') + 1 : record);
	}
}
