#!/bin/sh
# Makes sure that the mongod of the `embedded` extra finds its system libraries, and tests of pages a browser: installs
# what is missing with apt-get when run as root, names the Debian packages otherwise.
# Usage: system-libraries.sh VENV
set -eu
[ "$(uname -s)" = Linux ] || exit 0
venv=$1

can_install() {
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null
}

apt_install() {
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"; } >/dev/null </dev/null
}

# Only who develops has selenium. Without a browser its tests are skipped, or fail where CI is set.
has_browser() {
    command -v chromedriver >/dev/null && { command -v chromium || command -v google-chrome; } >/dev/null
}
if ls -d "$venv"/lib/python3*/site-packages/selenium >/dev/null 2>&1 && ! has_browser; then
    if can_install; then
        echo "Installing a browser for tests of pages: chromium chromium-driver"
        apt_install chromium chromium-driver fonts-liberation || echo "warning: it could not be installed" >&2
    else
        echo "For tests of pages, on Debian: sudo apt-get install chromium chromium-driver"
    fi
fi

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

if [ -n "$packages" ] && can_install; then
    echo "Installing what mongod needs from the system: $packages"
    # shellcheck disable=SC2086
    apt_install $packages
    [ -n "$(missing)" ] || exit 0
fi
echo "error: mongod does not start here: missing $(missing | tr '\n' ' ')" >&2
echo "On Debian and Ubuntu: sudo apt-get install ${packages:-libcurl4 libssl3 liblzma5}" >&2
echo "Or put a mongod on PATH (or name it with LSB_MONGOD); or use servers of your own (compose.yaml starts both)." >&2
exit 1
