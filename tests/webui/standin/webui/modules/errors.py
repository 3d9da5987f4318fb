"""Stand-in of the error reports: everything that the host swallows is kept for `host.logs`."""

import sys

reported = []
"""(message, exception) for each report"""

exception_records = []


def record_exception():
    exception = sys.exc_info()[1]
    if exception is not None:
        exception_records.append({"exception": str(exception), "traceback": []})


def report(message: str, *, exc_info: bool = False) -> None:
    record_exception()
    reported.append((message, sys.exc_info()[1]))


def display(e: Exception, task, *, full_traceback=False):
    reported.append((f"{task or 'error'}: {type(e).__name__}", e))


def print_error_explanation(message):
    report(message)
