"""Pages of which a command owns a part."""

from pathlib import Path

import pytest

from vmem_ros.reporting.sections import replace_section

MARKS = ("<!-- begin -->", "<!-- end -->")


def test_only_what_is_between_the_marks_changes():
    page = "# Mine\n\n<!-- begin -->\n\nold\n<!-- end -->\n\nmine too\n"
    once = replace_section(page, MARKS, "new", Path("page.md"))
    assert once == "# Mine\n\n<!-- begin -->\n\nnew\n<!-- end -->\n\nmine too\n"
    assert replace_section(once, MARKS, "new", Path("page.md")) == once


@pytest.mark.parametrize("page", ["", "<!-- begin -->", "<!-- end --> <!-- begin -->"])
def test_a_page_without_marks_is_refused(page):
    with pytest.raises(ValueError, match=r"page\.md exists and has no lines '<!-- begin -->' and '<!-- end -->'"):
        replace_section(page, MARKS, "new", Path("page.md"))
