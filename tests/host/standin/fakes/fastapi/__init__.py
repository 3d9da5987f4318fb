"""A fastapi for tests without fastapi: the one exception that the API's error handler knows."""


class HTTPException(Exception):
    """With the host's fastapi its text is empty, however much `detail` says: the page shows "HTTPException: "."""

    def __init__(self, status_code, detail=None, headers=None):
        self.status_code = status_code
        self.detail = detail
        self.headers = headers


class FastAPI:
    pass
