"""A fastapi for tests without fastapi: the one exception that the API's error handler knows."""


class HTTPException(Exception):
    def __init__(self, status_code, detail=None, headers=None):
        super().__init__(status_code, detail)
        self.status_code = status_code
        self.detail = detail
        self.headers = headers


class FastAPI:
    pass
