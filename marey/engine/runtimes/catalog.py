"""The forms that marey knows, by name."""

from __future__ import annotations

from collections.abc import Iterable

from marey.engine.runtimes.form import Form
from marey.engine.runtimes.onnx_runtime import ONNX_RUNTIME_FORMS
from marey.engine.runtimes.openvino_runtime import OPENVINO_FORMS
from marey.engine.runtimes.torch_forms import PLAIN, TORCH_FORMS
from marey.errors import did_you_mean

__all__ = ["FORMS", "PLAIN", "find_form", "forms_named"]

FORMS: tuple[Form, ...] = (*TORCH_FORMS, *ONNX_RUNTIME_FORMS, *OPENVINO_FORMS)


def find_form(name: str) -> Form | None:
    """The form of that name; None if there is none."""
    return next((form for form in FORMS if form.name == name), None)


def forms_named(names: Iterable[str]) -> tuple[Form, ...]:
    """The forms of these names, all where there are none; ValueError for a name of none."""
    wanted = list(names)
    for name in wanted:
        if find_form(name) is None:
            hint = did_you_mean(name, [form.name for form in FORMS])
            raise ValueError(f"there is no form '{name}'. hint: {hint}")
    return tuple(form for form in FORMS if not wanted or form.name in wanted)
