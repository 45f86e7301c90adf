#!/bin/sh
# build_deb.sh [--test]: Debian packages in build/deb; see tools/debian/README.md. Ends with an error where lintian finds
# something.
set -eu
cd "$(dirname "$0")/.."

tools/install_packages.sh build-essential dpkg-dev debhelper fakeroot lintian cmake ninja-build pkg-config protobuf-c-compiler \
  libprotobuf-c-dev libpng-dev libjpeg-dev zlib1g-dev
version=$(sed -n 's/^#define NORMA_VERSION_[A-Z]* //p' engine/norma.h | paste -sd.)
maintainer=$(sed -n 's/^Maintainer: //p' tools/debian/control)
work=build/deb
source=$work/norma-$version
rm -rf "$work"
mkdir -p "$source"
git ls-files -z --cached --others --exclude-standard | tar --null --files-from=- -cf - | tar -xf - -C "$source"

# ---- debian/
debian=$source/debian
cp -r tools/debian "$debian"
rm "$debian/README.md"
for more in tools/*/debian; do
  [ -f "$more/control" ] || continue
  { echo; cat "$more/control"; } >>"$debian/control"
  for file in "$more"/*; do
    [ "$(basename "$file")" = control ] || cp -r "$file" "$debian"
  done
done
{
  printf 'norma (%s) unstable; urgency=medium\n\n' "$version"
  printf '  * Release %s: see CHANGELOG.md.\n\n' "$version"
  printf ' -- %s  %s\n' "$maintainer" "$(date -R -d "@$(git log -1 --format=%ct)")"
} >"$debian/changelog"
sed -n 's/^NORMA_API [^(]*[ *]\(norma_[a-z0-9_]*\)(.*/\1/p' engine/norma.h | sort -u | while read -r function; do
  release=$(sed -n "s/^$function //p" engine/abi/released.txt)
  release=${release:-${version%.*}}
  echo " $function@NORMA_$release $release"
done >"$work/symbols"
{
  echo "libnorma.so.${version%%.*} libnorma${version%%.*} #MINVER#"
  echo "* Build-Depends-Package: libnorma-dev"
  sed 's/.*@\(NORMA_[0-9.]*\) \(.*\)/ \1@\1 \2/' "$work/symbols" | sort -u
  cat "$work/symbols"
} >"$debian/libnorma${version%%.*}.symbols"

# ---- packages
(cd "$source" && DEB_BUILD_OPTIONS="parallel=${JOBS:-$(nproc)} ${DEB_BUILD_OPTIONS-}" dpkg-buildpackage -us -uc) \
  >"$work/build.log" 2>&1 || { tail -n 40 "$work/build.log"; exit 1; }
if grep -E 'dpkg-gensymbols: warning|dh_missing: warning' "$work/build.log"; then exit 1; fi
ls -l "$work"/*.deb
lintian --fail-on error,warning,info --info --display-info --tag-display-limit 0 --profile debian "$work"/*.changes \
  >"$work/lintian.log" 2>&1 || { cat "$work/lintian.log"; exit 1; }
echo "lintian finds nothing"
[ "${1-}" = --test ] || exit 0

# ---- installed, tested as autopkgtest does it, and removed
as_root=
[ "$(id -u)" = 0 ] || as_root=sudo
packages=$(cd "$work" && for deb in *.deb; do case $deb in *-dbgsym_*) ;; *) echo "${deb%%_*}" ;; esac; done)
debs=$(for package in $packages; do echo "$work/${package}_"*.deb; done)
# shellcheck disable=SC2046,SC2086
$as_root env DEBIAN_FRONTEND=noninteractive apt-get -qy --no-install-recommends install \
  $(for deb in $debs; do echo "./$deb"; done) >"$work/install.log" 2>&1 || { tail -n 20 "$work/install.log"; exit 1; }
code=0
for test in $(sed -n 's/^Tests: //p' "$debian/tests/control"); do
  if (cd "$source" && sh "debian/tests/$test") >"$work/test-$test.log" 2>&1; then
    echo "passed: $test"
  else
    echo "FAILED: $test"
    tail -n 20 "$work/test-$test.log"
    code=1
  fi
done
# shellcheck disable=SC2086
$as_root apt-get -qy purge $packages >"$work/remove.log" 2>&1 || { tail -n 20 "$work/remove.log"; code=1; }
left=$(ls -d /usr/include/norma.h /usr/bin/norma /usr/lib/*/libnorma.* /usr/share/doc/norma /usr/share/doc/libnorma[0-9-]* \
  2>/dev/null || true)
[ -z "$left" ] || { echo "FAILED: left behind: $left"; code=1; }
exit $code
