# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
# Sourced by the scripts beside it: places, messages, progress, and the step
# into the tool root. Sets no options and starts nothing by itself.

# shellcheck disable=SC2034  # used by the scripts that source this file
project=smmuv3-nostale

# Inside the tool root the checkout is /src and the cache /cache, whatever they
# are outside: no build sees a path with blanks, and ccache hits in a second
# checkout.
if [ -n "${NOSTALE_IN_ROOT-}" ]; then
	top=/src cache=/cache
else
	top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
	cache=${XDG_CACHE_HOME:-${HOME:?HOME is not set}/.cache}/$project
fi
build=$top/build

die()
{
	echo "error: $*" >&2
	exit 1
}

# A wrong call, as opposed to a failed one.
usage_error()
{
	echo "error: $*" >&2
	exit 2
}

# Settings that count something: nobody wants to hear of it from a compiler or QEMU.
number()	# NAME...
{
	local name
	for name in "$@"; do
		[[ ${!name:-1} =~ ^[1-9][0-9]{0,17}$ ]] ||
			usage_error "$name=${!name}: not a whole number above 0"
	done
}
number CPUS JOBS ROUNDS TIMEOUT

# What the kernel is told of default domains
[[ ${IOMMU:=strict} = @(strict|lazy|passthrough) ]] ||
	usage_error "IOMMU=$IOMMU: strict, lazy or passthrough"

# The day that picks a sample, SEED=<date> or today: sets seed, and day as a number.
sample_day()
{
	seed=${SEED:-$(date +%F)}
	[[ $seed = ????-??-?? ]] && day=$(date -u -d "$seed" +%s 2> /dev/null) ||
		usage_error "SEED=$seed: not a date, as in SEED=$(date +%F)"
	day=$((day / 86400))
}

elapsed()	# SECONDS -> m:ss
{
	printf '%d:%02d' $(($1 / 60)) $(($1 % 60))
}

# Runs on the host: carry on with the same script inside the tool root.
enter_root()	# SCRIPT [ARG...]
{
	[ -z "${NOSTALE_IN_ROOT-}" ] || return 0
	local script=$1
	shift
	"$top/scripts/toolroot" ensure
	exec "$top/scripts/toolroot" run "/src/scripts/$(basename "$script")" "$@"
}

# The heartbeat of step: on a terminal the current line of the log, elsewhere
# one line every 30 s, so that neither a person nor a CI log thinks it hangs.
step_watch()	# PID LOG TITLE
{
	local start=$SECONDS now last
	while sleep 1 && kill -0 "$1" 2>/dev/null; do
		now=$((SECONDS - start))
		if [ -t 1 ]; then
			last=$(tail -n 1 "$2" 2>/dev/null | tr -d '\r' | cut -c 1-50)
			printf '\r\033[K    %s  line %s  %s' "$(elapsed $now)" \
				"$(wc -l < "$2")" "$last"
		elif [ $((now % 30)) -eq 0 ]; then
			echo "    $3: $(elapsed $now), $(wc -l < "$2") lines of ${2#"$top"/}"
		fi
	done
}

# Run one long command: title, progress, elapsed time; the output goes to
# build/log/NAME.log and its end is shown if the command fails. A command that
# fails ends the script with one line that says which.
step()	# NAME TITLE COMMAND...
{
	local name=$1 title=$2 start=$SECONDS rc=0 watcher log=$build/log/$1.log
	shift 2
	mkdir -p "$build/log"
	: > "$log"
	echo "==> $title"
	step_watch $$ "$log" "$name" &
	watcher=$!
	# Not in an "||" list: that would switch errexit off in the command.
	set +e
	(set -e; "$@") > "$log" 2>&1
	rc=$?
	set -e
	kill "$watcher" 2>/dev/null || true
	wait "$watcher" 2>/dev/null || true
	[ ! -t 1 ] || printf '\r\033[K'
	if [ $rc -ne 0 ]; then
		tail -n 15 "$log" | sed 's/^/    | /' >&2
		die "$name failed (status $rc) after $(elapsed $((SECONDS - start))); whole log: ${log#"$top"/}"
	fi
	echo "    $name: done in $(elapsed $((SECONDS - start)))"
}

# One at a time: two checkouts share the cache.
lock()	# NAME
{
	local fd
	mkdir -p "$cache"
	exec {fd}> "$cache/$1.lock"
	flock -n "$fd" || {
		echo "    waiting for another run that holds $1"
		flock "$fd"
	}
}

need_space()	# DIR MIB WHAT
{
	local free
	mkdir -p "$1" || die "cannot create $1"
	free=$(df -m --output=avail "$1" | tail -n 1)
	[ "$free" -ge "$2" ] ||
		die "$3 needs $2 MiB in $1, only $((free)) MiB are free (XDG_CACHE_HOME moves the cache)"
}

# A name for a set of inputs: 12 digits of the SHA-256 of standard input.
key()
{
	sha256sum | cut -c 1-12
}

# The script that enter_root started is process 1 of its namespace, which
# ignores what it has no handler for. When it ends, all its children do.
if [ -n "${NOSTALE_IN_ROOT-}" ]; then
	trap 'exit 130' INT
	trap 'exit 143' TERM
fi

# The files of a kernel configuration in the order in which they are laid over
# allnoconfig: its line "# base: NAME" says what it extends, if not only common.
config_fragments()	# NAME
{
	local file=$top/kernel/configs/$1.config base
	base=$(sed -n 's/^# base: //p' "$file")
	[ "$1" = common ] || config_fragments "${base:-common}"
	echo "$file"
}

# Options of make for a driver in DIR: vmlinux was configured for base and does
# not know the symbols that the series adds. The checks of the invalidation
# arrays belong to the tests, not to what is measured.
driver_options()	# DIR
{
	[ "${CONFIG-}" != gcov ] || echo GCOV_PROFILE=y
	grep -q '/test\.config$' < <(config_fragments "${CONFIG:-test}") || return 0
	! grep -q ARM_SMMU_V3_DEBUG_INVS "$1/Makefile" ||
		printf '%s\n' CONFIG_ARM_SMMU_V3_DEBUG_INVS=y \
			KCFLAGS=-DCONFIG_ARM_SMMU_V3_DEBUG_INVS=1
}

driver_folder=drivers/iommu/arm/arm-smmu-v3

# The sources of the invalidation array of DRIVER with one defect: a sed script
# (selftests/invs/defects) or, if that is empty, the bug NAME of the catalogue.
put_defect()	# DRIVER DIR NAME SCRIPT
{
	local dir=$2/$driver_folder
	rm -rf "$2"
	mkdir -p "$dir"
	cp "$1"/arm-smmu-v3-{cmd.h,invs.h,invs.c} "$dir"
	if [ -n "$4" ]; then
		sed -i "$4" "$dir"/*
	else
		GIT_CEILING_DIRECTORIES=$build git -C "$2" apply \
			--include="$driver_folder/arm-smmu-v3-invs.*" "$top/selftests/bugs/$3/bug.patch"
	fi
	! diff -q <(cat "$dir"/*.[ch]) <(cat "$1"/arm-smmu-v3-{cmd.h,invs.c,invs.h}) > /dev/null ||
		die "defect $3 changes nothing"
}

# The bugs of selftests/bugs in the order of the table of its README, one a line:
# name and number.
catalogue()
{
	awk -F '|' '/^\| / {
		number = $2
		gsub(/ /, "", number)
		while (match($4, /`[a-z0-9-]+`/)) {
			print substr($4, RSTART + 1, RLENGTH - 2), number
			$4 = substr($4, RSTART + RLENGTH)
		}
	}' "$top/selftests/bugs/README.md"
}

# The patches of the series, in order.
series()
{
	sed -e 's/#.*//' -e '/^[[:space:]]*$/d' "$top/kernel/series"
}

# The source of a driver, as one word.
driver_key()	# DRIVER-FOLDER
{
	find "$1" -maxdepth 1 -name '*.[ch]' ! -name '*.mod.c' | sort | xargs cat | key
}

# The series, as one word.
patches_key()
{
	cat "$top/kernel/series" "$top"/kernel/patches/* | key
}

# Where a result comes from, as lines of a file "run"; inside the tool root.
provenance()	# DRIVER-FOLDER
{
	echo "date=$(date -u +'%F %T') UTC"
	echo "commit=$(git -C "$top" describe --always --dirty 2> /dev/null || echo unknown)"
	echo "patches=$(patches_key)"
	echo "source=$(driver_key "$1")"
	if [ "${COMPILER-}" = clang ]; then
		echo "compiler=clang $(clang -dumpversion)"
	else
		echo "compiler=gcc $(aarch64-linux-gnu-gcc -dumpfullversion)"
	fi
	echo "qemu=$(qemu-system-aarch64 --version | sed -n '1s/.*version //p')"
}

# The mails of build/series as a maintainer takes them, on branch "mails" of DIR,
# with the files only that they touch.
take_mails()	# BASE DIR
{
	local letters
	mapfile -t letters < <(find "$build/series" -name '*.patch' ! -name '0000-*' | LC_ALL=C sort)
	git clone -q --shared --no-checkout --branch base "$1" "$2"
	sed -n 's,^diff --git a/\(.*\) b/.*,\1,p' "${letters[@]}" | sort -u |
		git -C "$2" sparse-checkout set --no-cone --stdin
	git -C "$2" checkout -q -b mails base
	GIT_COMMITTER_NAME=m GIT_COMMITTER_EMAIL=m@localhost git -C "$2" am -q "${letters[@]}"
}

# apt inside the tool root, with lists of its own in DIR, of releases of the same mirror
apt_begin()	# DIR RELEASE...
{
	local dir=$1 release
	shift
	mkdir -p "$dir"/{lists/partial,cache/archives/partial}
	for release in "$@"; do
		sed -n "s/ trixie main\$/ $release main/p" /etc/apt/sources.list
	done > "$dir/sources"
	apt_in "$dir" apt-get update
}

# A release that is not out yet has an expiry date, which a mirror may miss.
apt_in()	# DIR PROGRAM ARG...
{
	local dir=$1 program=$2
	shift 2
	"$program" -q -o Acquire::Check-Valid-Until=false -o APT::Sandbox::User=root \
		-o Dir::Etc::SourceList="$dir/sources" -o Dir::Etc::SourceParts=/dev/null \
		-o Dir::State="$dir" -o Dir::State::Status=/var/lib/dpkg/status -o Dir::Cache="$dir/cache" "$@"
}

# What the kernel of a guest complains of first, by its log on stdin
complaint()
{
	awk -f "$top/scripts/splats.awk" | sed -nE 's/^kernel log: \[[^]]*\] *//p' | head -n 1
}

# The same of a guest that is still running, or that it has said nothing for a minute
trouble()	# RESULTS
{
	sed -nE 's/^[0-9]+,[^;]*;/[] /p' "$1/kmsg.raw" | complaint
	[ -z "$(find "$1/ktap.log" -mmin +1)" ] || [ -z "$(find "$1/kmsg.raw" -mmin +1)" ] || echo hangs
}
