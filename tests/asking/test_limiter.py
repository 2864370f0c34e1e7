"""How many requests are in flight: against a server that bears so many at a time and turns the others away."""

import asyncio
import contextlib
import random
import selectors

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from llm_icl.asking.limiter import MOST, Limiter


class Skipping(selectors.DefaultSelector):
    """Time passes only while nothing else can go on, and then at once. Waiting for nothing is an error."""

    now = 0.0

    def select(self, timeout=None):
        assert timeout is not None, "all tasks wait for each other"
        self.now += max(timeout, 0.0)
        return super().select(0)


def simulated(work):
    """Run a coroutine in simulated time. Returns the seconds that passed in it."""
    selector = Skipping()
    loop = asyncio.SelectorEventLoop(selector)
    loop.time = lambda: selector.now
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(work)
    return selector.now


class Server:
    """Answers within about a second, `capacity` requests at a time. What comes beyond that is turned away, and so is
    everything before the time `opens`.
    """

    def __init__(self, capacity, opens=0.0):
        self.capacity, self.opens = capacity, opens
        self.busy = self.most = self.answered = self.refused = 0
        self.random = random.Random(0)

    async def ask(self):
        """Whether it answers."""
        if self.busy >= self.capacity or asyncio.get_running_loop().time() < self.opens:
            self.refused += 1
            await asyncio.sleep(0.01)
            return False
        self.busy += 1
        self.most = max(self.most, self.busy)
        await asyncio.sleep(self.random.uniform(0.5, 1.5))
        self.busy -= 1
        self.answered += 1
        return True


def ask(limiter, server, questions, tasks=400, during=None):
    """Ask until all questions are answered, by so many tasks. Returns the seconds that it took."""
    left = iter(range(questions))

    async def task():
        for _ in left:
            answered = False
            while not answered:
                mark = await limiter.enter()
                answered = await server.ask()
                limiter.leave(mark, overloaded=not answered, answered=answered)
                if not answered:
                    await asyncio.sleep(1)

    async def everything():
        await asyncio.gather(*(task() for _ in range(tasks)), *([during()] if during else []))

    seconds = simulated(everything())
    assert server.answered == questions
    assert limiter.in_flight == 0
    return seconds


@pytest.mark.parametrize("capacity", [3, 20, 100])
def test_a_server_is_kept_busy_and_seldom_overloaded(capacity):
    limiter, server = Limiter(), Server(capacity)
    seconds = ask(limiter, server, questions=60 * capacity)  # at best 60 s
    assert server.most == capacity
    assert seconds < 100
    assert server.refused < seconds


@pytest.mark.parametrize("capacity", [20, 60])
def test_a_server_that_turned_everything_away_at_first_is_kept_busy_later(capacity):
    limiter, server = Limiter(), Server(capacity, opens=30)
    seconds = ask(limiter, server, questions=100 * capacity)  # at best 130 s
    assert server.most == capacity
    assert limiter.limit > capacity / 3
    assert seconds < 200


def test_the_limit_follows_a_server_that_bears_less_and_then_more():
    limiter, server = Limiter(), Server(60)
    limits = []

    async def during():
        for capacity in (10, 60):
            await asyncio.sleep(40)
            limits.append(limiter.limit)
            server.capacity = capacity
        await asyncio.sleep(60)
        limits.append(limiter.limit)

    ask(limiter, server, questions=5000, during=during)
    assert limits[0] >= 30
    assert limits[1] <= 12
    assert limits[2] >= 30


def test_it_begins_slowly_and_never_grows_beyond_the_most():
    limiter, server = Limiter(), Server(capacity=10 * MOST)
    most = []

    async def during():
        for seconds in (0.1, 60):
            await asyncio.sleep(seconds)
            most.append(server.most)

    ask(limiter, server, questions=20 * MOST, tasks=2 * MOST, during=during)
    assert most[0] <= 8
    assert most[1] == server.most == limiter.limit == MOST


@pytest.mark.parametrize(("number", "capacity"), [(1, 100), (7, 100), (7, 3), (300, 10_000), (40, 15)])
def test_a_fixed_number_stays_whatever_the_server_says(number, capacity):
    limiter, server = Limiter(number), Server(capacity)
    ask(limiter, server, questions=500, tasks=400)
    assert server.most == min(number, capacity)
    assert limiter.limit == number


@pytest.mark.parametrize("tasks", [1, 3])
def test_it_does_not_grow_where_fewer_are_asked_than_it_allows(tasks):
    limiter, server = Limiter(), Server(capacity=100)
    first = limiter.limit
    ask(limiter, server, questions=500, tasks=tasks)
    assert first > 3
    assert limiter.limit == first


async def filled(limiter, limit):
    """Answer until the limit is so high, and fill it. Returns the marks of those in flight."""
    marks = []
    for _ in range(100):
        while limiter.in_flight < limiter.limit:
            marks.append(await limiter.enter())
        if limiter.limit == limit:
            return marks
        limiter.leave(marks.pop(), overloaded=False, answered=True)
    raise AssertionError("it does not grow")


def test_overloads_of_one_round_halve_once():
    async def work():
        limiter, limits = Limiter(), []
        marks = await filled(limiter, 16)
        for _ in range(6):
            for mark in marks:
                limiter.leave(mark, overloaded=True, answered=False)
            limits.append(limiter.limit)
            marks = [await limiter.enter() for _ in range(limiter.limit)]
        assert limits == [8, 4, 2, 1, 1, 1]

    asyncio.run(work())


def test_an_overload_of_a_request_from_before_the_halving_comes_too_late_to_halve_again():
    async def work():
        limiter = Limiter()
        old = await filled(limiter, 16)
        limiter.leave(old.pop(), overloaded=True, answered=False)
        while limiter.in_flight >= limiter.limit:
            limiter.leave(old.pop(), overloaded=False, answered=False)
        new = await limiter.enter()
        for mark in old:
            limiter.leave(mark, overloaded=True, answered=False)
        assert limiter.limit == 8
        limiter.leave(new, overloaded=True, answered=False)
        assert limiter.limit == 4

    asyncio.run(work())


def test_after_the_first_overload_it_grows_by_one_for_each_round():
    async def work():
        limiter = Limiter()
        for mark in await filled(limiter, 16):
            limiter.leave(mark, overloaded=True, answered=False)
        marks, rounds = [], 20
        for limit in range(8, 8 + rounds):
            assert abs(limiter.limit - limit) <= 1
            for _ in range(limit):
                while limiter.in_flight < limiter.limit:
                    marks.append(await limiter.enter())
                limiter.leave(marks.pop(), overloaded=False, answered=True)

    asyncio.run(work())


def test_what_is_neither_answered_nor_an_overload_changes_nothing():
    async def work():
        limiter = Limiter()
        for _ in range(50):
            for mark in await filled(limiter, 4):
                limiter.leave(mark, overloaded=False, answered=False)
        assert limiter.limit == 4

    asyncio.run(work())


class Crowd:
    """Tasks at one limiter: each takes a place, keeps it until it is told how its request went, and gives it back."""

    def __init__(self, limiter):
        self.limiter = limiter
        self.tasks, self.ends, self.inside = [], [], set()
        self.most = limiter.limit  # the highest limit until now

    def start(self):
        self.ends.append(asyncio.get_running_loop().create_future())
        self.tasks.append(asyncio.create_task(self._stay(len(self.tasks))))

    async def _stay(self, number):
        mark = await self.limiter.enter()
        assert self.limiter.in_flight <= self.most  # the limit may have fallen since the place was given
        self.inside.add(number)
        end = None
        try:
            end = await self.ends[number]
        finally:
            self.inside.remove(number)
            self.limiter.leave(mark, overloaded=end == "overloaded", answered=end == "answered")
            self.most = max(self.most, self.limiter.limit)

    def act(self, action, number):
        if not self.tasks:
            return
        number %= len(self.tasks)
        if action == "cancel":
            self.tasks[number].cancel()
        elif not self.ends[number].done():
            self.ends[number].set_result(action)

    async def settle(self):
        for _ in range(3 * len(self.tasks) + 5):
            await asyncio.sleep(0)
        self.check()

    def check(self):
        assert self.limiter.in_flight == len(self.inside)
        waiting = sum(not task.done() for task in self.tasks) - len(self.inside)
        assert waiting == 0 or self.limiter.in_flight >= self.limiter.limit  # no place is free while someone waits


actions = st.one_of(
    st.sampled_from(["start", "tick", "settle"]),
    st.tuples(st.sampled_from(["answered", "overloaded", "failed", "cancel"]), st.integers(0, 40)),
)


@settings(max_examples=400, deadline=None)
@example(number=None, first=8, script=["tick", ("overloaded", 4)])
@given(number=st.sampled_from([None, 1, 2, 5]), first=st.integers(0, 8), script=st.lists(actions, max_size=60))
def test_whoever_is_cancelled_or_fails_no_place_is_lost_and_none_is_given_twice(number, first, script):
    async def work():
        limiter = Limiter(number)
        crowd = Crowd(limiter)
        for _ in range(first):
            crowd.start()
        for action in script:
            if action == "start":
                crowd.start()
            elif action == "tick":
                await asyncio.sleep(0)
            elif action == "settle":
                await crowd.settle()
            else:
                crowd.act(*action)
        for task in range(len(crowd.tasks)):
            crowd.act("failed", task)
        await crowd.settle()
        assert limiter.in_flight == 0
        assert all(task.done() for task in crowd.tasks)
        for task in crowd.tasks:
            with contextlib.suppress(asyncio.CancelledError):
                task.result()
        again = Crowd(limiter)
        for _ in range(limiter.limit + 1):
            again.start()
        await again.settle()
        assert limiter.in_flight == len(again.inside) == limiter.limit
        for task in again.tasks:
            task.cancel()
        await again.settle()
        assert limiter.in_flight == 0

    asyncio.run(work())


def test_a_place_given_to_a_task_that_is_cancelled_goes_to_the_next():
    async def work():
        limiter = Limiter(1)
        mark = await limiter.enter()
        first, second = asyncio.create_task(limiter.enter()), asyncio.create_task(limiter.enter())
        await asyncio.sleep(0)
        limiter.leave(mark, overloaded=False, answered=True)  # the first is woken
        first.cancel()
        await asyncio.wait_for(second, 1)
        assert first.cancelled()
        assert limiter.in_flight == 1

    asyncio.run(work())


def test_whoever_comes_later_takes_no_place_that_another_waits_for():
    async def work():
        limiter, order = Limiter(1), []

        async def pass_through(name):
            mark = await limiter.enter()
            order.append(name)
            limiter.leave(mark, overloaded=False, answered=True)

        mark = await limiter.enter()
        waiting = [asyncio.create_task(pass_through(name)) for name in "ab"]
        await asyncio.sleep(0)
        # The place is free before the one that waits for it runs again; another comes in that moment.
        limiter.leave(mark, overloaded=False, answered=True)
        await pass_through("late")
        await asyncio.gather(*waiting)
        assert order == ["a", "b", "late"]
        assert limiter.in_flight == 0

    asyncio.run(work())


def test_a_pause_lasts_as_long_as_the_longest_that_was_asked_for():
    now = 100.0
    limiter = Limiter(clock=lambda: now)
    assert limiter.paused_for == 0
    limiter.pause(8)
    assert limiter.paused_for == 8
    now = 103.0
    limiter.pause(2)  # is over before the other
    assert limiter.paused_for == 5
    limiter.pause(6)
    assert limiter.paused_for == 6
    now = 109.5
    assert limiter.paused_for == 0
