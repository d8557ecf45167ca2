"""The command `marey doctor`."""

from __future__ import annotations

from marey.cli.shared import console
from marey.cli.tables import AsJson, print_json


def doctor(as_json: AsJson = False) -> None:
    """Show versions, devices, instruction sets, codecs, the cache and what is optional here."""
    from marey.engine.doctor import facts

    found = facts()
    if as_json:
        print_json(found)
        return
    width = max(map(len, found))
    for name, value in found.items():
        console.print(f"{name:{width}}  {value}", markup=False)
