"""What `python -m bench` says when it cannot begin."""

import pytest

from bench.__main__ import main


def test_without_sipp_it_says_in_one_line_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "")
    assert main(["calls", "--no-peers"]) == 2
    assert capsys.readouterr().err == "bench: SIPp is needed: apt-get install sip-tester\n"


def test_a_picture_is_png_or_svg(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["parse", "--plot", "charts.gif"])
    assert ended.value.code == 2
    assert "charts.gif does not end in .png or .svg" in capsys.readouterr().err
