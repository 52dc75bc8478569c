# Copyright: (c) 2026, the pve.provision authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the embedded node refuses: one exception that both the commands and the HTTPS API know how to word."""

from __future__ import annotations

import errno as errnos
from collections.abc import Mapping

INVALID = "Parameter verification failed."


class ApiError(Exception):
    """An API call that failed.

    ``status`` is the HTTP status; 500 stands for a plain ``die`` whose message the commands print as it is, any other
    status is printed before the message. ``exit_code`` is what a command exits with: the errno that was left over where
    the real code died, 255 when there was none.
    """

    def __init__(
        self,
        message: str,
        status: int = 500,
        errors: Mapping[str, str] | None = None,
        exit_code: int = 255,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.errors = dict(errors or {})
        self.exit_code = exit_code

    @property
    def command_text(self) -> str:
        """What a command writes to stderr, without the usage line."""
        text = self.message if self.status == 500 else f"{self.status} {self.message}"
        names = sorted(self.errors) if self.status == 400 else list(self.errors)
        lines = [text, *(f"{name}: {self.errors[name]}" for name in names)]
        return "".join(f"{line}\n" for line in lines)


def failure_text(error: ApiError | OSError) -> str:
    """What a task that died of this tells at its end. An OSError is a race lost against another command."""
    return error.command_text.rstrip("\n") if isinstance(error, ApiError) else str(error)


class Interrupted(BaseException):
    """The command got SIGTERM or SIGINT. Not an Exception: nothing may swallow it on the way out."""


def bad_params(**errors: str) -> ApiError:
    """A 400 with one message a parameter; ``_`` in a name stands for ``-``."""
    return ApiError(INVALID, 400, {name.replace("_", "-"): text for name, text in errors.items()})


def forbidden(what: str, exit_code: int = 255) -> ApiError:
    """A 403 as every permission check words it; it may name nothing."""
    return ApiError(f"Permission check failed{f' ({what})' if what else ''}", 403, exit_code=exit_code)


def no_such_file(message: str) -> ApiError:
    """A ``die`` right after a file was not found: commands exit with ENOENT."""
    return ApiError(message, exit_code=errnos.ENOENT)
