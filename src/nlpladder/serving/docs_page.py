"""The page at ``/docs``: Swagger UI from an installed package, so that a browser asks nobody but this server.

The packaged Swagger UI reads OpenAPI 3.0 and the server describes itself in 3.1, so the page gets a copy in the older
form from `older_openapi`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from nlpladder.serving.problems import Problem, ProblemError, to_json

#: Files of Swagger UI that the page needs, and their types.
_FILES = {
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
    "favicon-32x32.png": "image/png",
}
_PAGE = b"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>nlpladder</title>
<link rel="stylesheet" href="docs/swagger-ui.css">
<link rel="icon" type="image/png" href="docs/favicon-32x32.png">
</head>
<body>
<div id="page"></div>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/page.js"></script>
</body>
</html>
"""
_SCRIPT = b"""SwaggerUIBundle({url: "docs/openapi.json", dom_id: "#page", deepLinking: true, validatorUrl: null});
"""
#: What the page may load: only from this server, and no script that stands in the page itself.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def docs_page(_: Request) -> Response:
    """Return the page."""
    return Response(_PAGE, media_type="text/html", headers={"Content-Security-Policy": _POLICY})


def docs_file(openapi: Callable[[], dict[str, Any]]) -> Callable[[Request], Response]:
    """Return what answers ``/docs/{name}``: the files that the page asks for, and nothing else.

    Args:
        openapi: Gives the description of the interface.
    """

    def answer(request: Request) -> Response:
        name = request.path_params["name"]
        if name == "page.js":
            return Response(_SCRIPT, media_type="text/javascript")
        if name == "openapi.json":
            return Response(to_json(older_openapi(openapi())), media_type="application/json")
        if name not in _FILES:
            raise ProblemError(404, [Problem("not_found", "The page has no such file.")])
        from swagger_ui_bundle import swagger_ui_path

        content = (swagger_ui_path / name).read_bytes()
        return Response(content, media_type=_FILES[name], headers={"Cache-Control": "max-age=86400"})

    return answer


def older_openapi(description: dict[str, Any]) -> dict[str, Any]:
    """Return a description in OpenAPI 3.1 as one in 3.0.3.

    What differs and occurs here: null as a type, constants, examples of a schema, and exclusive limits.
    """
    return {**_older(description), "openapi": "3.0.3"}


def _older(value: Any) -> Any:
    if isinstance(value, list):
        return [_older(one) for one in value]
    if not isinstance(value, dict):
        return value
    # In a mapping of named things, such as properties, a name may be one of the words below: only schemas have them so.
    made = {key: _older(one) for key, one in value.items()}
    if isinstance(made.get("anyOf"), list):
        kinds = [kind for kind in made["anyOf"] if kind != {"type": "null"}]
        if len(kinds) < len(made["anyOf"]):
            made["nullable"] = True
            if len(kinds) == 1 and "$ref" not in kinds[0]:
                del made["anyOf"]
                made = {**kinds[0], **made}
            else:
                made["anyOf"] = kinds
    if "const" in made and not isinstance(made["const"], dict):
        made["enum"] = [made.pop("const")]
    if isinstance(made.get("examples"), list):
        made["example"] = made.pop("examples")[0]
    for word, inclusive in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if isinstance(made.get(word), (int, float)) and not isinstance(made[word], bool):
            made[inclusive], made[word] = made[word], True
    return made
