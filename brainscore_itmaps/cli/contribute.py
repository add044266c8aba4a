"""`brainscore contribute`: check and write contributions to Brain-Score."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from brainscore_itmaps.cli.options import HELP_OPTIONS, examples
from brainscore_itmaps.cli.terminal import errors, progress_bar, say, say_facts, say_next, shown_size
from brainscore_itmaps.errors import InstallationError
from brainscore_itmaps.settings import expanded

if TYPE_CHECKING:
    from collections.abc import Sequence

    from brainscore_itmaps.bridge.contribute import Exported
    from brainscore_itmaps.bridge.contribution_rules import Checked

contribute = typer.Typer(
    help="Check and write contributions to Brain-Score. Nothing is uploaded or pushed.",
    epilog=examples(
        "brainscore contribute check it_maps",
        "brainscore contribute export it_maps --to vision --s3 s3.json",
    ),
    context_settings=HELP_OPTIONS,
    no_args_is_help=True,
)
WORST = ("ok", "note", "FAIL")
Names = Annotated[
    list[str],
    typer.Argument(
        metavar="NAME",
        help="Benchmarks (it_maps), data (Arcaro2020.monkey1_PL), metrics (itmaps_pls) and models of the zoo.",
        show_default=False,
    ),
]


@contribute.command(
    epilog=examples(
        "brainscore contribute check it_maps harmonized_resnet50",
        "brainscore contribute check --to vision --run",
    )
)
def check(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="NAME",
            help="What to check. By default everything that was exported into the clone; without a clone, everything "
            "that can be contributed.",
            show_default=False,
        ),
    ] = None,
    to: Annotated[
        Path | None,
        typer.Option(
            help="Check the folders in this clone of Brain-Score, or this zip file. By default they are written to a "
            "temporary folder."
        ),
    ] = None,
    route: Annotated[
        Literal["pull-request", "zip"], typer.Option(help="Apply the rules of a pull request, or of the web upload.")
    ] = "pull-request",
    run: Annotated[
        bool,
        typer.Option(
            "--run", help="Also run Brain-Score's generic tests of models and the tests of each folder, in the clone."
        ),
    ] = False,
) -> None:
    """Check contributions against Brain-Score's rules, and print a line for each rule.

    The exit code is 0 if no rule is broken, and 5 if one is. Nothing is imported but with --run.
    """
    from brainscore_itmaps.bridge.contribute import check as check_contributions
    from brainscore_itmaps.bridge.contribute import run_tests_in

    to = None if to is None else expanded(to)
    with errors().status("checking"):
        checked = check_contributions(names or (), to, route)
    if run:
        with progress_bar() as progress:
            checked = [*checked, *run_tests_in(names or (), to, progress)]
    _say_rules(checked)
    if any(line.status == "FAIL" for line in checked):
        raise typer.Exit(InstallationError.exit_code)
    if to is None:
        clone = "git clone https://github.com/brain-score/vision && "
        say_next("contribute", "export", *(names or ()), "--to", "vision", prefix=clone if names else "")
    elif not run and to.is_dir():
        say_next("contribute", "check", *(names or ()), "--to", to, "--run")


def _say_rules(checked: "Sequence[Checked]") -> None:
    """Print one line for each rule: its state, its source, and where it is broken what was found and the next step."""
    rules = list(dict.fromkeys(line.rule for line in checked))
    for rule in rules:
        lines = [line for line in checked if line.rule == rule]
        status = max((line.status for line in lines), key=WORST.index)
        told = [line for line in lines if line.status == status and status != "ok"]
        found = " ".join(f"{line.where}: {line.found}" for line in told)
        cures = " ".join(dict.fromkeys(line.cure for line in told))
        say(f"{status:<5} {rule:<20} " + (f"{found} -> {cures} " if told else "") + f"[{lines[0].source}]")
    failed = len({line.rule for line in checked if line.status == "FAIL"})
    say(f"{len(rules)} rules, {failed} broken")


@contribute.command(
    epilog=examples(
        "brainscore contribute export it_maps --to vision --s3 s3.json",
        "brainscore contribute export it_maps_simulated --to vision --draft",
    )
)
def export(
    names: Names,
    to: Annotated[
        Path,
        typer.Option(
            help="Write folders into this clone of Brain-Score; or one model into this file, which ends in .zip, for "
            "the web upload."
        ),
    ],
    s3: Annotated[
        Path | None,
        typer.Option(
            help="Read the bucket, and the version_id and sha1 of every uploaded file, from this JSON file; "
            "docs/contribute.md shows one. By default no file is known to be on S3."
        ),
    ] = None,
    metadata: Annotated[
        bool,
        typer.Option(
            "--metadata", help="Also write a metadata.yaml for each model; a pull request with one is merged by hand."
        ),
    ] = False,
    draft: Annotated[
        bool,
        typer.Option("--draft", help="Write simulated data and incomplete contributions, too. They are not for a pull "
                     "request."),
    ] = False,
) -> None:  # fmt: skip
    """Write contributions as folders of Brain-Score that need nothing of this package.

    All folders are written, or none. Files for S3, the next commands and the text of the pull request follow.
    """
    from brainscore_itmaps.bridge.contribute import export as export_contributions
    from brainscore_itmaps.bridge.contribute import files_folder
    from brainscore_itmaps.bridge.contribution import S3Facts, read_s3_facts

    to, facts = expanded(to), S3Facts() if s3 is None else read_s3_facts(expanded(s3))
    with progress_bar() as progress:
        exported = export_contributions(
            names, to, facts, files_folder(), draft=draft, metadata=metadata, progress=progress
        )
    _say_export(exported, to)


def _say_export(exported: "Exported", to: Path) -> None:
    from brainscore_itmaps.bridge.contribute import expected_scores, files_folder
    from brainscore_itmaps.bridge.contribution_text import commands, letters, pull_request

    plan = exported.plan
    for name, size in exported.sizes.items():
        say(f"{shown_size(size):>9}  {name}")
    say(f"{len(exported.sizes)} files, {shown_size(sum(exported.sizes.values()))}, written to {to}")
    for name in plan.files:
        here = files_folder() / name
        state = str(here) if here.is_file() else "not on this computer"
        say(f"for S3     {name}: sha1 {exported.known.sha1_of(name) or 'unknown'}, {state}")
    for line in exported.checked:
        if line.status != "ok":
            say(f"{line.status:<10} {line.rule}, {line.where}: {line.found} {line.cure}")
    if plan.simulated:
        say("SIMULATED  A draft with simulated data is not for a pull request; it has no text of one.")
    if to.suffix != ".zip":
        say("\nNext commands\n")
        folders = list(dict.fromkeys("/".join(name.split("/")[:2]) for name in exported.sizes))
        for command in commands(plan, str(to), folders):
            say(f"    {command}")
        if text := pull_request(plan, exported.known, expected_scores(exported)):
            say(f"\nText of the pull request\n\n{text}")
    for letter in letters(plan):
        say(f"\nLetter to send before\n\n{letter}")


@contribute.command(
    epilog=examples(
        "brainscore contribute weights harmonized_resnet50 --out packaged",
        "brainscore contribute weights resnet50_timm_baseline --out packaged",
    )
)
def weights(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A model of the zoo.")],
    out: Annotated[Path, typer.Option(help="Write the file into this folder.")],
) -> None:
    """Write the weights of a model as the file that Brain-Score's maintainers would upload, and print its SHA-1."""
    from brainscore_itmaps.bridge.quiet import quiet_brain_score
    from brainscore_itmaps.files import check_writable
    from brainscore_itmaps.models.load import load_model

    check_writable(expanded(out) / "x.safetensors")
    with progress_bar() as progress:
        model = load_model(name, progress=progress)
    with quiet_brain_score():
        from brainscore_itmaps.bridge.contribution_known import write_weights

        written = write_weights(model, expanded(out))
    say_facts({"written": f"{out / written['name']} ({shown_size(written['size'])})", "sha1": written["sha1"]})
    say_next("contribute", "check", name)
