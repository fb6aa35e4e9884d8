#!/bin/sh
# Prints an SSLConfig for --ssl_config_file from PEM files: ssl_config.sh KEY CERTIFICATE [AUTHORITY_OF_CLIENTS]
# With the third file it is mutual TLS.
set -eu
if [ $# -lt 2 ] || [ $# -gt 3 ]; then
    echo "usage: $0 KEY CERTIFICATE [AUTHORITY_OF_CLIENTS]" >&2
    exit 2
fi

for file; do
    grep -q -e '-----BEGIN ' -- "$file" || { echo "$0: $file is no PEM file that can be read" >&2; exit 1; }
done

field() {
    printf '%s: "' "$1"
    tr -d '\r' < "$2" | awk '{ printf "%s\\n", $0 }'
    printf '"\n'
}

field server_key "$1"
field server_cert "$2"
if [ $# -eq 3 ]; then
    field custom_ca "$3"
    echo 'client_verify: true'
fi
