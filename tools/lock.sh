#!/bin/sh
# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Writes requirements/dev.lock from requirements/dev.txt: `make lock`. Its head stays as it is.
set -eu
cd "$(dirname "$0")/.."
lock=requirements/dev.lock new=.cache/release/dev.lock
pip-compile --quiet --upgrade --generate-hashes --strip-extras --allow-unsafe --no-header --no-emit-index-url \
    --no-emit-find-links --no-emit-trusted-host --output-file "$new" requirements/dev.txt
{ sed -n '/^#/p; /^[^#]/q' "$lock" | grep '^#'; cat "$new"; } > "$lock.new"
mv "$lock.new" "$lock"
