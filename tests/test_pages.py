"""Code of a page that says that it is one program is one program."""

import re
import textwrap
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

PAGES = Path(__file__).resolve().parents[1] / "docs"


def program(page):
    blocks = re.findall(r"\.\. code-block:: python\n\n((?:    .*\n|\n)+)", (PAGES / page).read_text())
    return [textwrap.dedent(block) for block in blocks]


@pytest.mark.vision
@pytest.mark.filterwarnings("ignore::abstain.warnings.AbstainWarning")
def test_the_page_on_images(tmp_path, monkeypatch, capsys):
    pytest.importorskip("skops", reason="needs skops: pip install '.[io]'")
    from PIL import Image

    import abstain
    from abstain import TimmBackbone

    monkeypatch.chdir(tmp_path)
    for i, (picture, label) in enumerate(zip(*load_digits(n_class=3, return_X_y=True), strict=True)):
        folder = tmp_path / "pictures" / f"digit {label}"
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray((picture.reshape(8, 8) * 15).astype(np.uint8)).save(folder / f"{i}.png")
    code = "\n".join(program("images.rst"))
    asked = 'TimmBackbone("resnet50", weights="resnet50.pth", num_workers=8)'
    assert asked in code
    found: dict = {}
    exec(code.replace(asked, 'TimmBackbone("test_resnet", weights="random", input_size=32, device="cpu")'), found)
    assert isinstance(found["network"], TimmBackbone)
    assert set(found["answers"]) <= {"abstain", "digit 0", "digit 1", "digit 2"}
    assert (found["answers"] != "abstain").mean() > 0.5
    np.testing.assert_array_equal(found["again"].decide(found["X_new"]), found["answers"])
    (tmp_path / "broken.png").write_bytes(b"no picture")
    some = [*found["files_new"][:3], tmp_path / "broken.png"]
    said = abstain.decide(found["served"], some)
    np.testing.assert_array_equal(said[:3], found["answers"][:3])
    assert said[3] == "abstain"
    accepted = found["est"].policy_.accept(found["est"].evaluate(found["X_new"]).score)
    np.testing.assert_array_equal(accepted, found["answers"] != "abstain")
    score = found["tuned"].score_samples(found["files_new"])
    assert score.shape == found["y_new"].shape
    assert ((score > 0) & (score < 1)).all()
    assert "risk" in capsys.readouterr().out
