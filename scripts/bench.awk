# SPDX-License-Identifier: GPL-2.0-only
# Called by scripts/bench with the rows, the budget and the values of both drivers.
# Prints the table and what is over budget, writes "csv"; exit status 1 if a row is
# over its budget, 2 if a value is missing. With only=budget the rows of simulated time
# are left out.

function value(run, layout, what,	key) {
	key = run SUBSEP layout SUBSEP what
	return key in v ? v[key] : ""
}

# What an ioctl costs more than with as many domains that nobody is attached to
function more(run, layout, what,	nobody) {
	nobody = layout ~ /_s1$/ ? "nobody_s1" : "nobody_s2_" value(run, layout, "parents")
	if (layout ~ /^sim_/)
		nobody = "sim_nobody_" (value(run, layout, "parents") ? value(run, layout, "parents") : 1)
	if (value(run, layout, what) == "" || value(run, nobody, what) == "") return ""
	return value(run, layout, what) - value(run, nobody, what)
}

function cell(run, kind, layout, what) {
	if (kind == "whole") return value(run, layout, what)
	if (kind == "inval") return more(run, layout, what)
	if (kind == "sweep") return more(run "-sweep", layout, what)
	return value(run, layout, what "-" kind)
}

# No driver can do with less: an ioctl costs what it costs with nobody attached, a
# command is stored with one instruction, and the least number of CMD_SYNCs costs what
# this driver's queue takes for each.
function lower_bound(i,	key, queue) {
	key = what[i] SUBSEP other[i]
	if (least[i] != "-" || what[i] !~ /^unmap/) return least[i]
	if (kind[i] == "whole")
		return cell("other", "whole", other[i], what[i]) - more("other", other[i], what[i])
	if (kind[i] == "sweep")
		return least_of["commands", key] - least_of["syncs", key]
	queue = more("other", other[i], what[i]) - more("other-sweep", other[i], what[i])
	return int(queue / cell("other", "syncs", other[i], what[i]) * least_of["syncs", key])
}

FILENAME ~ /\.values$/ { v[$1, $2, $3] = $4; next }
FILENAME ~ /budget$/ { if ($1 + 0) { id = $2 " " $3 " " $4; allowed[id] = $1 } next }
/^# [A-Z]/ && FNR > 1 { heading[n + 1] = substr($0, 3); next }
/^(#|$)/ { next }
{ n++; kind[n] = $1; what[n] = $2; base[n] = $3; other[n] = $4; least[n] = $5; least_of[$1, $2, $4] = $5 }

END {
	unit["whole"] = unit["inval"] = unit["sweep"] = "instructions"
	unit["commands"] = "commands"; unit["syncs"] = "CMD_SYNCs"; unit["us"] = "us of the guest"
	print "row,unit,base," driver ",ratio,least" > csv
	for (i = 1; i <= n; i++) {
		simulated = other[i] ~ /^sim_/ && kind[i] !~ /inval|sweep|whole/
		if (simulated && only) continue
		if (i in heading)
			printf "%s%-64s %9s %9s %7s %8s\n", shown++ ? "\n" : "", heading[i], "7.3.4", \
				driver, "ratio", "least"
		b = cell("base", kind[i], base[i], what[i])
		o = cell("other", kind[i], other[i], what[i])
		if (b == "" || o == "") {
			print "no value: " kind[i], what[i], base[i], other[i]
			rc = 2
			continue
		}
		ratio = b ? sprintf("%.3f", o / b) : "-"
		id = kind[i] " " what[i] " " other[i] (base[i] == other[i] ? "" : "/" base[i])
		bound = lower_bound(i)
		printf "%-64s %9d %9d %7s %8s\n", id, b, o, ratio, bound
		print id "," unit[kind[i]] "," b "," o "," ratio "," bound > csv
		if (id in allowed) {
			checked++
			if (ratio > allowed[id])
				over[++nover] = sprintf("%s: %d instead of %d is %s, allowed %s", id, o, b, ratio, allowed[id])
			delete allowed[id]
		}
	}
	for (id in allowed) over[++nover] = id ": no such row"
	print ""
	for (i = 1; i <= nover; i++) print "over budget: " over[i]
	print checked + 0 " rows have a budget, " nover + 0 " over it"
	exit rc ? rc : nover > 0
}
