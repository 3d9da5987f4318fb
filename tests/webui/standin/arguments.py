"""For the hosts' classes that do little more than hold what they were given."""


def keep(arguments, **more):
    """`keep(locals())`, first thing in `__init__`: its arguments become attributes of the same names, and so does `more`."""
    owner = arguments["self"]
    vars(owner).update({name: value for name, value in arguments.items() if name not in ("self", "__class__")}, **more)
