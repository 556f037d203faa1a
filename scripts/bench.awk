# SPDX-License-Identifier: GPL-2.0-only
# Called by scripts/bench with the rows and the values of both drivers. Prints the
# table and writes "csv".

function value(run, layout, what,	key) {
	key = run SUBSEP layout SUBSEP what
	return key in v ? v[key] : ""
}

# What an ioctl costs more than with a domain that nobody is attached to
function more(run, layout, what,	nobody) {
	nobody = layout ~ /_s1$/ ? "nobody_s1" : "nobody_s2"
	if (value(run, layout, what) == "" || value(run, nobody, what) == "") return ""
	return value(run, layout, what) - value(run, nobody, what)
}

function cell(run, kind, layout, what) {
	if (kind == "whole") return value(run, layout, what)
	if (kind == "inval") return more(run, layout, what)
	if (kind == "sweep") return more(run "-sweep", layout, what)
	return value(run, layout, what "-" kind)
}

FILENAME ~ /\.values$/ { v[$1, $2, $3] = $4; next }
/^# / && n { heading[n + 1] = substr($0, 3); next }
/^(#|$)/ { if (/^# One/) heading[1] = substr($0, 3); next }
{ n++; kind[n] = $1; what[n] = $2; base[n] = $3; other[n] = $4; least[n] = $5 }

END {
	unit["whole"] = unit["inval"] = unit["sweep"] = "instructions"
	unit["commands"] = "commands"; unit["syncs"] = "CMD_SYNCs"
	print "row,unit,base," driver ",ratio,least" > csv
	for (i = 1; i <= n; i++) {
		if (i in heading)
			printf "%s%-62s %9s %9s %7s %6s\n", i == 1 ? "" : "\n", heading[i], \
				"7.3.4", driver, "ratio", "least"
		b = cell("base", kind[i], base[i], what[i])
		o = cell("other", kind[i], other[i], what[i])
		if (b == "" || o == "") {
			print "no value: " kind[i], what[i], base[i], other[i] > "/dev/stderr"
			missing = 1
			continue
		}
		ratio = b ? sprintf("%.3f", o / b) : "-"
		id = kind[i] " " what[i] " " other[i] (base[i] == other[i] ? "" : "/" base[i])
		printf "%-62s %9d %9d %7s %6s\n", id, b, o, ratio, least[i]
		print id "," unit[kind[i]] "," b "," o "," ratio "," least[i] > csv
	}
	exit missing
}
