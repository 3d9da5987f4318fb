"""Stand-in of the thread that runs the page's jobs: an error in it goes to the console, and the result is None."""


class Task:
    def __init__(self, func):
        self.func, self.result = func, None

    def work(self):
        self.result = self.func()


def run_and_wait_result(func):
    task = Task(func)
    try:
        task.work()
    except Exception as e:
        print(e)
    return task.result
