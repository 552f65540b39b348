#!/usr/bin/env bash
# Starts mongod as a replica set member with passwords on. Members know each other by a key file;
# it is made on the first start and kept in the configuration volume.
set -euo pipefail
key=/data/configdb/keyfile
if [[ ! -s $key ]]; then
  (umask 077 && head -c 700 /dev/urandom | base64 -w 0 >"$key.new")
  chown mongodb:mongodb "$key.new"
  chmod 400 "$key.new"
  mv "$key.new" "$key"
fi
exec docker-entrypoint.sh mongod --replSet rs0 --keyFile "$key" --bind_ip_all
