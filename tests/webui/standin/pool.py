"""Started hosts for tests, which use them one after the other: starting one takes longer than a job."""

import contextlib
import sys
import types
from collections import deque
from operator import is_

from standin.host import Host
from standin.imports import FAKE_ROOTS

NOT_CONTENT = ("__dict__", "__weakref__")
_waiting = {}


@contextlib.contextmanager
def used_host(name, **options):
    """A `Host` as if it had just started, which an earlier test may have used. Whatever fails makes the next one new."""
    key = (name, *sorted((option, str(value)) for option, value in options.items()))
    host, state = _waiting.pop(key, (None, None))
    if host is None:
        host = Host(name, **options)
    scripts = host.script_path
    with host:
        if state is None:
            state = State(host)
        state.restore()
        yield host
        is_itself = host.script_path == scripts and host.starts == 1
    if is_itself:
        _waiting[key] = host, state


def forget_hosts():
    """After a test that failed, in whatever state it left its host."""
    _waiting.clear()


class State:
    """The content of all that can change in the modules of a host: in names, containers, objects and classes."""

    def __init__(self, host):
        from modules import script_loading

        loaded = {name: module for name, module in sys.modules.items() if _is_of_host(name)}
        loaded |= {module.__name__: module for module in script_loading.loaded_scripts.values()}
        self.modules = set(loaded)
        self.contents, self.caches = [], []
        self._seen = {id(self)}
        waiting = [host, *loaded.values()]
        while waiting:
            waiting.extend(self._keep(waiting.pop()))

    def restore(self):
        for name in [name for name in sys.modules if _is_of_host(name) and name not in self.modules]:
            del sys.modules[name]  # imported by a job
        for holder, content in self.contents:
            if isinstance(holder, type):
                for name in {*vars(holder)} - {*content, *NOT_CONTENT}:
                    delattr(holder, name)
                for name, value in content.items():
                    if vars(holder).get(name) is not value:
                        setattr(holder, name, value)
            elif isinstance(holder, dict):
                if not _are_same(holder, content):
                    holder.clear()
                    holder.update(content)
            else:
                holder.clear()
                (holder.update if isinstance(holder, set) else holder.extend)(content)
        for cache in self.caches:
            cache.cache_clear()

    def _keep(self, thing):
        """Remember what `thing` holds, and return that."""
        if id(thing) in self._seen:
            return ()
        self._seen.add(id(thing))
        if hasattr(type(thing), "cache_clear"):
            self.caches.append(thing)
        elif isinstance(thing, dict):
            self.contents.append((thing, dict(thing)))
            return [*thing.values()]
        elif isinstance(thing, (list, set, deque)):
            self.contents.append((thing, [*thing]))
            return [*thing]
        elif isinstance(thing, tuple):
            return thing
        elif isinstance(thing, type):
            if thing.__module__ in self.modules:
                content = {name: value for name, value in vars(thing).items() if name not in NOT_CONTENT}
                self.contents.append((thing, content))
                return content.values()
        elif isinstance(thing, types.ModuleType):
            if thing.__name__ in self.modules:
                return (vars(thing),)
        elif type(thing).__module__ in (*self.modules, Host.__module__) and hasattr(thing, "__dict__"):
            return (vars(thing),)
        return ()


def _are_same(left, right):
    """Whether two dicts have the same objects in the same order."""
    return len(left) == len(right) and all(map(is_, left, right)) and all(map(is_, left.values(), right.values()))


def _is_of_host(name):
    # One quick look at all modules of the process first: most are of others.
    return name.startswith(_OF_HOST) and (name.partition(".")[0] in FAKE_ROOTS or name.startswith("lib_noiserect.webui"))


_OF_HOST = (*FAKE_ROOTS, "lib_noiserect.webui")
