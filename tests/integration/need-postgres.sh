#!/bin/sh
# Install Debian's PostgreSQL for the tests that need it; without the right to do so they are skipped, and say why.
ls -d /usr/lib/postgresql/*/bin >/dev/null 2>&1 && exit 0
apt-get install --yes --quiet --no-install-recommends postgresql || echo "no PostgreSQL: its tests are skipped"
