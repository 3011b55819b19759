"""The page of a question: a small form behind a one-time link, in Russian (texts come from the rule)."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import parse_qs

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment

from b24sync.automation.questions import PAGE, Question, Questions

MAX_FORM_BYTES = 16 * 1024
_TEMPLATE = Environment(autoescape=True).from_string(
    """<!doctype html>
<html lang="ru"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Вопрос</title>
<style>body{font:18px/1.5 sans-serif;max-width:32em;margin:3em auto;padding:0 1em}
button{font:inherit;display:block;width:100%;margin:.5em 0;padding:.6em}</style></head><body>
<p>{{ text }}</p>
{% if said %}<p><b>{{ said }}</b></p>{% endif %}
{% if options %}<form method="post">{% for option in options %}
<button name="answer" value="{{ option }}">{{ option }}</button>{% endfor %}</form>{% endif %}
</body></html>"""
)


def question_pages(questions: Callable[[], list[Questions]]) -> APIRouter:
    """The pages of all portals' questions; a token belongs to one of them."""
    router = APIRouter()

    def found(token: str) -> tuple[Questions, Question] | None:
        for of_portal in questions():
            question = of_portal.find(token)
            if question is not None:
                return of_portal, question
        return None

    @router.get(PAGE + "{token}", include_in_schema=False)
    def show(token: str) -> HTMLResponse:
        known = found(token)
        return _page(known[1]) if known else _no_such()

    @router.post(PAGE + "{token}", include_in_schema=False)
    async def take(token: str, request: Request) -> HTMLResponse:
        body = await request.body()
        known = found(token)
        if known is None or len(body) > MAX_FORM_BYTES:
            return _no_such()
        chosen = parse_qs(body.decode("utf-8", "replace")).get("answer", [""])[0]
        answer = known[0].answer(token, chosen)
        if answer is None:
            return _page(known[1])
        return _page(Question(known[1].text, known[1].options, answer))

    return router


def _page(question: Question) -> HTMLResponse:
    said = f"Ответ принят: {question.answer}" if question.answer is not None else ""
    options = [] if said else question.options
    return HTMLResponse(_TEMPLATE.render(text=question.text, said=said, options=options), headers=_PRIVATE)


def _no_such() -> HTMLResponse:
    return HTMLResponse(_TEMPLATE.render(text="Такого вопроса нет.", said="", options=[]), 404, headers=_PRIVATE)


_PRIVATE = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Robots-Tag": "noindex"}
