# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
# Results of guest and host as one TAP stream. To be sourced.

# Read the parts' results and print them as one: numbered through, each name with its section. A part
# that ends before its plan is a failure. Ends at the line "end"; fails if anything was not ok.
join_results() {
	local line section='' number=0 left=0 failed=0 verdict

	while IFS= read -r line; do
		case $line in
		1..* | section\ * | end)
			if [ "$left" -gt 0 ]; then
				number=$((number + 1)) failed=1
				echo "not ok $number - $section: $left results are missing"
			fi
			left=0
			;;
		esac
		case $line in
		end) break ;;
		section\ *) section=${line#section } ;;
		1..*) left=${line#1..} ;;
		ok\ * | not\ ok\ *)
			verdict=${line%%ok *}ok
			[ "$verdict" = ok ] || failed=1
			number=$((number + 1)) left=$((left - 1))
			echo "$verdict $number - $section: ${line#* - }"
			;;
		\#*) echo "$line" ;;
		?*) echo "# $line" ;;
		esac
	done
	echo "1..$number"
	return "$failed"
}

# results_start WORK: from here on, what is written to WORK/output is the guest's part of the results.
results_start() {
	mkfifo "$1/output"
	exec 7<>"$1/output"
	join_results <"$1/output" &
	RESULTS_JOINER=$!
}

# results_end WORK STATUS: the last result is whether the guest ran to its end. Fails if anything was not
# ok.
results_end() {
	{
		echo "section guest"
		echo "1..1"
		if [ "$2" = 0 ]; then
			echo "ok 1 - it ran to its end"
		else
			echo "not ok 1 - it ran to its end"
			results_explain "$1" "$2" | sed 's/^/# /'
		fi
		echo "end"
	} >&7
	wait "$RESULTS_JOINER"
}

# Why the guest did not end well, if anything here knows.
results_explain() {
	[ "$2" != 125 ] || guest_explain "$1"
	echo "status $2; what the guest and the host's programs said:"
	tail -q -n 100 "$1/errors" "$1/programs" "$1"/serve-* 2>/dev/null || true
}

# one NAME COMMAND…: a result of the host. $work is its place for notes.
one() {
	local name=$1
	shift

	echo "1..1"
	# shellcheck disable=SC2154
	if "$@" >"$work/one" 2>&1; then
		echo "ok 1 - $name"
	else
		sed 's/^/# /' "$work/one"
		echo "not ok 1 - $name"
	fi
}
