"""Check sessions of nox, which run in the current environment.

`.ci/run` runs lint, unit, e2e and install (the last three as one `pytest`); the others are run manually.
"""

import nox

nox.options.default_venv_backend = "none"
nox.options.sessions = ["lint", "unit"]
INSTALL = "tests/bridge/test_install_matrix.py"


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, types and import contracts."""
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("mypy")
    session.run("lint-imports", "--no-cache")


@nox.session
def unit(session: nox.Session) -> None:
    """Run the tests that are not slow."""
    session.run("pytest", "-m", "not slow", *session.posargs)


@nox.session
def e2e(session: nox.Session) -> None:
    """Run the slow tests: sweeps, interrupted training runs, reports in a browser."""
    session.run("pytest", "-m", "slow", f"--ignore={INSTALL}", *session.posargs)


@nox.session
def install(session: nox.Session) -> None:
    """Install this project together with Brain-Score in temporary environments, in every supported way."""
    session.run("pytest", INSTALL, *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """Run the examples of the docstrings, and the commands and the Python code of the pages."""
    session.run("pytest", "-n", "0", "--doctest-modules", "brainscore_itmaps")
    session.run("python", "tests/run_docs.py", *session.posargs)


@nox.session
def site(session: nox.Session) -> None:
    """Build the documentation site in `site`, with warnings as errors, and follow its links."""
    session.run("sphinx-build", "-W", "--keep-going", "-c", "docs", ".", "site")
    session.run("python", "tests/helpers/site_links.py", "site")


@nox.session
def notebooks(session: nox.Session) -> None:
    """Run the notebooks of examples/ in place, from an empty cache, and print the time of each."""
    session.run("python", "examples/run.py", *session.posargs)


@nox.session
def mutations(session: nox.Session) -> None:
    """Remove protections one by one, and check that the named test fails each time."""
    session.run("python", "tests/mutations.py", *session.posargs)


@nox.session
def fuzz(session: nox.Session) -> None:
    """Read 10,000 damaged files of each kind."""
    session.run(
        "python", "tests/helpers/fuzz.py", *(session.posargs or ["10000", "0"]), env={"PYTHONPATH": "tests/helpers"}
    )


@nox.session
def accidents(session: nox.Session) -> None:
    """Kill commands at 25 random times each, and fill the disk under them; the next run must end well."""
    arguments = session.posargs or ["25", "3", "0"]
    session.run("python", "tests/helpers/accidents.py", *arguments, env={"PYTHONPATH": "tests/helpers"})
