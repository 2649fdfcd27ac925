#!/bin/sh
# Hands the secrets that docker compose mounts as files to the service, which reads its environment only.
set -eu
if [ -n "${GANCLINIC_TOKEN_FILE:-}" ]; then
    GANCLINIC_TOKEN=$(cat "$GANCLINIC_TOKEN_FILE")
    export GANCLINIC_TOKEN
    unset GANCLINIC_TOKEN_FILE
fi
if [ -n "${POSTGRES_PASSWORD_FILE:-}" ]; then
    PGPASSWORD=$(cat "$POSTGRES_PASSWORD_FILE") # taken by PostgreSQL's own client library
    export PGPASSWORD
    unset POSTGRES_PASSWORD_FILE
fi
exec "$@"
