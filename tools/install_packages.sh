#!/bin/sh
# install_packages.sh PACKAGE...: installs those Debian packages that are missing, as root or through sudo, without
# questions. With all of them there it needs neither network nor rights.
set -eu

native=$(dpkg --print-architecture)
missing=
for package in "$@"; do
  case $package in *:*) accepted=${package#*:} ;; *) accepted=$native ;; esac
  dpkg-query -W -f='${Status} ${Architecture}\n' "$package" 2>/dev/null |
    grep -qxE "install ok installed ($accepted|all)" || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

echo "Installing$missing"
if [ "$(id -u)" = 0 ]; then
  as_root=
elif command -v sudo >/dev/null; then
  as_root=sudo
else
  echo "install_packages.sh: run as root or install sudo; missing:$missing" >&2
  exit 1
fi
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# Lists that cannot be refreshed may still do: the installation decides.
$as_root apt-get -q update >"$log" 2>&1 </dev/null || true
# shellcheck disable=SC2086
if ! $as_root env DEBIAN_FRONTEND=noninteractive apt-get -qy --no-install-recommends install $missing \
    >>"$log" 2>&1 </dev/null; then
  tail -n 20 "$log" >&2
  echo "install_packages.sh: cannot install$missing" >&2
  exit 1
fi
