"""Run `brainscore`, and check its exit code and that it prints no traceback."""

import os

from command_line import brainscore


def answered(*arguments, **environment):
    """Run `brainscore`; whatever happens, no traceback is shown."""
    done = brainscore(*arguments, **environment)
    assert "Traceback" not in done.stderr
    return done


def succeeded(*arguments, **environment):
    """Run `brainscore`; it ends well."""
    done = answered(*arguments, **environment)
    assert done.returncode == 0, done.stderr
    return done


def assert_refused(code, said, *arguments, **environment):
    """Run `brainscore`; it ends with this code and says this, without a traceback."""
    done = answered(*arguments, **environment)
    assert done.returncode == code, done.stderr
    assert said in done.stderr


def path_with_a_trap(folder):
    """A PATH whose first pip does nothing but leave a file ``pip-was-run`` in the folder."""
    pip = folder / "pip"
    pip.write_text(f"#!/bin/sh\ntouch {folder}/pip-was-run\n")
    pip.chmod(0o755)
    return f"{folder}{os.pathsep}{os.environ['PATH']}"
