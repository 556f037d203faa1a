# SPDX-License-Identifier: GPL-2.0-only
# Called by scripts/report with four files: run (key=value), expectations,
# problems, ktap.log. Prints the table; writes junit.xml and verdict into
# the folder "results"; exit status 1 if the run is not as expected.

function xml(s) {
	gsub(/&/, "\\&amp;", s); gsub(/</, "\\&lt;", s); gsub(/>/, "\\&gt;", s)
	gsub(/"/, "\\&quot;", s); gsub(/[\001-\010\013\014\016-\037]/, "?", s)
	return s
}

function suite(name, tests, failures, skipped) {
	printf "<testsuite name=\"%s\" tests=\"%d\" failures=\"%d\" errors=\"0\" skipped=\"%d\">\n", \
		xml(name), tests, failures, skipped > junit
}

# A shell glob as an anchored regular expression.
function glob(s) {
	gsub(/[].[\\^$+(){}|]/, "\\\\&", s); gsub(/\*/, ".*", s); gsub(/\?/, ".", s)
	return "^" s "$"
}

function problem(text,	i) {
	for (i = 1; i <= nexpected; i++)
		if (text ~ p_glob[i]) {
			p_used[i] = 1
			print "as expected: " text
			if (said == "") said = p_reason[i] " [" text "]"
			quoting = 0
			return
		}
	problems[++nproblems] = text
	quoting = 1
}

# What a failed case says, without the harness: one line each, the first four.
function words(text,	part, seen, n, i, out, lines) {
	n = split(text, part, "; ")
	first = ""
	for (i = 1; i <= n && lines < 4; i++) {
		if (part[i] ~ /:Expected |^Expected .* to be |: Test failed$|EXPECTATION FAILED at/ || seen[part[i]]++) continue
		sub(/^[a-z0-9_]+\.[ch]:[0-9]+:[a-z0-9_]+:/, "", part[i])
		out = out "\n      > " part[i]
		if (!lines++) first = part[i]
	}
	return out
}

# One leaf: compare with the expectations and count.
function leaf(name, result, text,	i, want, reason) {
	want = "pass"
	for (i = 1; i <= nexpect; i++)
		if (program == e_program[i] && name ~ e_case[i]) {
			want = e_result[i]; reason = e_reason[i]; e_used[i] = 1
			break
		}
	cases++
	c_program[cases] = program; c_name[cases] = name; c_text[cases] = text
	c_raw[cases] = raw
	# A bug may break more than its test.
	if (run["bug"] && want == "pass" && result == "fail") {
		c_class[cases] = "xfail"
		count[program, "xfail"]++
		failed[program]++
		others++
		c_other[cases] = 1
		c_text[cases] = "the bug breaks it as well"
		return
	}
	if (result == want && want == "pass") class = "pass"
	else if (result == want && want == "fail") {
		class = "xfail"
		c_text[cases] = reason
		# Of a bug one wants to see what it does.
		if (run["bug"]) {
			c_words[cases] = words(text)
			if (!explained++) said = reason (first == "" ? "" : " [" first "]")
		}
	}
	else if (result == want) { class = "skip"; c_text[cases] = reason }
	else if (result == "pass") {
		class = "XPASS"
		c_text[cases] = "expected to " want " (" reason ") but passed: take it off the list"
	} else if (result == "skip") class = "SKIP"
	else class = "FAIL"
	c_class[cases] = class
	count[program, class]++
	if (result == "fail") failed[program]++
}

# A result at depth d ends everything deeper: was each deeper plan fulfilled?
function close_deeper(d,	i) {
	for (i = deepest; i > d; i--) {
		if (i in plan && done[i] != plan[i])
			problem(program ": " done[i] " of " plan[i] " results (cut off)")
		delete plan[i]; delete done[i]
	}
	deepest = d
}

function result_line(d, line,	ok, name, result, text, sub_leaves) {
	ok = line !~ /^not /
	name = line
	sub(/^(not )?ok +[0-9]* *(- )?/, "", name)
	text = ""
	if (match(name, / ?# /)) {
		text = substr(name, RSTART + RLENGTH)
		name = substr(name, 1, RSTART - 1)
	}
	result = ok ? "pass" : "fail"
	if (ok && text ~ /^SKIP/) { result = "skip"; sub(/^SKIP */, "", text) }
	sub_leaves = has_leaves[d + 1]
	close_deeper(d)
	has_leaves[d + 1] = 0
	has_leaves[d] = 1
	done[d]++
	if (d == 0) {
		program_end(name, result, text, sub_leaves)
	} else if (!sub_leaves) {
		# The parameters of a KUnit test are cases of that test.
		leaf((d > 2 ? subtest[d] "." : "") name, result,
			result == "fail" && diag != "" ? diag : text)
	}
	diag = raw = ""
	nraw = kunit = 0
}

function program_end(name, result, text, sub_leaves) {
	if (!sub_leaves && result == "pass")
		leaf("(whole program)", "pass", text)
	else if (!sub_leaves)
		leaf("(whole program)", result, diag != "" ? diag : text)
	else if (result == "fail" && (!failed[program] || text ~ /TIMEOUT|exit=(1[2-9][0-9]|[2-9][0-9][0-9])/))
		problem(program ": " (text == "" ? "failed as a whole" : text))
	if (result == "pass" && failed[program])
		problem(program ": reports success in spite of failed cases")
	seen[program] = 1
}

FILENAME ~ /\/run$/ {
	i = index($0, "=")
	run[substr($0, 1, i - 1)] = substr($0, i + 1)
	next
}

FILENAME ~ /\/expectations$/ {
	if ($0 ~ /^[ \t]*(#|$)/) next
	if ($1 == "test" || $1 == "timeout" || $1 == "config") next
	# With @PROGRAM only if that runs, and needed only if all its cases do
	if ($1 ~ /^(problem|may)(@.+)?$/ && match($0, / # ./)) {
		i = split($1, part, "@")
		if (i > 1 && (" " run["tests"] " ") !~ (":" part[2] " ")) next
		match($0, / # ./)
		p_text[++nexpected] = substr($0, length($1) + 2, RSTART - length($1) - 2)
		p_used[nexpected] = part[1] == "may" || i > 1 && run["cases"] != ""
		p_reason[nexpected] = substr($0, RSTART + 3)
		p_glob[nexpected] = glob("*" p_text[nexpected] "*")
		next
	}
	if (($1 != "fail" && $1 != "skip") || NF < 5 || $4 != "#") {
		problem("expectations line " FNR " is neither \"fail|skip PROGRAM CASE # reason\" nor \"problem|may[@PROGRAM] TEXT # reason\"")
		next
	}
	nexpect++
	e_result[nexpect] = $1; e_program[nexpect] = $2; e_case[nexpect] = glob($3)
	e_text[nexpect] = $2 " " $3
	e_reason[nexpect] = substr($0, index($0, "#") + 2)
	next
}

# What the kernel said about it follows after four blanks.
FILENAME ~ /\/problems$/ && /^    / {
	if (quoting) quote[nproblems] = quote[nproblems] "\n" $0
	next
}

FILENAME ~ /\/problems$/ { problem($0); next }

# ---- KTAP. The kselftest runner puts "# " before what a program prints; KUnit
# nests with four blanks; both count as one level.
{
	sub(/\r$/, "")
	line = $0
	if (line ~ /^# rig: up after/) { run["boot"] = $5; next }
	if (line ~ /^# rig: run_kselftest.sh exited/) { finished = 1; next }
	if (line ~ /^Bail out!/) { problem(line); next }
	if (match(line, /^# selftests: [^ ]+: /)) {
		program = substr(line, RLENGTH + 1)
		order[++nprograms] = program
		diag = ""
		next
	}
	depth = 0
	if (line ~ /^# /) { depth = 1; line = substr(line, 3) }
	while (line ~ /^    /) { depth++; line = substr(line, 5) }
	if (depth > deepest) deepest = depth
	if (line ~ /^# Subtest: /) {
		subtest[depth] = substr(line, 12)
		next
	}
	# The first of what a case prints, for junit.xml
	if (depth && line !~ /^(not )?ok |^1\.\.[0-9]|(RUN|OK|FAIL)  |Totals:/ && nraw++ < 60) {
		text = line
		sub(/^[# ]+/, "", text)
		raw = raw text "\n"
	}
	if (match(line, /^1\.\.[0-9]+/)) {
		plan[depth] = substr(line, 4, RLENGTH - 3) + 0
		done[depth] = 0
	} else if (line ~ /^(not )?ok /) {
		result_line(depth, line)
	} else if (line ~ /RUN  /) {
		diag = raw = ""
		nraw = 0
	} else if (kunit && line !~ /^[# ]*$/ || line ~ /:[0-9]+:|[Ee]xpected|EXPECTATION|ASSERTION|[Ff]ail|kill/ && line !~ /FAIL  |Totals|PASSED|FAILED:/) {
		sub(/^[# ]+/, "", line)
		# What KUnit says after this may be any text.
		if (line ~ /(EXPECTATION|ASSERTION) FAILED at/) kunit = 1
		diag = diag (diag == "" ? "" : "; ") line
	}
}

END {
	if (!(0 in plan)) problem("no KTAP: the run printed no plan")
	close_deeper(-1)
	if (!finished) problem("the guest did not come to the end of the tests")
	n = split(run["tests"], asked, " ")
	for (i = 1; i <= n; i++) {
		name = asked[i]; sub(/.*:/, "", name)
		if (!(name in seen)) problem(name ": no result")
		picked[name] = 1
	}
	for (i = 1; i <= nexpect; i++)
		if (!e_used[i] && e_program[i] in seen && (run["cases"] == "" || run["bug"]))
			problem("expectation matches no case: " e_text[i])
	for (i = 1; i <= nexpected; i++)
		if (!p_used[i]) problems[++nproblems] = "no problem of this kind: " p_text[i]

	junit = results "/junit.xml"
	print "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>" > junit
	printf "\n%-28s %6s %6s %6s %6s\n", "driver " run["driver"], "pass", "xfail", "skip", "WRONG"
	for (p = 1; p <= nprograms; p++) {
		name = order[p]
		wrong = count[name, "FAIL"] + count[name, "XPASS"] + count[name, "SKIP"]
		total += count[name, "pass"]; totalx += count[name, "xfail"]
		totals += count[name, "skip"]; totalw += wrong
		printf "%-28s %6d %6d %6d %6d\n", name, count[name, "pass"], \
			count[name, "xfail"], count[name, "skip"], wrong
		suite(name, count[name, "pass"] + count[name, "xfail"] + count[name, "skip"] + wrong, \
			wrong, count[name, "xfail"] + count[name, "skip"])
		for (c = 1; c <= cases; c++) {
			if (c_program[c] != name) continue
			printf "<testcase classname=\"%s\" name=\"%s\">", xml(name), xml(c_name[c]) > junit
			if (c_class[c] == "xfail")
				printf "<skipped message=\"fails as expected: %s\"/>", xml(c_text[c]) > junit
			else if (c_class[c] == "skip")
				printf "<skipped message=\"%s\"/>", xml(c_text[c]) > junit
			else if (c_class[c] != "pass")
				printf "<failure type=\"%s\" message=\"%s\"/>", c_class[c], xml(c_text[c]) > junit
			if (c_class[c] != "pass" && c_raw[c] != "")
				printf "<system-out>%s</system-out>", xml(c_raw[c]) > junit
			print "</testcase>" > junit
		}
		print "</testsuite>" > junit
	}
	suite("run", nproblems, nproblems, 0)
	for (i = 1; i <= nproblems; i++)
		printf "<testcase classname=\"run\" name=\"problem %d\"><failure message=\"%s\"/></testcase>\n", \
			i, xml(problems[i] quote[i]) > junit
	print "</testsuite>\n</testsuites>" > junit

	for (k = 1; k <= 2; k++) {
		title = k == 1 ? "\nfails as expected:" : "\nNOT AS EXPECTED:"
		for (c = 1; c <= cases; c++) {
			if (k == 1 ? c_class[c] != "xfail" || c_other[c] : c_class[c] !~ /^[A-Z]/) continue
			if (title != "") { print title; title = "" }
			text = c_text[c]
			if (length(text) > 300)
				text = substr(text, 1, 300) " ... (all of it in junit.xml)"
			printf "  %s%s %s: %s\n", k == 1 ? "" : c_class[c] " ", c_program[c], \
				c_name[c], text c_words[c]
		}
	}
	if (others)
		printf "  and %d more, which the bug breaks as well (junit.xml names them)\n", others
	for (i = 1; i <= nproblems; i++) {
		if (i == 1) print "\nPROBLEMS:"
		print "  " problems[i] quote[i]
	}
	bad = nproblems || totalw
	verdict = bad ? "FAIL" : "PASS"
	if (run["boot"] != "")
		printf "\ntimes: %sboot to shell %s s (guest), guest run %s s\n", \
			run["prepare"] == "" ? "" : "prepare " run["prepare"] " s, ", \
			run["boot"], run["guest"]
	printf "verdict: %s (driver %s: %d passed, %d failed as expected, %d skipped as expected, %d wrong, %d problems)\n", \
		verdict, run["driver"], total, totalx, totals, totalw, nproblems
	print verdict > (results "/verdict")
	# For scripts/repro: what the bug does, in one line
	if (run["bug"]) print said > (results "/said")
	exit bad
}
