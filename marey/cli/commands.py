"""The commands of `marey`, each made when it is asked for.

`marey --help` shows a line of each, and a command line names one; so what a command is made of (its
module, its options) is not looked at before somebody means it.
"""

from __future__ import annotations

from collections import UserDict
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar

import typer
from typer.core import TyperCommand, TyperGroup
from typer.models import CommandInfo

from marey.storage.expected import expected

if TYPE_CHECKING:
    from pydantic import ValidationError


@dataclass(frozen=True)
class Entry:
    """Where a command is, and what the list of all says of it.

    Args:
        where: module:name, of a function that does the command, or of a `Typer` of several.
        says: its line in the list: the first paragraph of its help.
        panel: the title of the part of the list that it stands in.
        is_quiet: whether it gets an option -q.
        is_hidden: whether the list leaves it out.
        takes_more: whether it gets the words that it has no option for.
        serves: whether it is a server, which being asked to stop ends well.
    """

    where: str
    says: str
    panel: str = ""
    is_quiet: bool = False
    is_hidden: bool = False
    takes_more: bool = False
    serves: bool = False

    def make(self, name: str) -> Any:
        """The command, with all its options."""
        from typer.main import get_command_from_info, get_group

        from marey.cli.shared import out_either_way, quietly

        module, _, attribute = self.where.partition(":")
        found = getattr(import_module(module), attribute)
        if isinstance(found, typer.Typer):
            group = get_group(found)
            group.name = name
            return group
        does = out_either_way(found)
        return get_command_from_info(
            CommandInfo(
                name,
                callback=quietly(does) if self.is_quiet else does,
                hidden=self.is_hidden,
                context_settings={"allow_extra_args": True} if self.takes_more else None,
            ),
            pretty_exceptions_short=False,
            rich_markup_mode="rich",
        )


class Made(UserDict[str, Any]):
    """The commands by name; one that is asked for is made, and kept."""

    def __getitem__(self, name: str) -> Any:
        found = self.data[name]
        if isinstance(found, Entry):
            found = self.data[name] = found.make(name)
        return found


class Commands(TyperGroup):
    """The group of all commands, of which `ENTRIES` of a subclass says where they are."""

    ENTRIES: ClassVar[Mapping[str, Entry]]

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands = Made(self.ENTRIES)

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002
        """Their names; none of them is made for it."""
        return list(self.ENTRIES)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """The help, with the line of each command."""
        lines: dict[str, Any] = {
            name: TyperCommand(
                name,
                help=entry.says,
                hidden=entry.is_hidden,
                rich_help_panel=entry.panel or None,
            )
            for name, entry in self.ENTRIES.items()
        }
        TyperGroup(
            name=self.name,
            help=self.help,
            params=self.params,
            commands=lines,
            rich_markup_mode=self.rich_markup_mode,
        ).format_help(ctx, formatter)

    def invoke(self, ctx: Any) -> Any:
        """Do what the command line says; typer.BadParameter of a value that it cannot have."""
        try:
            return super().invoke(ctx)
        except typer.BadParameter as error:
            from pydantic import ValidationError

            if isinstance(error.__cause__, ValidationError):  # newer releases of typer check by it
                error.message = in_words(error.__cause__)
            raise


def in_words(fault: ValidationError) -> str:
    """What the value is and what was expected."""
    first = fault.errors()[0]
    wanted = expected(first)
    if not wanted:
        return first["msg"].removeprefix("Value error, ")
    return f"it is {first['input']!r}, expected {wanted}"
