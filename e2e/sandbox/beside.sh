#!/usr/bin/env bash
# Usage: beside.sh NAME COMMAND [ARGUMENT...] -- COMMAND [ARGUMENT...]
#
# Runs two commands at once: the first with what processor time the second leaves (a
# tenth where both compute, a third beside a build of the sandbox's, less beside pods),
# and its lines marked with its name. Where one fails the other is ended as well, and
# the status is that of the one that failed.
set -uo pipefail
name=$1
shift
beside=()
while [ "$1" != -- ]; do
	beside+=("$1")
	shift
done
shift

jobs=()
end() { for job in "${jobs[@]}"; do kill -"$1" -- -"$job" 2>/dev/null; done; }
stopped=
trap 'stopped=INT; end INT' INT
trap 'stopped=TERM; end TERM' TERM HUP

# Each is a group of processes, which can be ended as a whole.
set -m
{ nice -n 10 "${beside[@]}" 2>&1 | sed -u "s/^/[$name] /"; } &
jobs+=($!)
"$@" &
jobs+=($!)
set +m
[ -z "$stopped" ] || end "$stopped"

failed=0
for _ in "${jobs[@]}"; do
	wait -n
	status=$?
	if [ -n "$stopped" ]; then
		# A shell may miss a signal while it starts a command.
		set -m
		{ sleep 10 && end TERM; } &
		set +m
		wait "${jobs[@]}"
		kill -- -"$!" 2>/dev/null
		trap - "$stopped"
		kill -"$stopped" $$
	fi
	if [ "$status" -ne 0 ] && [ "$failed" -eq 0 ]; then
		failed=$status
		end TERM
	fi
done
exit "$failed"
