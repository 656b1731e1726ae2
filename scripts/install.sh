#!/bin/sh
# Installs this checkout, editable and with the given extras, into a virtual environment, which it makes if need be.
# Usage: install.sh VENV EXTRAS        (PYTHON=python3.12 chooses the interpreter)
set -eu
venv=$1 extras=$2

fail() {
    printf 'error: %s\n' "$@" >&2
    exit 1
}

if [ ! -x "$venv/bin/python" ] || ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
    python=
    for name in ${PYTHON:-python3.13 python3.12 python3.11 python3}; do
        if "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            python=$name
            break
        fi
    done
    [ -n "$python" ] || fail "no Python 3.11 or newer found (looked for: ${PYTHON:-python3.13 python3.12 python3.11 python3})." \
        "Install one, or name it: make setup PYTHON=/path/to/python"
    version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    "$python" -c 'import ensurepip, venv' 2>/dev/null || fail "$python has no venv module." \
        "On Debian and Ubuntu: apt-get install python$version-venv"
    rm -rf "$venv"
    "$python" -m venv "$venv"
fi

printf 'Installing langgraph-session-bridge[%s] into %s (once; a minute or so) ...\n' "$extras" "$venv"
log=$venv/install.log
install() {
    # Unlike --constraint, the variables also pin what builds the package (the second one for pip 25.3 and later).
    PIP_CONSTRAINT=constraints.txt PIP_BUILD_CONSTRAINT=constraints.txt \
        "$venv/bin/python" -m pip install --no-input -e ".[$extras]" "$@" 2>&1 || echo "failed: $?"
}
progress() {
    n=0
    while read -r line; do
        case $line in
        *.metadata*) ;;
        "Downloading "*.whl* | "Using cached "*.whl*) n=$((n + 1)) && printf '\r\033[K  %d  %s' "$n" "${line#Using cached }" ;;
        "Installing collected"*) printf '\r\033[K  unpacking' ;;
        esac
    done
    printf '\r\033[K'
}
if [ -t 1 ]; then
    install | tee "$log" | progress
else
    install --quiet >"$log"
fi
case $(tail -n 1 "$log") in
"failed: "*)
    grep -i 'error' "$log" >&2 || tail -n 20 "$log" >&2
    fail "pip could not install the dependencies; all it said is in $log"
    ;;
esac
