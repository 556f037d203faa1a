// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a VMM can ask of a vSMMU, wrong in every way a seeded generator thinks of. A
 * model, made from iommufd.h and the architecture and not from the driver, says
 * which calls have to work and which errno the others have to give. A call has one
 * thing wrong at most, so that the order of the kernel's checks does not matter.
 *
 * After each 64 calls the bystanders, a device of another vSMMU on the same SMMU and
 * one of another SMMU, still reach their memory.
 *
 * SEED=n makes the same calls again, ROUNDS=n sets how many.
 */
#include "iommufd_vsmmu_utils.h"
#include "seeded.h"

#define PAGE_A		6
#define CALLS_A_ROUND	64
#define MAX_CMDS	130
#define NOT_AN_ID	0x7fffff00

/* IHI0070 6.3: what the SMMU has, as far as a command depends on it */
#define IDR0_ATS	BIT_ULL(10)
#define IDR0_ASID16	BIT_ULL(12)
#define IDR1_SSIDSIZE	(0x1fULL << 6)
#define IDR3_RIL	BIT_ULL(10)
#define IDR5_DS		BIT_ULL(7)

#define BITS(high, low)	((~0ULL >> (63 - (high))) & ~0ULL << (low))

enum seats {
	SEAT_FUZZED,
	SEAT_BYSTANDER,
	SEAT_FREE,
	SEAT_ELSEWHERE,
	NR_SEATS,
};

/**
 * struct fuzz - A VM, and the call that is made just now
 * @vm: the VM
 * @fd: its iommufd
 * @info: its first SMMU
 * @plain_hwpt: an HWPT that is no parent
 * @other_fd: an iommufd that has no objects
 * @closed_fd: a number that is no file
 * @s: random numbers of the call
 * @what: what is wrong with it, NULL: nothing
 * @want: errno that it has to give, 0: none
 * @want_done: commands that have to count as done
 * @not_understood: the kernel does not get as far as to answer in the struct
 * @nr_ok: calls that had to work
 */
struct fuzz {
	struct vm vm;
	int fd;
	struct iommu_hw_info_arm_smmuv3 info;
	u32 plain_hwpt;
	int other_fd;
	int closed_fd;
	struct seeded s;
	const char *what;
	int want;
	u32 want_done;
	bool not_understood;
	unsigned long nr_ok;
};

FIXTURE(fuzz)
{
	struct fuzz fuzz;
};

/* A word with one to three random bits turned */
static u64 turn_bits(struct seeded *s, u64 word)
{
	int n = 1 + seeded_below(s, 3);

	while (n--)
		word ^= 1ULL << seeded_below(s, 64);
	return word;
}

/* IHI0070 4.4.1: the fields of a range */
static bool range_is_valid(const struct iommu_hw_info_arm_smmuv3 *info, u64 dw0, u64 dw1)
{
	u64 num = dw0 & BITS(16, 12), scale = dw0 & BITS(25, 20);
	unsigned int ttl = (dw1 >> 8) & 3, tg = (dw1 >> 10) & 3;
	bool ds = info->idr[5] & IDR5_DS;

	if (!(info->idr[3] & IDR3_RIL))
		return !num && !scale && !ttl && !tg;
	if (!ds && (scale & BIT_ULL(25)))
		return false;
	if (!tg)
		return !num && !scale && !ttl;
	if (tg == CMD_TG_16K && ttl == 1 && !ds)
		return false;
	return num || scale || ttl;
}

/* Is it a command that iommufd.h lists, without a field that has no meaning? */
static bool command_is_valid(struct fuzz *self, u64 dw0, u64 dw1)
{
	const struct iommu_hw_info_arm_smmuv3 *info = &self->info;
	u64 asid = info->idr[0] & IDR0_ASID16 ? BITS(63, 48) : BITS(55, 48);
	bool ssids = info->idr[1] & IDR1_SSIDSIZE;
	u64 allowed0 = 0xff, allowed1 = 0;
	u32 vsid = dw0 >> 32;

	switch (dw0 & 0xff) {
	case CMD_TLBI_NSNH_ALL:
		break;
	case CMD_TLBI_NH_ALL:
		allowed0 |= BITS(47, 32);
		break;
	case CMD_TLBI_NH_ASID:
		allowed0 |= BITS(47, 32) | asid;
		break;
	case CMD_TLBI_NH_VA:
	case CMD_TLBI_NH_VAA:
		if (!range_is_valid(info, dw0, dw1))
			return false;
		allowed0 |= BITS(47, 32) | BITS(16, 12) | BITS(25, 20);
		if ((dw0 & 0xff) == CMD_TLBI_NH_VA)
			allowed0 |= asid;
		allowed1 = BITS(63, 12) | BITS(11, 8) | BIT_ULL(0);
		break;
	case CMD_ATC_INV:
		if (!(info->idr[0] & IDR0_ATS) || (dw1 & 0x3f) > 52)
			return false;
		allowed0 |= BITS(63, 32) | (ssids ? BITS(31, 12) | BITS(11, 11) | BITS(9, 9) : 0);
		allowed1 = BITS(63, 12) | 0x3f;
		break;
	case CMD_CFGI_CD:
		allowed1 = BIT_ULL(0);
		allowed0 |= ssids ? BITS(31, 12) : 0;
		fallthrough;
	case CMD_CFGI_CD_ALL:
		allowed0 |= BITS(63, 32);
		break;
	default:
		return false;
	}
	if ((dw0 & ~allowed0) || (dw1 & ~allowed1))
		return false;
	switch (dw0 & 0xff) {
	case CMD_ATC_INV:
	case CMD_CFGI_CD:
	case CMD_CFGI_CD_ALL:
		return vsid == self->vm.seat[SEAT_FUZZED].vsid;
	default:
		return true;
	}
}

static struct smmuv3_cmd some_command(struct fuzz *self, bool wild)
{
	static const u8 ops[] = {
		CMD_TLBI_NH_ALL, CMD_TLBI_NH_ASID, CMD_TLBI_NH_VA, CMD_TLBI_NH_VAA,
		CMD_TLBI_NSNH_ALL, CMD_CFGI_CD, CMD_CFGI_CD_ALL,
	};
	static const u8 bad_ops[] = {
		CMD_ATC_INV, CMD_PREFETCH_CONFIG, CMD_CFGI_STE, CMD_CFGI_ALL, CMD_TLBI_EL2_ALL,
		CMD_TLBI_S12_VMALL, CMD_TLBI_S2_IPA, CMD_PRI_RESP, CMD_RESUME, CMD_SYNC,
		CMD_TLBI_SNH_ALL,
	};
	struct seeded *s = &self->s;
	u64 iova = vm_iova(seeded_below(s, VM_TOTAL_PAGES)), dw0, dw1 = 0;
	u32 vsid = self->vm.seat[SEAT_FUZZED].vsid;

	dw0 = ops[seeded_below(s, ARRAY_SIZE(ops))];
	switch (dw0) {
	case CMD_TLBI_NH_VA:
		dw0 |= CMD_0_ASID(VM_ASID);
		fallthrough;
	case CMD_TLBI_NH_VAA:
		dw1 = iova | seeded_below(s, 2);
		if ((self->info.idr[3] & IDR3_RIL) && seeded_chance(s, 40)) {
			dw0 |= CMD_0_NUM(1 + seeded_below(s, 31));
			dw0 |= CMD_0_SCALE(seeded_below(s, 32));
			dw1 |= CMD_1_TG(1 + seeded_below(s, 3)) | CMD_1_TTL(2 + seeded_below(s, 2));
		}
		break;
	case CMD_TLBI_NH_ASID:
		dw0 |= CMD_0_ASID(seeded_below(s, 64));
		break;
	case CMD_CFGI_CD:
	case CMD_CFGI_CD_ALL:
		dw0 |= CMD_0_SID(vsid);
		break;
	}
	if (wild) {
		switch (seeded_below(s, 5)) {
		case 0:
			dw0 = turn_bits(s, dw0);
			break;
		case 1:
			dw1 = turn_bits(s, dw1);
			break;
		case 2:
			dw0 = (dw0 & ~0xffULL) | bad_ops[seeded_below(s, ARRAY_SIZE(bad_ops))];
			break;
		case 3:	/* Another guest's stream, a real one, any */
			dw0 = CMD_CFGI_CD_ALL | CMD_0_SID(seeded_chance(s, 50) ?
				self->vm.seat[SEAT_BYSTANDER].vsid : seeded_below(s, 1 << 16));
			break;
		default:
			dw0 = seeded_next(s);
			dw1 = seeded_next(s);
		}
	}
	/* Large ASIDs are how a leak looks in the trace of the host's own */
	if ((dw0 & 0xff) == CMD_TLBI_NH_ASID)
		dw0 &= ~BITS(63, 54);
	return smmuv3_cmd(dw0, dw1);
}

/* An object that is there, but of another type than is asked for, or none at all */
static u32 wrong_object(struct fuzz *self, const u32 *ids, const int *errnos, int nr)
{
	int i = seeded_below(&self->s, nr + 1);

	self->want = i == nr ? ENOENT : errnos[i];
	self->what = i == nr ? "an id that nothing has" : "an object of another type";
	return i == nr ? NOT_AN_ID + seeded_below(&self->s, 256) : ids[i];
}

/* A call and its struct, of which the kernel may be told another size */
static int call(struct fuzz *self, unsigned long request, void *cmd, size_t size)
{
	struct seeded *s = &self->s;
	u8 buffer[1024] = {};
	int fd = self->fd, ret;
	u32 given = size;

	memcpy(buffer, cmd, size);
	if (!self->what) {
		switch (seeded_below(s, 40)) {
		case 0:
			self->what = "a struct that is too short";
			given = seeded_below(s, 8);
			self->want = EINVAL;
			self->not_understood = true;
			break;
		case 1:
			self->what = "a longer struct, zeros behind what is known";
			given = size + 1 + seeded_below(s, 512);
			break;
		case 2:
			self->what = "a longer struct, not only zeros behind what is known";
			given = size + 8;
			buffer[size + seeded_below(s, 8)] = 1;
			self->want = E2BIG;
			self->not_understood = true;
			break;
		case 3:
			self->what = "a closed file";
			fd = self->closed_fd;
			self->want = EBADF;
			self->not_understood = true;
			break;
		case 4:
			self->what = "an iommufd that has no objects";
			fd = self->other_fd;
			self->want = ENOENT;
			break;
		case 5:
			self->what = "a request that does not exist";
			request += 0x40;
			self->want = ENOTTY;
			self->not_understood = true;
			break;
		}
	}
	memcpy(buffer, &given, sizeof(given));
	errno = 0;
	ret = ioctl(fd, request, buffer);
	memcpy(cmd, buffer, size);
	return ret;
}

static void check_errno(struct __test_metadata *_metadata, struct fuzz *self, u64 nr,
			const char *name, int ret, u64 detail0, u64 detail1)
{
	int got = ret ? errno : 0;

	self->nr_ok += !got;
	ASSERT_EQ(self->want, got)
	{
		TH_LOG("call %llu, %s, %s: want %s, got %s (%#llx %#llx)", (unsigned long long)nr,
		       name, self->what ?: "nothing wrong", strerror(self->want), strerror(got),
		       (unsigned long long)detail0, (unsigned long long)detail1);
	}
}

static void fuzz_invalidate(struct __test_metadata *_metadata, struct fuzz *self, u64 nr)
{
	u32 ids[] = { self->vm.ioas_id, self->vm.parent_id, self->vm.seat[0].dev_id,
		      self->vm.seat[0].hwpt_id };
	static const int errnos[] = { EINVAL, EINVAL, EINVAL, EOPNOTSUPP };
	struct iommu_hwpt_invalidate cmd = {
		.hwpt_id = self->vm.vsmmu[0].id,
		.data_type = IOMMU_VIOMMU_INVALIDATE_DATA_ARM_SMMUV3,
	};
	/* Room for entries that are longer than a command */
	static u8 array[MAX_CMDS * 64];
	u32 i, n, len = sizeof(struct smmuv3_cmd);
	struct seeded *s = &self->s;
	u64 bad0 = 0, bad1 = 0;
	int ret;

	n = 1 + seeded_below(s, seeded_chance(s, 10) ? MAX_CMDS : 6);
	if (seeded_chance(s, 10))
		len += 8 * (1 + seeded_below(s, 6));
	memset(array, 0, sizeof(array));
	self->want_done = n;
	for (i = 0; i < n; i++) {
		struct smmuv3_cmd one = some_command(self, seeded_chance(s, 15));
		u64 dw0 = le64toh(one.inv.cmd[0]), dw1 = le64toh(one.inv.cmd[1]);

		memcpy(array + i * len, &one, sizeof(one));
		if (!self->want && !command_is_valid(self, dw0, dw1)) {
			self->what = "a command that is not valid";
			self->want = EIO;
			self->want_done = i;
			bad0 = dw0;
			bad1 = dw1;
		}
	}
	cmd.data_uptr = (uintptr_t)array;
	cmd.entry_len = len;
	cmd.entry_num = n;
	if (!self->want) {
		switch (seeded_below(s, 16)) {
		case 0:
			cmd.hwpt_id = wrong_object(self, ids, errnos, ARRAY_SIZE(ids));
			break;
		case 1:
			self->what = "another type of data";
			cmd.data_type = seeded_chance(s, 50) ? 0 : 2 + seeded_below(s, 1000);
			self->want = EINVAL;
			break;
		case 2:
			/* iommufd.h allows it, the driver never has */
			self->what = "an empty array";
			cmd.entry_num = 0;
			self->want = EINVAL;
			break;
		case 3:
			self->what = "no array";
			cmd.data_uptr = 0;
			self->want = EINVAL;
			break;
		case 4:
			self->what = "an array that is not mapped";
			cmd.data_uptr = 0xdead0000 + seeded_below(s, 1 << 12);
			self->want = EFAULT;
			break;
		case 5:
			self->what = "entries of no or of more than a page's length";
			cmd.entry_len = seeded_chance(s, 50) ? 0 :
					4097 + seeded_below(s, 1ULL << 31);
			self->want = EINVAL;
			break;
		case 6:
			self->what = "more entries than any array may have";
			cmd.entry_num = (1U << 19) + 1 + seeded_below(s, 1ULL << 31);
			self->want = EINVAL;
			break;
		case 7:
			self->what = "a reserved field";
			cmd.__reserved = 1 + seeded_below(s, ~0U);
			self->want = EOPNOTSUPP;
			break;
		case 8:
			if (len == sizeof(struct smmuv3_cmd))
				break;
			self->what = "longer entries, not only zeros behind the command";
			array[seeded_below(s, n) * len + sizeof(struct smmuv3_cmd)] = 1;
			self->want = E2BIG;
			break;
		case 9:
			self->what = "as many entries as an array may have, not mapped";
			cmd.data_uptr = 0xdead0000;
			cmd.entry_num = 1U << 19;
			self->want = EFAULT;
			break;
		}
		if (self->want)
			self->want_done = 0;
	}
	ret = call(self, IOMMU_HWPT_INVALIDATE, &cmd, sizeof(cmd));
	if (self->not_understood)
		self->want_done = n;
	else if (self->want == ENOENT)
		self->want_done = 0;
	check_errno(_metadata, self, nr, "IOMMU_HWPT_INVALIDATE", ret, bad0, bad1);
	ASSERT_EQ(self->want_done, cmd.entry_num)
	{
		TH_LOG("call %llu, %s: commands that count as done", (unsigned long long)nr,
		       self->what ?: "nothing wrong");
	}
}

/* IHI0070 5.2, and what iommufd.h lets a VMM say of it */
static bool vste_is_valid(u64 dw0, u64 dw1)
{
	unsigned int cfg = (dw0 >> 1) & 7, eats = (dw1 >> 28) & 3;

	if (!(dw0 & VSTE_0_V))
		return true;
	if (dw0 & ~(BITS(5, 0) | VSTE_0_CTXPTR_MASK | BITS(63, 59)) ||
	    dw1 & ~(BITS(7, 0) | BIT_ULL(27) | BITS(29, 28)))
		return false;
	return (cfg == VSTE_CFG_ABORT || cfg == VSTE_CFG_BYPASS || cfg == VSTE_CFG_S1) && eats < 2;
}

static void fuzz_vste(struct __test_metadata *_metadata, struct fuzz *self, u64 nr)
{
	static const unsigned int cfgs[] = { VSTE_CFG_ABORT, VSTE_CFG_BYPASS, VSTE_CFG_S1 };
	u32 ids[] = { self->vm.seat[0].dev_id, self->vm.seat[0].vdev_id };
	static const int errnos[] = { EINVAL, EINVAL };
	struct seeded *s = &self->s;
	struct seat *seat = &self->vm.seat[SEAT_FUZZED];
	struct iommu_hwpt_alloc cmd = {
		.dev_id = seat->dev_id,
		.pt_id = self->vm.vsmmu[0].id,
		.data_type = IOMMU_HWPT_DATA_ARM_SMMUV3,
	};
	u64 words[4] = {};
	bool attach;
	int ret;

	words[0] = VSTE_0_V | VSTE_0_CFG(cfgs[seeded_below(s, 3)]);
	if (seeded_chance(s, 60))
		words[0] |= guest_to_ipa(&self->vm.ram, self->vm.vsmmu[0].cd);
	if (seeded_chance(s, 50))
		words[seeded_below(s, 2)] = turn_bits(s, words[0]);
	if (seeded_chance(s, 10))
		words[0] = seeded_next(s);
	if (seeded_chance(s, 10))
		words[1] = seeded_next(s);
	if (!vste_is_valid(words[0], words[1])) {
		self->what = "a vSTE that is not valid";
		self->want = EIO;
	}
	attach = seeded_chance(s, 30);
	words[0] = htole64(words[0]);
	words[1] = htole64(words[1]);
	cmd.data_uptr = (uintptr_t)words;
	cmd.data_len = 16;
	if (!self->want) {
		switch (seeded_below(s, 16)) {
		case 0:
			cmd.pt_id = wrong_object(self, ids, errnos, ARRAY_SIZE(ids));
			self->want = EINVAL;
			break;
		case 1:
			self->what = "a device behind another SMMU";
			cmd.dev_id = self->vm.seat[SEAT_ELSEWHERE].dev_id;
			self->want = EINVAL;
			break;
		case 2:
			self->what = "a device that is none";
			cmd.dev_id = seeded_chance(s, 50) ? self->vm.ioas_id : NOT_AN_ID;
			self->want = ENOENT;
			break;
		case 3:
			self->what = "half a vSTE";
			cmd.data_len = 1 + seeded_below(s, 15);
			self->want = EINVAL;
			break;
		case 4:
			self->what = "a vSTE that is too long";
			cmd.data_len = 17 + seeded_below(s, 16);
			self->want = EINVAL;
			break;
		case 5:
			self->what = "another type of data";
			cmd.data_type = IOMMU_HWPT_DATA_VTD_S1 + 4 * seeded_below(s, 1000);
			self->want = EINVAL;
			break;
		case 6:
			self->what = "a flag that a nested domain has not";
			cmd.flags = seeded_chance(s, 50) ? IOMMU_HWPT_ALLOC_NEST_PARENT :
							   1U << (4 + seeded_below(s, 28));
			self->want = EOPNOTSUPP;
			break;
		case 7:
			self->what = "a vSTE that is not mapped";
			cmd.data_uptr = 0xdead0000;
			self->want = EFAULT;
			break;
		}
	}
	ret = call(self, IOMMU_HWPT_ALLOC, &cmd, sizeof(cmd));
	check_errno(_metadata, self, nr, "IOMMU_HWPT_ALLOC", ret, words[0], words[1]);
	if (ret)
		return;
	/* Whatever the guest says: it can be attached, and left again */
	if (attach) {
		test_cmd_vfio_attach(seat->dev, cmd.out_hwpt_id);
		test_cmd_vfio_attach(seat->dev, seat->hwpt_id);
	}
	test_ioctl_destroy(cmd.out_hwpt_id);
}

static void fuzz_vdevice(struct __test_metadata *_metadata, struct fuzz *self, u64 nr)
{
	u32 ids[] = { self->vm.ioas_id, self->vm.parent_id, self->vm.seat[0].hwpt_id };
	static const int errnos[] = { ENOENT, ENOENT, ENOENT };
	struct seeded *s = &self->s;
	struct iommu_vdevice_alloc cmd = {
		.viommu_id = self->vm.vsmmu[0].id,
		.dev_id = self->vm.seat[SEAT_FREE].dev_id,
		.virt_id = seeded_next(s) >> seeded_below(s, 64),
	};
	int ret;

	if (cmd.virt_id == self->vm.seat[SEAT_FUZZED].vsid)
		cmd.virt_id++;
	switch (seeded_below(s, 8)) {
	case 0:
		cmd.viommu_id = wrong_object(self, ids, errnos, ARRAY_SIZE(ids));
		break;
	case 1:
		cmd.dev_id = wrong_object(self, ids, errnos, ARRAY_SIZE(ids));
		break;
	case 2:
		self->what = "a vSID that is taken";
		cmd.virt_id = self->vm.seat[SEAT_FUZZED].vsid;
		self->want = EEXIST;
		break;
	case 3:
		self->what = "a device that has a vDEVICE";
		cmd.dev_id = self->vm.seat[SEAT_FUZZED].dev_id;
		self->want = EEXIST;
		break;
	case 4:
		self->what = "a device behind another SMMU";
		cmd.dev_id = self->vm.seat[SEAT_ELSEWHERE].dev_id;
		self->want = EINVAL;
		break;
	}
	ret = call(self, IOMMU_VDEVICE_ALLOC, &cmd, sizeof(cmd));
	check_errno(_metadata, self, nr, "IOMMU_VDEVICE_ALLOC", ret, cmd.virt_id, 0);
	if (!ret)
		test_ioctl_destroy(cmd.out_vdevice_id);
}

static void fuzz_viommu(struct __test_metadata *_metadata, struct fuzz *self, u64 nr)
{
	u32 ids[] = { self->vm.ioas_id, self->plain_hwpt, self->vm.seat[0].dev_id };
	static const int errnos[] = { ENOENT, EINVAL, ENOENT };
	struct seeded *s = &self->s;
	struct iommu_viommu_alloc cmd = {
		.type = IOMMU_VIOMMU_TYPE_ARM_SMMUV3,
		.dev_id = self->vm.seat[SEAT_FREE].dev_id,
		.hwpt_id = self->vm.parent_id,
	};
	int ret;

	switch (seeded_below(s, 8)) {
	case 0:
		cmd.hwpt_id = wrong_object(self, ids, errnos, ARRAY_SIZE(ids));
		break;
	case 1:
		self->what = "a flag";
		cmd.flags = 1U << seeded_below(s, 32);
		self->want = EOPNOTSUPP;
		break;
	case 2:
		self->what = "a type that this SMMU has not";
		cmd.type = seeded_chance(s, 30) ? 0 : 2 + seeded_below(s, 1000);
		self->want = EOPNOTSUPP;
		break;
	case 3:
		self->what = "a device that is none";
		cmd.dev_id = seeded_chance(s, 50) ? self->vm.ioas_id : NOT_AN_ID;
		self->want = ENOENT;
		break;
	}
	ret = call(self, IOMMU_VIOMMU_ALLOC, &cmd, sizeof(cmd));
	check_errno(_metadata, self, nr, "IOMMU_VIOMMU_ALLOC", ret, cmd.type, cmd.hwpt_id);
	if (!ret)
		test_ioctl_destroy(cmd.out_viommu_id);
}

static void fuzz_destroy(struct __test_metadata *_metadata, struct fuzz *self, u64 nr)
{
	u32 busy[] = { self->vm.ioas_id, self->vm.parent_id, self->vm.vsmmu[0].id,
		       self->vm.vsmmu[1].id, self->vm.seat[0].hwpt_id, self->vm.seat[0].dev_id };
	struct iommu_destroy cmd = { .id = NOT_AN_ID + seeded_below(&self->s, 256) };
	int ret;

	self->what = "an id that nothing has";
	self->want = ENOENT;
	if (seeded_chance(&self->s, 70)) {
		self->what = "an object in use";
		self->want = EBUSY;
		cmd.id = busy[seeded_below(&self->s, ARRAY_SIZE(busy))];
	}
	ret = call(self, IOMMU_DESTROY, &cmd, sizeof(cmd));
	check_errno(_metadata, self, nr, "IOMMU_DESTROY", ret, cmd.id, 0);
}

static void fuzz_init(struct __test_metadata *_metadata, struct fuzz *self)
{
	vm_attach_all(_metadata, &self->vm);
	ASSERT_EQ(0, _test_cmd_get_smmuv3_info(self->fd, self->vm.seat[0].dev_id, &self->info));
	test_cmd_hwpt_alloc(self->vm.seat[0].dev_id, self->vm.ioas_id, 0, &self->plain_hwpt);
	self->other_fd = open("/dev/iommu", O_RDWR);
	ASSERT_LE(0, self->other_fd);
	self->closed_fd = dup(self->other_fd);
	ASSERT_EQ(0, close(self->closed_fd));
}

FIXTURE_SETUP(fuzz)
{
	struct vm_layout layout = {
		NR_SEATS, {
			[SEAT_FUZZED] = { 0, SEAT_NESTED, 0, DMA_ANY },
			[SEAT_BYSTANDER] = { 0, SEAT_NESTED, 1, DMA_ANY },
			[SEAT_FREE] = { 0, SEAT_IDLE, 0, DMA_ANY },
			[SEAT_ELSEWHERE] = { 1, SEAT_DIRECT, 0, DMA_ANY },
		},
	};

	vm_init(_metadata, &self->fuzz.vm, &layout);
	if (_metadata->exit_code == KSFT_SKIP)
		return;
	self->fuzz.fd = self->fuzz.vm.fd;
	fuzz_init(_metadata, &self->fuzz);
}

FIXTURE_TEARDOWN(fuzz)
{
	close(self->fuzz.other_fd);
	vm_cleanup(&self->fuzz.vm);
}

static void check_bystanders(struct __test_metadata *_metadata, struct fuzz *self, u64 nr)
{
	struct vm *vm = &self->vm;
	struct seat *seat;
	int i;

	for (i = 0; i < NR_SEATS; i++) {
		seat = &vm->seat[i];
		if (i != SEAT_FREE)
			EXPECT_DMA(PAGE_A, vm, seat, seat_iova(seat, PAGE_A), "after %llu calls",
				   (unsigned long long)nr);
	}
	/* The queue of the SMMU takes commands of either guest */
	for (i = 0; i < 2; i++)
		test_cmd_vsmmu_cmd(vm->vsmmu[i].id, cmd_nh_all(0, 0));
}

TEST_F_TIMEOUT(fuzz, errno_as_documented_and_bystanders_unharmed, 900)
{
	struct fuzz *f = &self->fuzz;
	u64 seed = seeded_setting("SEED", 1), rounds = seeded_setting("ROUNDS", 4000), nr;

	TH_LOG("info: SEED=%llu ROUNDS=%llu", (unsigned long long)seed,
	       (unsigned long long)rounds);
	for (nr = 0; nr < rounds; nr++) {
		unsigned int kind;

		if (nr % CALLS_A_ROUND == 0)
			check_bystanders(_metadata, f, nr);
		f->s = seeded_init(seed, 0, nr);
		f->what = NULL;
		f->want = 0;
		f->not_understood = false;
		kind = seeded_below(&f->s, 100);
		if (kind < 60)
			fuzz_invalidate(_metadata, f, nr);
		else if (kind < 80)
			fuzz_vste(_metadata, f, nr);
		else if (kind < 88)
			fuzz_vdevice(_metadata, f, nr);
		else if (kind < 94)
			fuzz_viommu(_metadata, f, nr);
		else
			fuzz_destroy(_metadata, f, nr);
	}
	check_bystanders(_metadata, f, nr);
	TH_LOG("info: %lu of %llu calls had to work and did", f->nr_ok,
	       (unsigned long long)rounds);
}

int main(int argc, char *argv[])
{
	return vm_main(argc, argv);
}
