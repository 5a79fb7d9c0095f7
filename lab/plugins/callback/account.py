# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright the blumeops.registry authors
"""A plain account of a run: what changed, what was said, what failed; nothing about what stayed as it was."""

from __future__ import annotations

from typing import Any

DOCUMENTATION = r"""
name: account
type: stdout
short_description: A plain account of a run
description:
  - Prints the tasks that changed something with their diff, the messages of a play, and what failed.
extends_documentation_fragment:
  - default_callback
"""

from ansible.plugins.callback import CallbackBase


class CallbackModule(CallbackBase):
    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "account"

    def v2_runner_on_ok(self, result: Any) -> None:
        said = result.result
        name = result.task.get_name().rpartition(" : ")[2]
        if self._plays(result) and "msg" in said and not said.get("changed"):
            lines = said["msg"] if isinstance(said["msg"], list) else str(said["msg"]).splitlines()
            for line in lines:
                self._display.display(f"    {line}")
        elif said.get("changed") and "results" not in said:
            self._display.display(f"  * {name}", color="yellow")
            self._show_diff(said)

    def v2_runner_item_on_ok(self, result: Any) -> None:
        if result.result.get("changed"):
            self._display.display(f"  * {result.task.get_name().rpartition(' : ')[2]}", color="yellow")
            self._show_diff(result.result)

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        if not ignore_errors:
            self._display.display(f"  ! {result.result.get('msg', 'failed')}", color="red")

    v2_runner_item_on_failed = v2_runner_on_failed

    def v2_runner_on_unreachable(self, result: Any) -> None:
        self._display.display(f"  ! {result.result.get('msg', 'unreachable')}", color="red")

    def v2_playbook_on_stats(self, stats: Any) -> None:
        for host in sorted(stats.processed):
            told = stats.summarize(host)
            self._display.display(f"  {host}: {told['ok']} ok, {told['changed']} changed, {told['failures']} failed")

    @staticmethod
    def _plays(result: Any) -> bool:
        return str(result.task.action).rpartition(".")[2] == "debug"

    def _show_diff(self, said: dict[str, Any]) -> None:
        for one in said["diff"] if isinstance(said.get("diff"), list) else [said.get("diff")]:
            text = self._get_diff(one) if one else ""
            for line in text.splitlines() if self._diff_wanted() else []:
                self._display.display(f"      {line}")

    def _diff_wanted(self) -> bool:
        from ansible import context

        return bool(context.CLIARGS.get("diff"))
