#!/bin/sh
# Fails if the address of a package registry stands in the tree, or anything but pins in constraints.txt. Everybody's
# registry is the one that their own package manager is set up for.
set -eu
# Written in halves, so that this file does not find itself.
hosts='pyp''i\.org|pythonhost''ed\.org|npm''js\.(org|com)|deb\.deb''ian\.org|archive\.ubun''tu\.com|anacon''da\.(org|com)'
options='--(extra-)?index-''url|--find-''links|--trusted-''host'
status=0
git grep --untracked -nIiE -e "$hosts" -e "$options" || status=$?
case $status in
0) echo 'error: registry addresses (above) do not belong in the repository' >&2 && exit 1 ;;
1) ;;
*) exit "$status" ;; # git's own error: nothing was looked at
esac
if grep -nvE '^[A-Za-z0-9._-]+==[A-Za-z0-9.!+_-]+$' constraints.txt; then
    echo 'error: constraints.txt holds more than name==version (above)' >&2
    exit 1
fi
