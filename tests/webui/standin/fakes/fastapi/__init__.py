"""A fastapi for tests without fastapi: the exception that the API's error handler knows, and a list of routes."""

from types import SimpleNamespace


class HTTPException(Exception):
    """With the host's fastapi its text is empty, however much `detail` says: the page shows "HTTPException: "."""

    def __init__(self, status_code, detail=None, headers=None):
        self.status_code = status_code
        self.detail = detail
        self.headers = headers


class Depends:
    def __init__(self, dependency):
        self.dependency = dependency


class FastAPI:
    def __init__(self):
        self.routes = []

    def add_api_route(self, path, endpoint, *, methods=("GET",), dependencies=None, response_model=None):
        methods, dependencies = set(methods), list(dependencies or [])
        self.routes.append(SimpleNamespace(path=path, endpoint=endpoint, methods=methods, dependencies=dependencies))
