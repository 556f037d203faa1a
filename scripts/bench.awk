# SPDX-License-Identifier: GPL-2.0-only
# Called by scripts/bench with the rows, the budget, the claims and the values of both
# drivers. Prints the table and what is over budget, writes "csv", and to "out/claims" the
# lines that documents have to have and by how many percent they may differ: what is counted
# with a simulator on the second CPU does not repeat to one. Exit status 1 if a row is over
# its budget, 2 if a value is missing. With only=budget the rows that take a run which does
# not repeat are left out.

function value(run, layout, what,	key) {
	key = run SUBSEP layout SUBSEP what
	return key in v ? v[key] : ""
}

# What an ioctl costs more than with as many domains that nobody is attached to
function more(run, layout, what,	nobody) {
	nobody = layout ~ /_s1$/ ? "nobody_s1" : "nobody_s2_" value(run, layout, "parents")
	if (layout ~ /^(sim|entries)_/)
		nobody = "sim_nobody_" (value(run, layout, "parents") ? value(run, layout, "parents") : 1)
	if (value(run, layout, what) == "" || value(run, nobody, what) == "") return ""
	return value(run, layout, what) - value(run, nobody, what)
}

function cell(run, kind, layout, what) {
	if (kind == "array") return value(run "-sweep", layout, what)
	if (kind == "bytes" && what == "array") return array_bytes(run, layout)
	if (kind == "bytes") return value(run, layout, what)
	if (kind == "whole") return value(run, layout, what)
	if (kind == "inval") return more(run, layout, what)
	if (kind == "sweep") return more(run "-sweep", layout, what)
	return value(run, layout, what "-" kind)
}

# One page takes one command for each entry, and there is an array for each parent.
function array_bytes(run, layout,	arrays) {
	arrays = value(run, layout, "parents") + 0 ? value(run, layout, "parents") : 1
	return arrays * value(run, "array", "header") + value(run, "array", "entry") * \
		(value(run, layout, "unmap_4K-commands") - value(run, layout, "unmap_4K-syncs"))
}

# Of attaching 2 to 512 entries one after the other, what grows with the array
function all_attaches(run,	n, sum, step) {
	for (n = 2; n < 512; n *= 2) {
		step = cell(run, "array", "entries_" 2 * n, "attach") + \
			cell(run, "array", "entries_" n, "attach")
		sum += n * (step / 2 - cell(run, "array", "entries_2", "attach"))
	}
	return sum
}

function md(val) {
	return "| " (val == "" ? "" : val " ")
}

# What a line of a document has to say; "" if a value was not measured
function claim(i, where,	b, o, line, n, cells, run, k, pair) {
	b = cell("base", "inval", claim_base[i], "unmap_4K")
	o = cell("other", "inval", claim_other[i], "unmap_4K")
	if (where == "cover-letter") {
		if (b == "" || o == "") return ""
		return sprintf("%-46s %5d %5d   %.2f", title[i], b, o, o / b)
	}
	if (where == "Documentation") {
		k = cell("other", "commands", claim_other[i], "unmap_4K")
		n = cell("other", "syncs", claim_other[i], "unmap_4K")
		if (k == "" || o == "") return ""
		return sprintf("%-43s  %8d  %9d  %12d", title[i], k, n, o)
	}
	line = md(title[i])
	if (where == "README") n = split("inval unmap_4K,sweep unmap_4K,whole unmap_4K", cells, ",")
	else n = split("sweep unmap_4K,array attach,array detach_last,array detach_first", cells, ",")
	for (k = 1; k <= n; k++) {
		split(cells[k], pair, " ")
		line = line md(cell("base", pair[1], claim_base[i], pair[2]))
		line = line md(cell("other", pair[1], claim_other[i], pair[2]))
	}
	return line "|"
}

# No driver can do with less: an ioctl costs what it costs with nobody attached, a
# command is stored with one instruction, and the least number of CMD_SYNCs costs what
# this driver's queue takes for each.
function lower_bound(i,	key, queue) {
	key = what[i] SUBSEP other[i]
	if (least[i] != "-" || what[i] !~ /^unmap/ || kind[i] == "ns") return least[i]
	if (kind[i] == "whole")
		return cell("other", "whole", other[i], what[i]) - more("other", other[i], what[i])
	if (kind[i] == "sweep")
		return least_of["commands", key] - least_of["syncs", key]
	queue = more("other", other[i], what[i]) - more("other-sweep", other[i], what[i])
	return int(queue / cell("other", "syncs", other[i], what[i]) * least_of["syncs", key])
}

FILENAME ~ /\.values$/ { v[$1, $2, $3] = $4; next }
FILENAME ~ /budget$/ && $5 == "than" { id = $2 " " $3 " " $4; most[id] = $1; than[id] = $6; next }
FILENAME ~ /budget$/ { if ($1 + 0) { id = $2 " " $3 " " $4; allowed[id] = $1 } next }
FILENAME ~ /claims$/ && /^[^#]/ {
	n_claims++
	split($0, field, "\t")
	title[n_claims] = field[1]
	claim_base[n_claims] = field[2]
	claim_other[n_claims] = field[3]
	claim_where[n_claims] = field[4]
	next
}
FILENAME ~ /claims$/ { next }
/^# [A-Z]/ && FNR > 1 { heading[n + 1] = substr($0, 3); next }
/^(#|$)/ { next }
{ n++; kind[n] = $1; what[n] = $2; base[n] = $3; other[n] = $4; least[n] = $5; least_of[$1, $2, $4] = $5 }

END {
	unit["whole"] = unit["inval"] = unit["sweep"] = unit["array"] = "instructions"
	unit["commands"] = "commands"; unit["syncs"] = "CMD_SYNCs"; unit["bytes"] = "bytes"
	unit["us"] = "us of the guest"; unit["ns"] = "ns of the guest"
	file["cover-letter"] = "kernel/mail/cover-letter"
	file["Documentation"] = "kernel/patches/*-Say-what-an-invalidation-costs.patch"
	file["README"] = file["entries"] = "kernel/README.md"
	print "row,unit,base," driver ",ratio,least" > csv
	for (i = 1; i <= n; i++) {
		timed = other[i] ~ /^(sim|threads|load)_/ && kind[i] !~ /inval|sweep|whole/
		if (i in heading) next_heading = heading[i]
		if (timed && only == "budget") continue
		if (next_heading != "")
			printf "%s%-64s %9s %9s %7s %8s\n", shown++ ? "\n" : "", next_heading, "7.3.4", \
				driver, "ratio", "least"
		next_heading = ""
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
		if (id in than) {
			checked++
			one = cell("other", kind[i], than[id], what[i])
			if (o > most[id] * one)
				over[++nover] = sprintf("%s: %d, with %s %d", id, o, than[id], one)
			delete than[id]
		}
		# An array with one entry has a way of its own.
		if (other[i] ~ /^entries_/ && other[i] != "entries_2") {
			half = "entries_" substr(other[i], 9) / 2
			one = cell("other", kind[i], half, what[i])
			if (one != "" && o > 2 * one)
				over[++nover] = sprintf("%s: %d, with %s %d: worse than linear", id, o, half, one)
		}
	}
	printf "\n512 entries attached one after the other: %d instructions that grow with the array, 7.3.4: %d\n", \
		all_attaches("other"), all_attaches("base")
	printf "" > (out "/claims")
	for (i = 1; i <= n_claims; i++) {
		n_where = split(claim_where[i], where, " ")
		for (k = 1; k <= n_where; k++) {
			line = claim(i, where[k])
			if (line != "")
				print file[where[k]] "\t" line "\t" \
					(claim_other[i] ~ /^(sim|entries)_/ ? 2 : 0) > (out "/claims")
		}
	}
	for (id in than) if (only != "budget") over[++nover] = id ": no such row"
	for (id in allowed) if (only != "budget" || id !~ /^[un]s /) over[++nover] = id ": no such row"
	print ""
	for (i = 1; i <= nover; i++) print "over budget: " over[i]
	print checked + 0 " rows have a budget, " nover + 0 " over it"
	exit rc ? rc : nover > 0
}
