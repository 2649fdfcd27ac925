#!/bin/sh
# Hands the secrets that docker compose mounts as files to the service, which reads its environment only.
# None may be empty, or a word that stands in examples: `make compose-env` makes good ones.
set -eu

secret() { # NAME FILE
    value=$(cat "$2")
    case $value in
    "") what="is empty" ;;
    changeme | change-me | password | secret | token | admin | default | example | ganclinic | postgres)
        what="is a word that stands in examples"
        ;;
    *)
        printf %s "$value"
        return
        ;;
    esac
    echo "$1 $what; set one that nobody can guess in .env, as \`make compose-env\` does" >&2
    exit 1
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
