"""Pages of which a command owns a part."""

from pathlib import Path

import pytest

from vmem_ros.reporting.sections import marks_in, replace_section, write_sections

MARKS = ("<!-- begin -->", "<!-- end -->")
LONG, SHORT = ("<!-- long: begin -->", "<!-- long: end -->"), ("<!-- short: begin -->", "<!-- short: end -->")


def page_with(*pairs: tuple[str, str]) -> str:
    return "Before.\n" + "".join(f"{begin}\nlast time\n{end}\nBetween.\n" for begin, end in pairs)


def test_only_what_is_between_the_marks_changes():
    page = "# Mine\n\n<!-- begin -->\n\nold\n<!-- end -->\n\nmine too\n"
    once = replace_section(page, MARKS, "new", Path("page.md"))
    assert once == "# Mine\n\n<!-- begin -->\n\nnew\n<!-- end -->\n\nmine too\n"
    assert replace_section(once, MARKS, "new", Path("page.md")) == once


@pytest.mark.parametrize("page", ["", "<!-- begin -->", "<!-- end --> <!-- begin -->"])
def test_a_page_without_marks_is_refused(page):
    with pytest.raises(ValueError, match=r"page\.md exists and has no lines '<!-- begin -->' and '<!-- end -->'"):
        replace_section(page, MARKS, "new", Path("page.md"))


def test_only_sections_that_a_page_has_are_written(tmp_path: Path) -> None:
    path = tmp_path / "page.md"
    for pairs in ((LONG,), (SHORT,), (SHORT, LONG)):
        path.write_text(page_with(*pairs), encoding="utf-8")
        write_sections(path, {LONG: "all of it", SHORT: "some of it"}, title="Title")
        text = path.read_text(encoding="utf-8")
        assert ("all of it" in text, "some of it" in text) == (LONG in pairs, SHORT in pairs)
        assert "last time" not in text


def test_a_new_page_gets_a_title_and_the_first_section(tmp_path: Path) -> None:
    path = tmp_path / "new" / "page.md"
    write_sections(path, {LONG: "all of it", SHORT: "some of it"}, title="Title")
    assert path.read_text(encoding="utf-8") == f"# Title\n\n{LONG[0]}\n\nall of it\n{LONG[1]}\n"


@pytest.mark.parametrize("page", ["Mine.\n", f"{LONG[0]}\nno end\n"])
def test_pages_without_marks_are_refused_and_stay(tmp_path: Path, page: str) -> None:
    path = tmp_path / "page.md"
    path.write_text(page, encoding="utf-8")
    with pytest.raises(ValueError, match=r"page\.md exists and has no lines '<!-- long: begin -->'"):
        write_sections(path, {LONG: "all of it", SHORT: "some of it"}, title="Title")
    with pytest.raises(ValueError, match="add them"):
        marks_in(page, [LONG, SHORT], path)
    assert path.read_text(encoding="utf-8") == page
