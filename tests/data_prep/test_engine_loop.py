"""The loop around engines: every unit once, failures again at the end, no more than the slots."""

from data_prep.engine_loop import IN_A_ROW, RETRIES, Outcome, drive
from data_prep.work_unit import Unit


class Scripted:
    """Units of `fails` fail that many times."""

    def __init__(self, *, slots, fails=()):
        self.slots, self.fails = slots, dict(fails)
        self.begun, self.most, self.inside = [], 0, []

    def submit(self, unit):
        self.begun.append(unit.number)
        self.inside.append(unit)
        self.most = max(self.most, len(self.inside))

    def wait(self):
        unit = self.inside.pop()  # the last one first
        if self.fails.get(unit.number, 0):
            self.fails[unit.number] -= 1
            return Outcome(unit, None, "no luck")
        return Outcome(unit, {"of": unit.number})


def units(count):
    return (Unit(number, f"{number}.tar", 1, "") for number in range(count))


def test_every_unit_has_one_outcome_and_no_more_are_begun_than_there_are_slots():
    pool = Scripted(slots=3)
    outcomes = list(drive(pool, units(10)))
    assert sorted(o.unit.number for o in outcomes) == list(range(10))
    assert pool.most == 3


def test_units_are_read_as_slots_become_free():
    asked = []

    def watched():
        for unit in units(100):
            asked.append(unit.number)
            yield unit

    running = drive(Scripted(slots=2), watched())
    for _ in range(5):
        next(running)
    assert len(asked) <= 7


def test_a_unit_that_fails_is_tried_again_after_the_others_and_its_last_try_counts():
    pool = Scripted(slots=1, fails={0: 1, 1: RETRIES, 2: RETRIES + 1})
    outcomes = {o.unit.number: o for o in drive(pool, units(4))}
    assert pool.begun[:4] == [0, 1, 2, 3]
    assert pool.begun.count(2) == RETRIES + 1
    assert [n for n, o in outcomes.items() if o.marker is None] == [2]
    assert outcomes[2].error == "no luck"
    assert outcomes[1].marker == {"of": 1}


def test_where_nothing_works_the_outcomes_come_soon_and_all_of_them_where_it_works_again():
    pool = Scripted(slots=1, fails=dict.fromkeys(range(40), RETRIES + 1))
    running = drive(pool, units(40))
    first = [next(running) for _ in range(IN_A_ROW)]
    assert [o.unit.number for o in first] == list(range(IN_A_ROW))
    assert set(pool.begun) == set(range(IN_A_ROW))
    pool.fails.clear()
    rest = list(running)
    assert [o.unit.number for o in rest] == list(range(IN_A_ROW, 40))
    assert all(o.marker for o in rest)
