#!/bin/sh
# Installs the Debian packages that the build and the tests need. As root it installs what is
# missing; otherwise it prints the one line to run.
#
#   scripts/setup.sh build    what `make demo` needs
#   scripts/setup.sh test     that, and a JDK and Maven for tests against a real Apache Kafka
set -eu

build="clang libclang-dev libssl-dev zlib1g-dev pkg-config make g++ curl ca-certificates"
test="openjdk-17-jre-headless maven"

case "${1:-build}" in
    build) packages=$build ;;
    test) packages="$build $test" ;;
    *) echo "usage: $0 [build|test]" >&2; exit 2 ;;
esac

if ! command -v cargo >/dev/null 2>&1; then
    echo "Rust is missing (or not on the PATH). Run this, then make again:" >&2
    echo "  curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y && . ~/.cargo/env" >&2
    exit 1
fi

if ! command -v dpkg-query >/dev/null 2>&1; then
    echo "This is no Debian: make sure that the equivalents of these are installed: $packages"
    exit 0
fi

missing=
for package in $packages; do
    status=$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null || true)
    [ "$status" = installed ] || missing="$missing $package"
done

if [ -z "$missing" ]; then
    exit 0
fi
if [ "$(id -u)" = 0 ]; then
    echo "Installing Debian packages:$missing"
    apt-get update -q
    DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $missing
else
    echo "These packages are missing. Run this, then make again:" >&2
    echo "  sudo apt-get install -y --no-install-recommends$missing" >&2
    exit 1
fi
