"""Stand-in of the settings store: attributes, `data`, labels, and the temporary change by override_settings."""

from modules import errors
from standin.arguments import keep


class OptionInfo:
    def __init__(
        self,
        default=None,
        label="",
        component=None,
        component_args=None,
        onchange=None,
        section=None,
        refresh=None,
        comment_before="",
        comment_after="",
        infotext=None,
        restrict_api=False,
        category_id=None,
    ):
        keep(locals(), do_not_save=False)

    def link(self, label, url):
        return self._commented(f"[{label}]({url})")

    def js(self, label, js_func):
        return self._commented(f"[{label}]")

    def info(self, info):
        return self._commented(f"({info})")

    def html(self, html):
        return self._commented(html)

    def needs_restart(self):
        return self._commented("(requires restart)")

    def needs_reload_ui(self):
        return self._commented("(requires Reload UI)")

    def _commented(self, text):
        self.comment_after += text
        return self


class OptionHTML(OptionInfo):
    def __init__(self, text):
        super().__init__(str(text).strip(), label="")
        self.do_not_save = True


def options_section(section_identifier, options_dict):
    for info in options_dict.values():
        info.section = section_identifier[:2]
        if len(section_identifier) == 3:
            info.category_id = section_identifier[2]
    return options_dict


_OWN_FIELDS = ("data_labels", "data", "restricted_opts", "typemap")


class Options:
    def __init__(self, data_labels, restricted_opts):
        keep(locals(), data={key: info.default for key, info in data_labels.items() if not info.do_not_save})

    typemap = {int: float}

    def __setattr__(self, key, value):
        if key in _OWN_FIELDS or (key not in self.data and key not in self.data_labels):
            return super().__setattr__(key, value)
        # As in the host: a key that is in the file without a label cannot be set.
        if self.data_labels.get(key).do_not_save:
            return None
        self.data[key] = value
        return None

    def __getattr__(self, item):
        # Through `vars`: while the object is still being made there is no `data` to ask.
        data, labels = (vars(self).get(own, {}) for own in ("data", "data_labels"))
        try:
            return data[item] if item in data else labels[item].default
        except KeyError:
            raise AttributeError(f"there is no setting {item!r}") from None

    def set(self, key, value, is_api=False, run_callbacks=True):
        if self.data.get(key, None) == value:
            return False
        info = self.data_labels[key]
        if info.do_not_save or (is_api and info.restrict_api):
            return False
        old_value = self.data.get(key, None)
        setattr(self, key, value)
        if run_callbacks and info.onchange is not None:
            try:
                info.onchange()
            except Exception as e:
                errors.display(e, f"changing setting {key} to {value}")
                setattr(self, key, old_value)
                return False
        return True

    def get_default(self, key):
        info = self.data_labels.get(key)
        return None if info is None else info.default

    def onchange(self, key, func, call=True):
        self.data_labels[key].onchange = func
        if call:
            func()

    def add_option(self, key, info):
        if not info.do_not_save:
            self.data.setdefault(key, info.default)
        self.data_labels[key] = info

    def cast_value(self, key, value):
        """A text from an infotext as the type that the setting has."""
        if value is None:
            return None
        default = self.data_labels[key].default
        value_type = type(getattr(self, key) if default is None else default)
        if value_type is bool and value in ("True", "False"):
            return value == "True"
        return value_type(value)
