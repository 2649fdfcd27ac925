"""`python -m api.openapi > tests/unit/api/openapi.json`: the OpenAPI document of this API."""

import json
import sys
from typing import Any

from pydantic import SecretStr

from api.app import create_app
from store.core.settings import Settings


def openapi_document() -> dict[str, Any]:
    """The OpenAPI document; touches no file and no database."""
    return create_app(Settings(token=SecretStr("of no service at all"))).openapi()


def main() -> None:
    """Writes the document to standard output."""
    sys.stdout.write(json.dumps(openapi_document(), indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
