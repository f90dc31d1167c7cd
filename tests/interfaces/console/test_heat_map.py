"""A grid of numbers over a picture."""

import base64

import drawn

from linewright.interfaces.console.pictures import heat_map, occlusion_map

PNG = "data:image/png;base64," + base64.b64encode(drawn.encoded(drawn.drawn("circle", 1, 40))).decode()


def test_a_heat_map_has_the_picture_its_cells_and_a_table():
    """Who cannot see colours reads the table; what is 0 hides nothing."""
    drawn_ = heat_map([[0.0, 0.5, 3.0], [1.0, -2.0, 0.0]], PNG, title="where")

    assert PNG in drawn_
    assert 'viewBox="0 0 40 40"' in drawn_
    assert 3 == drawn_.count("<rect")
    assert 'x="26.67" y="0.00" width="13.33" height="20.00"' in drawn_
    assert 2 == drawn_.count('fill-opacity="0.700"')
    assert 6 == drawn_.count("<td>") - 1


def test_texts_of_a_heat_map_cannot_become_markup():
    """Titles have names of classes, which come from folders."""
    drawn_ = heat_map([[1.0]], PNG + '"><script>', title='<b a="', cells=[["<i>"]], summary="<u>")

    assert not [tag for tag in ("<script>", "<b", "<i>", "<u>") if tag in drawn_]


def test_what_speaks_against_an_answer_is_said_and_not_drawn():
    """Of classes by the change of their probability, of numbers by that of the answer."""
    of_class = {"of": "a", "patches": [[0.5, -0.25]], "log_odds": [[2.0, -1.0]]}
    drawn_ = occlusion_map(of_class, PNG, title="t")
    of_number = occlusion_map({"of": None, "patches": [[0.0, -0.25]]}, PNG, title="t")

    assert (1, 0) == (drawn_.count("<rect"), of_number.count("<rect"))
    assert "<td>-50.00 %</td><td>+25.00 %</td>" in drawn_
    assert "<td>+0.25</td>" in of_number
