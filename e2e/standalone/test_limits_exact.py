"""What ten proxies admit together: the burst, and what came back since by Redis' clock. Not one more, not one less, whatever their own clocks say.

Redis' clock is in the test's hand here: it stands still while 2,000 requests are decided, then it moves on by a known time. So the count that must come out is
one number, not a range.
"""

import asyncio
import random
from fractions import Fraction

import fleet
import pytest
import redises
from crowd import Crowd

PROXIES = 10
REQUESTS = 2_000
SEEDS = 50
# Two cores decide 2,000 requests in more time than a decision may take. The proxies' clocks of durations are so much slower: to them the machine is faster.
SLOW = 1000
# The most that one proxy is asked at once.
MOST = 600
MICROS = 1_000_000
PERIODS = {"Second": 1, "Minute": 60, "Hour": 3_600, "Day": 86_400}
# A moment with nothing special: the calendar is tested elsewhere.
BEGIN = 1_750_000_123_456_789


class Rule:
    """A tenant's rule that a seed draws, and the slow, obvious model of it: whole tokens in fractions of a second."""

    def __init__(self, seed: int):
        self.chance = random.Random(seed)
        self.name = f"seed-{seed}"
        self.per = self.chance.choice(list(PERIODS))
        self.amount = self.chance.choice([1, 7, 60, 600, 99_991])
        self.burst = self.chance.choice([0, 1, 1_999, 2_000, self.chance.randrange(1, 2_500)]) or self.chance.randrange(2, 2_000)
        self.token = Fraction(PERIODS[self.per] * MICROS, self.amount)
        # Microseconds of refill that the bucket misses.
        self.missing = Fraction(0)

    def manifest(self) -> str:
        return fleet.tenant(self.name, f"requests: {{amount: {self.amount}, per: {self.per}, burst: {self.burst}}}")

    def admits(self, asked: int) -> int:
        """How many of those that are asked at one moment pass."""
        room = (self.burst * self.token - self.missing) // self.token
        admitted = min(asked, int(room))
        self.missing += admitted * self.token
        return admitted

    def pause(self) -> int:
        """A time in microseconds in which some tokens come back: often a whole number of them less or more one microsecond."""
        tokens = self.chance.randrange(1, min(self.burst, 400) + 1)
        exact = self.token * tokens
        micros = int(exact) + self.chance.choice([-1, 0, 1, self.chance.randrange(0, int(self.token) + 2)])
        micros = max(1, micros)
        self.missing = max(Fraction(0), self.missing - micros)
        return micros

    def spread(self, ports: list[int]) -> list[int]:
        """Which proxy each of the requests asks: each the same, or some of them most."""
        skew = self.chance.choice([0, 1, 3])
        weights = [1 / (place + 1) ** skew for place in range(len(ports))]
        shuffled = self.chance.sample(ports, len(ports))
        drawn = self.chance.choices(shuffled, weights, k=REQUESTS * 10)
        taken, asked = dict.fromkeys(ports, 0), []
        for port in drawn:
            if taken[port] < MOST and len(asked) < REQUESTS:
                taken[port] += 1
                asked.append(port)
        return asked + shuffled[-1:] * (REQUESTS - len(asked))


@pytest.fixture
def ten(programs, provider, tmp_path):
    """Ten relays whose clocks differ by up to 5 s, one Redis whose clock the test moves, and the rules."""
    rules = [Rule(seed) for seed in range(SEEDS)]
    manifests = fleet.write(tmp_path / "manifests", fleet.route(provider.ports["listen"]), *(rule.manifest() for rule in rules))
    chance = random.Random(SEEDS)
    ahead = [-2.5, 2.5, *(chance.uniform(-2.5, 2.5) for _ in range(PROXIES - 2))]
    clocks = [redises.Clock(tmp_path, f"relay-{number}", ahead[number]) for number in range(PROXIES)]
    hand = redises.Clock(tmp_path, "redis")
    hand.stand(BEGIN)
    with redises.single(tmp_path, env=hand.env) as redis:
        assert redis.micros() == BEGIN
        program = fleet.dynamic(programs)
        options = ["--redis-url", redis.url()]
        with fleet.fleet(program, tmp_path, manifests, PROXIES, *options, envs=[clock.env for clock in clocks]) as relays:
            for clock in clocks:
                clock.slow_down(SLOW)
            yield relays, redis, hand, rules


def shown(answers) -> dict:
    """How many of each kind: status and mode."""
    kinds = {}
    for answer in answers:
        kind = f"{answer.status} {answer.header('x-relay-error') or ''} {answer.header('x-relay-limits-mode')}"
        kinds[kind] = kinds.get(kind, 0) + 1
    return kinds


def test_ten_proxies_admit_the_burst_and_what_came_back_exactly(ten):
    relays, redis, hand, rules = ten
    ports = [relay.port for relay in relays]

    async def scenario():
        now, wrong, decided, admitted_in_all = BEGIN, [], 0, 0
        async with Crowd() as crowd:
            for rule in rules:
                text = fleet.cheap(rule.name)
                for _ in range(2):
                    due = rule.admits(REQUESTS)
                    answers = await crowd.at_once([(port, text) for port in rule.spread(ports)])
                    admitted = sum(answer.status == 200 for answer in answers)
                    refused = sum(answer.status == 429 for answer in answers)
                    shared = sum(answer.header("x-relay-limits-mode") == "shared" for answer in answers)
                    if (admitted, refused, shared) != (due, REQUESTS - due, REQUESTS):
                        wrong.append(f"{rule.name}: {rule.amount} per {rule.per}, burst {rule.burst}: {due} due, {admitted} admitted: {shown(answers)}")
                    decided, admitted_in_all = decided + REQUESTS, admitted_in_all + admitted
                    now += rule.pause()
                    hand.stand(now)
        return wrong, decided, admitted_in_all

    wrong, decided, admitted = asyncio.run(scenario())
    print(f"{SEEDS} seeds, {PROXIES} proxies, {decided} decisions, {admitted} admitted, {len(wrong)} counts wrong")
    assert not wrong, "\n".join(wrong)
