"""What a run may cost: whatever order requests come and end in, the limits are never passed."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_icl.asking.budget import Budget, BudgetError


async def ticks():
    for _ in range(5):
        await asyncio.sleep(0)


class Requests:
    """Requests at one budget, each with the most that it can cost; what is held and spent is counted here again."""

    def __init__(self, budget):
        self.budget = budget
        self.waiting, self.held, self.refused = {}, {}, []
        self.spent, self.answered, self.count = budget.cost, budget.calls, 0

    async def begin(self, most):
        self.waiting[self.count] = (most, asyncio.create_task(self._hold(self.count, most)))
        self.count += 1
        await self.settled()

    async def _hold(self, number, most):
        try:
            await self.budget.hold(most)
            self.held[number] = most
        except BudgetError:
            assert not self.held  # nothing was pending that might have made room
            assert not self.fits(most)
            self.refused.append(number)
        del self.waiting[number]

    async def end(self, number, cost):
        held = self.held.pop(number)
        if cost is not None:
            self.spent += cost
            self.answered += 1
        self.budget.settle(held, cost)
        await self.settled()

    def fits(self, most):
        budget, calls = self.budget, self.answered + len(self.held)
        cost = self.spent + sum(self.held.values())
        return (budget.most_cost is None or cost + most <= budget.most_cost) and (
            budget.most_calls is None or calls + 1 <= budget.most_calls
        )

    async def settled(self):
        await ticks()
        for _, task in self.waiting.values():
            assert not task.done() or task.result()  # an assertion of its own shows here
        budget, calls = self.budget, self.answered + len(self.held)
        assert budget.most_cost is None or self.spent + sum(self.held.values()) <= budget.most_cost
        assert budget.most_calls is None or calls <= budget.most_calls
        assert self.held or not self.waiting
        assert not any(self.fits(most) for most, _ in self.waiting.values())


# Costs are whole numbers, so that sums are exact.
steps = st.one_of(
    st.tuples(st.just("begin"), st.integers(0, 12)),
    st.tuples(st.just("end"), st.integers(0, 20), st.sampled_from([None, 0.0, 0.3, 1.0])),
)


@settings(max_examples=300, deadline=None)
@given(
    most_cost=st.one_of(st.none(), st.integers(0, 40)),
    most_calls=st.one_of(st.none(), st.integers(0, 12)),
    before=st.tuples(st.integers(0, 10), st.integers(0, 5)),
    script=st.lists(steps, max_size=40),
)
def test_whatever_is_asked_in_whatever_order_the_limits_hold(most_cost, most_calls, before, script):
    async def work():
        cost, calls = before
        budget = Budget(
            None if most_cost is None else cost + most_cost, None if most_calls is None else calls + most_calls, *before
        )
        requests = Requests(budget)
        for step in script:
            if step[0] == "begin":
                await requests.begin(step[1])
            elif requests.held:
                number = sorted(requests.held)[step[1] % len(requests.held)]
                share = step[2]
                await requests.end(number, None if share is None else round(share * requests.held[number]))
        while requests.held:
            await requests.end(min(requests.held), 0)
        assert not requests.waiting
        assert (budget.cost, budget.calls) == (requests.spent, requests.answered)

    asyncio.run(work())


@settings(max_examples=100, deadline=None)
@given(costs=st.lists(st.floats(1e-6, 0.1), min_size=1, max_size=60), limit=st.floats(0.01, 1))
def test_the_sum_of_prices_that_are_no_whole_numbers_stays_below_the_limit(costs, limit):
    async def work():
        budget = Budget(limit)
        for cost in costs:
            try:
                await budget.hold(cost)
            except BudgetError:
                assert budget.cost + cost > limit * (1 - 1e-9)
                continue
            budget.settle(cost, cost)
        assert budget.cost <= limit * (1 + 1e-9)

    asyncio.run(work())


def test_a_request_waits_for_pending_ones_that_may_make_room():
    async def work():
        budget = Budget(most_cost=1.0)
        await budget.hold(0.75)
        second, third = (asyncio.create_task(budget.hold(0.5)) for _ in range(2))
        await ticks()
        assert not second.done()
        assert not third.done()
        budget.settle(0.75, 0.25)  # it cost less than it might have
        await ticks()
        assert second.done()
        assert second.exception() is None
        assert not third.done()
        budget.settle(0.5, 0.5)
        with pytest.raises(BudgetError):
            await third
        assert (budget.cost, budget.calls) == (0.75, 2)

    asyncio.run(work())


def test_where_nothing_is_pending_there_is_nothing_to_wait_for():
    async def work():
        for budget in (Budget(most_cost=1.0), Budget(most_calls=0), Budget(most_cost=3, cost=2), Budget(None, 7, 0, 7)):
            with pytest.raises(BudgetError):
                await budget.hold(1.5)
        assert Budget(most_cost=1.0).calls == 0

    asyncio.run(work())


def test_a_request_that_was_turned_away_gives_its_call_and_its_money_back():
    async def work():
        budget = Budget(most_cost=1.0, most_calls=1)
        for _ in range(3):
            await budget.hold(1.0)
            budget.settle(1.0, None)
        assert (budget.cost, budget.calls) == (0.0, 0)
        await budget.hold(1.0)
        budget.settle(1.0, 0.5)
        assert (budget.cost, budget.calls) == (0.5, 1)
        with pytest.raises(BudgetError):
            await budget.hold(0.1)

    asyncio.run(work())


def test_a_limit_may_be_reached_and_what_costs_nothing_needs_no_room():
    async def work():
        budget = Budget(most_cost=1.0)
        for _ in range(4):
            await budget.hold(0.25)
            budget.settle(0.25, 0.25)
        await budget.hold(0.0)
        budget.settle(0.0, 0.0)
        with pytest.raises(BudgetError):
            await budget.hold(0.25)

    asyncio.run(work())


def test_a_request_that_is_cancelled_while_it_waits_holds_nothing():
    async def work():
        budget = Budget(most_cost=1.0, most_calls=2)
        await budget.hold(1.0)
        waiting = asyncio.create_task(budget.hold(1.0))
        await ticks()
        waiting.cancel()
        await ticks()
        budget.settle(1.0, 0.0)
        await asyncio.wait_for(budget.hold(1.0), 1)
        assert budget.calls == 2

    asyncio.run(work())


def test_without_limits_nothing_waits():
    async def work():
        budget = Budget()
        for _ in range(100):
            await asyncio.wait_for(budget.hold(1e6), 1)
        assert budget.calls == 100

    asyncio.run(work())


def test_a_batch_is_charged_at_once_and_what_it_did_not_cost_comes_back():
    budget = Budget(most_cost=1.0, most_calls=10)
    budget.charge(0.6, 6)
    with pytest.raises(BudgetError):
        budget.charge(0.6, 1)
    with pytest.raises(BudgetError):
        budget.charge(0.1, 5)
    budget.charge(0.25 - 0.6, 5 - 6)
    assert (budget.cost, budget.calls) == (pytest.approx(0.25), 5)
    budget.charge(0.6, 5)


def test_loops_that_follow_each_other_share_a_budget():
    budget = Budget(most_cost=1.0)

    async def work():
        await budget.hold(0.4)
        waiting = asyncio.create_task(budget.hold(0.8))
        await ticks()
        assert not waiting.done()
        budget.settle(0.4, 0.0)
        await waiting
        budget.settle(0.8, 0.0)

    asyncio.run(work())
    asyncio.run(work())


def test_the_limits_are_told_as_they_were_given():
    assert str(Budget(most_cost=0.5)) == "$0.5"
    assert str(Budget(most_cost=2.0, most_calls=100)) == "$2 and 100 calls"
