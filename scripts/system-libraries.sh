#!/bin/sh
# Makes sure that the mongod of the `embedded` extra finds its system libraries: installs the missing ones with apt-get
# when run as root, names their Debian packages otherwise.
# Usage: system-libraries.sh VENV
set -eu
[ "$(uname -s)" = Linux ] || exit 0
venv=$1

missing() {
    for mongod in "$venv"/lib/python3*/site-packages/fiftyone/db/bin/mongod; do
        [ ! -f "$mongod" ] || ldd "$mongod" | awk '/not found/ { print $1 }' | sort -u
    done
}

packages=
for library in $(missing); do
    case $library in
    libcurl.so.4) package=libcurl4 ;;
    libssl.so.3 | libcrypto.so.3) package=libssl3 ;;
    liblzma.so.5) package=liblzma5 ;;
    libgssapi_krb5.so.2) package=libgssapi-krb5-2 ;;
    *) continue ;; # no package known: named below
    esac
    case " $packages " in *" $package "*) ;; *) packages="${packages:+$packages }$package" ;; esac
done
[ -n "$(missing)" ] || exit 0

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null && [ -n "$packages" ]; then
    echo "Installing what mongod needs from the system: $packages"
    # shellcheck disable=SC2086
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $packages; } >/dev/null </dev/null
    [ -n "$(missing)" ] || exit 0
fi
echo "error: mongod does not start here: missing $(missing | tr '\n' ' ')" >&2
echo "On Debian and Ubuntu: sudo apt-get install ${packages:-libcurl4 libssl3 liblzma5}" >&2
echo "Or put a mongod on PATH (or name it with LSB_MONGOD); or use servers of your own (compose.yaml starts both)." >&2
exit 1
