#!/usr/bin/env bash
# Usage: hugepages.sh COMMAND [ARGUMENT...]
#
# Runs a command while Linux gives every process transparent huge pages, as the
# kernels of Debian do by themselves, and puts the setting back after it: on
# virtual machines whose kernel leaves it to the programs ("madvise", which Go's
# heap never asks for), compilers take up to 40% less time with them. Nothing is
# changed where the setting is another, where it cannot be written, and with
# HUGE_PAGES=no.
set -u
setting=${HUGE_PAGES_SETTING:-/sys/kernel/mm/transparent_hugepage/enabled}

# Of several commands that run at once the first sets and puts back.
if [ "${HUGE_PAGES:-yes}" != no ] && grep -qs '\[madvise\]' "$setting" && { echo always >"$setting"; } 2>/dev/null; then
	trap 'echo madvise >"$setting"' EXIT
	# The command hears of an interrupt too; this waits for its end.
	trap : INT TERM HUP
fi
"$@"
