"""The version of what specs can say."""

SPEC_VERSION = 1
