"""What the command line says when it can't do what was typed."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from tagstream.cli import main
from tagstream.cli.common import INTERRUPTED, Failures


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("search dog", "Did you mean 'images search'?"),
        ("upload photo.jpg", "Did you mean 'images upload' or 'topics upload'?"),
        ("image search dog", "Did you mean 'images'?"),
        ("modles list", "Did you mean 'models'?"),
        ("images serch dog", "Did you mean 'search'?"),
        ("topics crate smiles", "Did you mean 'create'?"),
        ("topics seek smiles", "'topics redrive' repeats its dead letters."),
        ("topics subscriptions list", "'topics list' shows all."),
        ("xyzzy", "No such command 'xyzzy'."),
    ],
)
def test_a_word_that_is_no_command_gets_the_nearest_one(typed: str, meant: str) -> None:
    done = CliRunner().invoke(main, typed.split())
    assert done.exit_code == 2
    assert done.output.rstrip().endswith(meant)


@click.group(cls=Failures)
def asking() -> None:
    """A command that asks."""


@asking.command()
def clear() -> None:
    click.confirm("Delete?", abort=True, err=True)


def test_a_question_that_nobody_can_answer_names_yes() -> None:
    done = CliRunner().invoke(asking, ["clear"], input="")
    assert done.exit_code == 1
    assert "--yes" in done.output
    assert "Aborted" not in done.output


def test_no_is_an_answer() -> None:
    done = CliRunner().invoke(asking, ["clear"], input="n\n")
    assert (done.exit_code, done.output.splitlines()[-1]) == (1, "Nothing was done.")


def test_an_interrupted_question_is_an_interruption(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_prompt: str) -> str:
        raise KeyboardInterrupt

    runner = CliRunner()
    with runner.isolation():
        monkeypatch.setattr("click.termui.visible_prompt_func", interrupted)
        with pytest.raises(SystemExit) as ended:
            asking.main(["clear"], standalone_mode=False)
    assert ended.value.code == INTERRUPTED
