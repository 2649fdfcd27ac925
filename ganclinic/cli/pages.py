"""`ganclinic open`: the dashboard in a browser."""

import argparse
import re
import webbrowser
from urllib.parse import urlsplit

from rich.text import Text

from ganclinic.cli.output import Output
from ganclinic.config import ConfigSources, find_home, find_service, running_service
from ganclinic.errors import InvalidInput
from ganclinic.links import make_link

RUN_ID = re.compile("[0-9a-f]{16}")


def open_pages(output: Output, options: argparse.Namespace, around: ConfigSources) -> int:
    """Opens the service's pages, already logged in where the service runs from our state directory."""
    if options.run is not None and not RUN_ID.fullmatch(options.run):
        raise InvalidInput(f"'{options.run}' is not a run's id: 16 hexadecimal digits, as `ganclinic ls` lists them.")
    address = _address(options.run, options.url, around)
    if options.only_print or not _opens(address):
        output.results.print(Text(address), soft_wrap=True)
        if not options.only_print:
            output.note(_elsewhere(address))
    return 0


def _address(run: str | None, url: str | None, around: ConfigSources) -> str:
    wanted, home = find_service(around, url=url).url, find_home(around)
    running = running_service(home)
    if running is not None and running.url.rstrip("/") == wanted:
        return f"{wanted}{make_link(home)}{'' if run is None else f'/{run}'}"
    return f"{wanted}{'/' if run is None else f'/runs/{run}'}"  # the page asks for the token


def _opens(address: str) -> bool:
    """Whether a graphical browser takes it; one in the terminal would run no script."""
    try:
        browser = webbrowser.get()
    except webbrowser.Error:
        return False
    if type(browser).__name__ == "GenericBrowser":
        return False
    return browser.open(address)


def _elsewhere(address: str) -> str:
    port = urlsplit(address).port or 80
    return (
        "No browser can be opened here. On your own machine run: "
        f"ssh -L {port}:127.0.0.1:{port} THIS_MACHINE, then open the link there within two minutes."
    )
