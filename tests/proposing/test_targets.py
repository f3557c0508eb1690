"""Which column is proposed as the one to predict."""

from pipeline.proposing.targets import Fact, ranked, unsure


def first(*facts: Fact) -> str:
    return ranked(facts)[0].name


def number(name: str, distinct: int = 300, **rest) -> Fact:
    return Fact(name, "number", distinct, 400, **rest)


def classes(name: str, distinct: int = 2) -> Fact:
    return Fact(name, "category", distinct, 400)


def test_a_telling_name_wins_over_the_last_place():
    assert first(number("longitude"), number("median_house_value"), classes("ocean_proximity", 5)) == "median_house_value"
    assert first(classes("survived"), number("fare"), classes("class", 3), classes("alone")) == "survived"
    assert first(classes("is_member"), number("age")) == "is_member"
    assert first(number("age"), classes("Churn"), classes("defaultChannel", 5), number("fee")) == "Churn"


def test_the_last_column_is_taken_where_no_name_tells_anything():
    choices = ranked([number("HUFL"), number("LULL"), number("OT")])
    assert choices[0].name == "OT"
    assert choices[0].why == "the last column"
    assert unsure(choices)


def test_a_name_that_tells_is_no_guess_but_two_of_them_are():
    assert not unsure(ranked([number("age"), classes("churned")]))
    assert unsure(ranked([classes("label"), number("age"), classes("target")]))
    assert not unsure(ranked([classes("label")]))


def test_the_first_of_two_columns_is_the_label_of_a_text():
    assert first(classes("column0"), Fact("column1", "category", 390, 400)) == "column0"


def test_dates_texts_constants_and_running_numbers_cannot_be_predicted():
    facts = [
        Fact("target", "datetime", 300, 400),
        Fact("label", "text", 300, 400),
        Fact("churn", "category", 1, 400),
        Fact("y", "number", 400, 400, id_like=True),
        Fact("name", "category", 390, 400),
        Fact("outcome", "image", 0, 0),
    ]
    assert ranked(facts) == []
    assert [choice.name for choice in ranked([*facts, number("weight")])] == ["weight"]
