#!/bin/sh
# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# `make lock`: what each of these files of requirements comes to today, with the digests of all files.
set -eu
cd "$(dirname "$0")/../requirements"
for name in dev docs package release; do
    new=../.cache/release/$name.lock
    pip-compile --quiet --upgrade --generate-hashes --strip-extras --allow-unsafe --no-header --no-emit-index-url \
        --no-emit-find-links --no-emit-trusted-host --output-file "$new" "$name.txt"
    {
        sed -n '1,3p' "$name.txt"
        echo "# What $name.txt came to when it was last looked at, for Python 3.11, with the digests of all files: \`make lock\`"
        echo "# writes it. A release is checked and made with just these."
        cat "$new"
    } > "$name.lock.new"
    mv "$name.lock.new" "$name.lock"
done
