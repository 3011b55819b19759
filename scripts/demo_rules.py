"""The last part of the demo: the daemon runs, people act in the portal, rules react and say why."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from demo_stage import Stage
from serving import serving
from subprocesses import Failed

USER_FIELDS = [
    {"ENTITY_ID": "CRM_DEAL", "FIELD_NAME": "DEMO_CALLBACK", "USER_TYPE_ID": "datetime", "LABEL": "Дата перезвона"},
    {"ENTITY_ID": "CRM_DEAL", "FIELD_NAME": "DEMO_REFUSED", "USER_TYPE_ID": "boolean", "LABEL": "Отказ"},
]
CALLBACK, REFUSED = "UF_CRM_DEMO_CALLBACK", "UF_CRM_DEMO_REFUSED"
PROMISED = "2027-03-01T15:30:00+03:00"
WAIT_S = 60.0


class RulesAct:
    """People at work beside the daemon. `stages`: the name of a stage to leave and of one to enter."""

    def __init__(self, stage: Stage, pipeline: str, stages: tuple[str, str], failed_stage: str) -> None:
        self._stage = stage
        self._from, self._to = stages
        self._rules = "\n".join(
            [
                "[rules.first_call]",
                f'pipeline = "{pipeline}"',
                f'stage = "{self._to}"',
                "[rules.callback]",
                "[rules.refusal]",
                f'failed_stage = "{failed_stage}"',
            ]
        )

    def play(self) -> None:
        """Everything. Raises Failed."""
        stage = self._stage
        why = "It looks at every deal once; what is there already is no reason to act."
        with stage.step("The daemon: b24sync serve", why):
            deals = self._deals()
            config = stage.folder / "config.toml"
            with serving(config, stage.sandbox, self._rules):
                stage.say(f"   It is ready and watches {len(deals):,} deals with three rules.")
                chosen = [deal for deal in deals if deal["stageId"] == self._stage_id(self._from)][:3]
                for deal, act in zip(chosen, (self._move, self._promise, self._refuse), strict=True):
                    act(int(deal["id"]))
                self._explain(int(chosen[0]["id"]))
        with stage.step("Promises of the rules", "Read from the sandbox, as before."):
            tasks = stage.sandbox.state("tasks")
            stage.promise("tasks in the portal: one for each act, none for imported deals", len(tasks), 2)
            copies = stage.sandbox.state("origin_pairs", originatorId="b24sync-refusal")
            stage.promise("copies of the refused deal", len(copies), 1)

    def _move(self, deal: int) -> None:
        self._say(f"Somebody moves deal {deal} to «{self._to}».")
        self._act("deal.move", id=deal, stage=self._to)
        self._tell(lambda: self._tasks(deal))

    def _promise(self, deal: int) -> None:
        self._say(f"Somebody promises to call the client of deal {deal} back: {PROMISED}.")
        self._act("item.edit", entityTypeId=2, id=deal, fields={CALLBACK: PROMISED})
        self._tell(lambda: self._tasks(deal))

    def _refuse(self, deal: int) -> None:
        self._say(f"Somebody notes a refusal in deal {deal}.")
        self._act("item.edit", entityTypeId=2, id=deal, fields={REFUSED: "Y"})
        self._tell(lambda: self._copies(deal))

    def _explain(self, deal: int) -> None:
        self._stage.use(self._stage.folder / "daemon.toml")
        self._stage.run("rules", "explain", "deal", str(deal))

    # -- the portal -------------------------------------------------------------------------------

    def _deals(self) -> list[dict[str, Any]]:
        return self._stage.sandbox.state("items", entityTypeId=2, select="id,stageId")

    def _stage_id(self, name: str) -> str:
        return next(str(row["status_id"]) for row in self._stage.sandbox.state("stages") if row["name"] == name)

    def _act(self, name: str, **values: Any) -> None:
        self._stage.sandbox.post(f"act/{name}", values)

    def _tasks(self, deal: int) -> list[str]:
        rows = self._stage.sandbox.state("tasks", binding=f"D_{deal}")
        return [f"task «{row['TITLE']}» for user {row['RESPONSIBLE_ID']}" for row in rows]

    def _copies(self, deal: int) -> list[str]:
        pairs = self._stage.sandbox.state("origin_pairs", originatorId="b24sync-refusal")
        return [
            f"deal {copy_id}, a copy with the origin {key}" for _, key, copy_id in pairs if key.startswith(f"{deal}:")
        ]

    def _say(self, text: str) -> None:
        self._stage.say(f"   {text}")

    def _tell(self, found: Callable[[], list[str]]) -> None:
        began = time.perf_counter()
        while not (lines := found()):
            if time.perf_counter() - began > WAIT_S:
                raise Failed("the rule did not act")
            time.sleep(0.02)
        for line in lines:
            self._say(f"  -> {time.perf_counter() - began:.2f} s later the portal has {line}")
