"""Results as dicts, tables, HTML, data frames and plots."""

import json
from html.parser import HTMLParser

import numpy as np
import pytest

import nibble


@pytest.fixture(scope="module")
def results(path, small):
    return {
        "evaluation": nibble.evaluate([path, small], "digits"),
        "metrics": nibble.evaluate([path, small], nibble.dataset("digits").arrays()["input"]),
        "comparison": nibble.compare(path, small, "digits"),
        "ranges": nibble.analyze(path, "digits"),
        "choice": nibble.choose_bits(path, "digits", average_bits=6.5),
        "bench": nibble.bench([path, small], seconds=0.02),
        "profile": nibble.profile(small, runs=2),
        "inspection": nibble.inspect(path),
        "check": nibble.check(path),
        "operators": nibble.ops("Conv"),
    }


NAMES = ["evaluation", "metrics", "comparison", "ranges", "choice", "bench", "profile", "inspection", "check", "operators"]


class Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.open, self.cells = [], []

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] in ("td", "th"):
            self.cells.append(data)


@pytest.mark.parametrize("name", NAMES)
def test_every_result_is_a_dict_json_a_table_html_and_a_data_frame(results, name):
    result = results[name]
    assert json.loads(result.to_json()).keys() == result.to_dict().keys()
    head, rows = result._table()
    assert rows and all(len(row) == len(head) and all(isinstance(cell, str) for cell in row) for row in rows)
    tags = Tags()
    tags.feed(result._repr_html_())
    assert not tags.open and len([cell for row in [head, *rows] for cell in row if cell]) == len(tags.cells)
    assert str(result).count("\n") >= len(rows)
    pandas = pytest.importorskip("pandas")
    frame = result.to_pandas()
    assert isinstance(frame, pandas.DataFrame) and len(frame) > 0


def test_names_are_escaped_in_html(path):
    html = nibble.evaluate({"<b>&": path}, "digits", samples=10)._repr_html_()
    assert "&lt;b&gt;&amp;" in html and "<b>" not in html


def test_plots_are_drawn(results, tmp_path):
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    drawn = {
        "evaluation": results["evaluation"].plot(),
        "metrics": results["metrics"].plot(),
        "comparison": results["comparison"].plot(),
        "ranges": results["ranges"].plot(),
        "weights": results["ranges"].plot(kind="weight"),
        "range": results["ranges"]["c1"].plot(bits=4),
        "front": results["choice"].plot_front(),
        "bench": results["bench"].plot(),
    }
    for name, thing in drawn.items():
        first = thing[0] if isinstance(thing, list) else thing
        figure = getattr(first, "figure", None) or first
        figure.savefig(tmp_path / f"{name}.png")
        assert (tmp_path / f"{name}.png").stat().st_size > 5000
    bars = drawn["comparison"].patches
    assert [bar.get_width() for bar in bars] == pytest.approx([one.sqnr_db for one in results["comparison"].layers])
    matplotlib.pyplot.close("all")


def test_a_plot_is_drawn_into_the_axes_that_are_given(results):
    pyplot = pytest.importorskip("matplotlib.pyplot")
    _, ax = pyplot.subplots()
    assert results["comparison"].plot(ax=ax) is ax and results["evaluation"].plot(ax=ax) is ax
    pyplot.close("all")


def test_what_is_not_installed_is_said_plainly(results, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match="needs the package pandas: pip install pandas"):
        results["evaluation"].to_pandas()


def test_a_row_of_an_evaluation_is_found_by_its_model(results, small):
    assert results["evaluation"][small.name] is results["evaluation"][1]
    with pytest.raises(KeyError):
        results["evaluation"]["nothing"]


def test_numbers_are_short():
    from nibble.html import number, percent, seconds, size

    assert [number(x) for x in (0.98123, 1.2e-7, 1797, float("inf"), None, 123456.7)] == [
        "0.9812", "1.200e-07", "1,797", "∞", "", "123,457",
    ]  # fmt: skip
    assert (percent(0.984), size(8_870_000), size(12), seconds(0.00123)) == ("98.40 %", "8.87 MB", "12 bytes", "1.23 ms")
    assert number(float("nan")) == "undefined"


def test_errors_have_a_code_a_sentence_and_what_was_being_done(path):
    with pytest.raises(nibble.Error) as caught:
        nibble.evaluate(path, np.zeros((3, 2), np.float32))
    error = caught.value
    assert error.code == "invalid_argument" and error.context == [f"evaluating {path}"]
    assert str(error) == f"{error.context[0]}: {error.message}" and isinstance(error, ValueError)
    assert issubclass(nibble.InternalError, RuntimeError)


def test_options_in_sentences_are_named_as_in_python():
    from nibble.errors import _in_python

    assert _in_python("give --average-bits or --max-size") == "give average_bits or max_bytes"
    assert _in_python("use `nibble finetune`; an en--dash stays") == "use `nibble.finetune`; an en--dash stays"
