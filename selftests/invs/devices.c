// SPDX-License-Identifier: GPL-2.0-only
/* The entries of a device, as arm_smmu_master_build_invs() makes them. */

#include "invs_test.h"
#include "steps.h"

static void build_one(struct arm_smmu_invs *build, struct arm_smmu_device *smmu,
		      unsigned int type, unsigned int id, unsigned int ssid,
		      u8 tg)
{
	struct arm_smmu_inv *inv = &build->inv[build->num_invs++];
	struct arm_smmu_cmd cmd;

	*inv = (struct arm_smmu_inv){
		.smmu = smmu,
		.type = type,
		.id = id,
		.ssid = ssid,
		.pgsize = smmu->range ? tg : 0,
	};
	switch (type) {
	case INV_TYPE_S1_ASID:
		cmd = arm_smmu_make_cmd_tlbi(smmu->e2h ? CMDQ_OP_TLBI_EL2_VA :
							 CMDQ_OP_TLBI_NH_VA,
					     id, 0);
		inv->nsize_opcode = smmu->e2h ? CMDQ_OP_TLBI_EL2_ASID :
						CMDQ_OP_TLBI_NH_ASID;
		break;
	case INV_TYPE_S2_VMID:
	case INV_TYPE_S2_VMID_VSMMU:
		cmd = arm_smmu_make_cmd_tlbi(CMDQ_OP_TLBI_S2_IPA, 0, id);
		inv->nsize_opcode = CMDQ_OP_TLBI_S12_VMALL;
		break;
	case INV_TYPE_S2_VMID_S1_CLEAR:
		cmd = arm_smmu_make_cmd_tlbi(CMDQ_OP_TLBI_NH_ALL, 0, id);
		break;
	default:
		cmd = arm_smmu_make_cmd_atc_inv(id, ssid, 0, 0);
		break;
	}
	inv->cmd = cmd.data[0];
}

/* As arm_smmu_master_build_invs() does, for the device that @s describes */
void build_device(struct arm_smmu_invs *build, const struct step *s, u8 tg)
{
	static const unsigned int types[] = {
		[DEVICE_S1] = INV_TYPE_S1_ASID,
		[DEVICE_S2] = INV_TYPE_S2_VMID,
		[DEVICE_NESTED] = INV_TYPE_S2_VMID_VSMMU,
	};
	struct arm_smmu_device *smmu = &smmus[s->smmu % NUM_SMMUS];
	unsigned int kind = s->kind % NUM_KINDS, i;
	unsigned int id = s->id + 1 + 256 * kind;

	build->num_invs = 0;
	build_one(build, smmu, types[kind], id, 0, tg);
	if (kind == DEVICE_NESTED)
		build_one(build, smmu, INV_TYPE_S2_VMID_S1_CLEAR, id, 0, tg);
	for (i = 0; i != s->streams % (MAX_STREAMS + 1); i++)
		if (kind == DEVICE_NESTED)
			build_one(build, smmu, INV_TYPE_ATS_FULL,
				  0x10000 + 8 * s->id + i, 0, 0);
		else
			build_one(build, smmu, INV_TYPE_ATS, 8 * s->id + i,
				  s->ssid, 0);
}
