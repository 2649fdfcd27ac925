#!/bin/sh
# Hands the secrets that docker compose mounts as files to the service, which reads its environment only.
# None may be empty, or a word that stands in examples: `make compose-env` makes good ones.
set -eu

secret() { # NAME FILE
    value=$(cat "$2")
    case $value in
    "" | changeme | change-me | password | secret | token | admin | default | example | ganclinic | postgres)
        echo "$1 is empty or well known; set it in .env, as \`make compose-env\` does" >&2
        exit 1
        ;;
    esac
    printf %s "$value"
}

if [ -n "${GANCLINIC_TOKEN_FILE:-}" ]; then
    GANCLINIC_TOKEN=$(secret GANCLINIC_TOKEN "$GANCLINIC_TOKEN_FILE")
    export GANCLINIC_TOKEN
    unset GANCLINIC_TOKEN_FILE
fi
if [ -n "${POSTGRES_PASSWORD_FILE:-}" ]; then
    PGPASSWORD=$(secret POSTGRES_PASSWORD "$POSTGRES_PASSWORD_FILE") # taken by PostgreSQL's own client library
    export PGPASSWORD
    unset POSTGRES_PASSWORD_FILE
fi
exec "$@"
