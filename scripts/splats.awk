# SPDX-License-Identifier: GPL-2.0-only
# Called by scripts/report with the kernel log and the console: what the kernel
# complained of. One line "kernel log: ..." for each kind of complaint, five at the
# most, and after four blanks what it said about it.

BEGIN {
	splat = "WARNING: |BUG: |BUG at |ODEBUG: |Oops|Kernel panic|Unable to handle|INFO: task|rcu: INFO"
	splat = splat "|INFO: trying to register non-static key|suspicious RCU usage|DEBUG_LOCKS_WARN_ON"
	splat = splat "|possible (circular|recursive) locking|inconsistent lock state|lock inversion"
	splat = splat "|KASAN: |UBSAN: |KCSAN: |refcount_t: |(list_add|list_del) corruption"
	splat = splat "|kmemleak: [1-9]|soft lockup"
}

# A complaint ends where the kernel says so, or is long enough to know it by.
lines {
	lines--
	print "    " $0
	if (/---\[ end trace|====================/) lines = 0
	next
}

$0 ~ splat {
	kind = substr($0, index($0, "]"))
	gsub(/0x[0-9a-f]+|[0-9]+/, "", kind)
	if (seen[kind]++ || ++kinds > 5) next
	print "kernel log: " $0
	lines = 24
}
