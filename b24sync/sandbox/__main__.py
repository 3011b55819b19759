"""`python -m b24sync.sandbox serve | act | figures`: a local portal and its side door.

serve    prints the address, the incoming webhooks and a ready [portal] + [limits] block; ends on
         SIGINT or SIGTERM with exit code 0
act      does something as a user of the portal, by the control API of a running sandbox
figures  prints what a running sandbox has counted
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
import urllib.error
import urllib.request
from dataclasses import replace
from pathlib import Path
from typing import Any

from .clock import SandboxClock
from .costs import parse_cost
from .limits import PLANS
from .sandbox import Sandbox
from .switches import Switches

DEFAULT_PORT = 8924
MAX_PORT = 65_535
DEFAULT_URL = f"http://127.0.0.1:{DEFAULT_PORT}"


def pair(text: str) -> tuple[str, str]:
    """`name=value`."""
    name, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name, value


def act_value(text: str) -> tuple[str, Any]:
    """`name=value`; lists and objects are JSON, everything else is text."""
    name, value = pair(text)
    return name, json.loads(value) if value[:1] in ("[", "{") else value


def port(text: str) -> int:
    """A number of a TCP port; 0 = any free one."""
    if not text.isascii() or not text.isdigit() or int(text) > MAX_PORT:
        raise argparse.ArgumentTypeError(f"{text!r} is no port: 0 to {MAX_PORT}")
    return int(text)


def cost(text: str) -> tuple[str, float]:
    """`method=seconds`."""
    try:
        return parse_cost(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def parser() -> argparse.ArgumentParser:
    """The command line."""
    root = argparse.ArgumentParser(prog="b24sync sandbox", description="A local Bitrix24 portal for rehearsals.")
    commands = root.add_subparsers(dest="command", required=True)
    serve = commands.add_parser("serve", help="run the portal until Ctrl-C")
    serve.add_argument("--host", default="127.0.0.1")
    serve.add_argument("--port", type=port, default=DEFAULT_PORT, help="0 = any free port")
    serve.add_argument("--plan", choices=sorted(PLANS), default="standard")
    serve.add_argument("--scale", type=float, default=1.0, help="rate x N; window, limits and costs / N")
    serve.add_argument("--rate-per-s", type=float, help="with --plan custom")
    serve.add_argument("--burst", type=int, help="with --plan custom")
    serve.add_argument("--operating-limit-s", type=float, help="with --plan custom")
    serve.add_argument("--request-cap-s", type=float, help="with --plan custom")
    serve.add_argument("--seed", type=Path, help="JSON with users, webhooks, fields ... of the portal")
    serve.add_argument("--cost", type=cost, action="append", default=[], metavar="METHOD=S", help="seconds per row")
    serve.add_argument("--switch", type=pair, action="append", default=[], metavar="NAME=VALUE")
    serve.add_argument("--keep-calls", type=int, default=50_000, help="requests kept in the ledger of calls")
    act = commands.add_parser("act", help="do something as a user of a running sandbox")
    act.add_argument("name")
    act.add_argument("values", nargs="*", type=act_value, metavar="key=value")
    act.add_argument("--url", default=DEFAULT_URL)
    figures = commands.add_parser("figures", help="what a running sandbox has counted")
    figures.add_argument("--url", default=DEFAULT_URL)
    return root


def build(options: argparse.Namespace) -> Sandbox:
    """A sandbox from the command line. Raises ValueError with a sentence for the person."""
    plan = PLANS[options.plan]
    custom = {
        "rate_per_s": options.rate_per_s,
        "burst": options.burst,
        "operating_limit_s": options.operating_limit_s,
        "request_cap_s": options.request_cap_s,
    }
    given = {name: value for name, value in custom.items() if value is not None}
    if given and options.plan != "custom":
        raise ValueError("--rate-per-s, --burst, --operating-limit-s and --request-cap-s need --plan custom")
    if options.scale <= 0:
        raise ValueError("--scale must be above 0")
    plan = replace(plan, **given)
    switches = Switches()
    for name, value in options.switch:
        switches.set(name, value)
    seed = json.loads(options.seed.read_text(encoding="utf-8")) if options.seed else None
    return Sandbox(
        plan=plan,
        scale=options.scale,
        seed=seed,
        switches=switches,
        clock=SandboxClock(scale=options.scale),
        costs=dict(options.cost),
        keep_calls=options.keep_calls,
    )


def serve(options: argparse.Namespace) -> int:
    """Run until a signal comes."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    try:
        sandbox = build(options)
        sandbox.listen(options.host, options.port)
    except (ValueError, OSError) as error:
        print(f"sandbox: {error}", file=sys.stderr)
        return 78 if isinstance(error, ValueError) else 1
    print(f"b24sync sandbox listening on {sandbox.base}", flush=True)
    for path in sandbox.auth.webhook_paths():
        print(f"incoming webhook: {sandbox.base}{path}", flush=True)
    print(f"\n{sandbox.config_block()}\n", flush=True)
    while not stop.wait(0.5):
        pass
    sandbox.stop()
    return 0


def call_control(url: str, path: str, body: dict[str, Any] | None) -> Any:
    """One call of the control API. Raises OSError where nothing listens, ValueError for a refusal."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{url.rstrip('/')}/_sandbox/{path}", data=data)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            raise ValueError(json.load(error).get("error")) from error


def main(arguments: list[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    options = parser().parse_args(arguments)
    if options.command == "serve":
        return serve(options)
    try:
        if options.command == "act":
            answer = call_control(options.url, f"act/{options.name}", dict(options.values))
        else:
            answer = call_control(options.url, "figures", None)
    except (OSError, ValueError) as error:
        print(f"sandbox: {error}", file=sys.stderr)
        return 1
    print(json.dumps(answer, ensure_ascii=False, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
