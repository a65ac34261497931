"""The cases of exercise 4: all the small ones, then random longer ones."""

import itertools
import random
from typing import Any

from course.checks.case import Case
from course.judges.limit_model import size_of

USERS = ["ann", "bob", "cleo", "dora", "emil", "finn", "gina", "hugo"]


def limiting(source: random.Random) -> list[Case]:
    """One user at the edges of a window, then two, then many at any time."""
    ann, bob = source.sample(USERS, 2)
    window_s = source.choice([4, 8, 10, 60])
    pauses = [0, 1, window_s + 1, window_s - 1, window_s]
    cases = [
        _admits(limit, window_s, [(ann, pause) for pause in (start, *later)])
        for length in range(1, 5)
        for limit, start in itertools.product((1, 2), (0, window_s - 1))
        for later in itertools.product(pauses, repeat=length - 1)
    ]
    two = itertools.product((ann, bob), (0, window_s - 1))
    cases += [_admits(1, window_s, list(steps)) for steps in itertools.product(two, repeat=3)]
    cases += [_any_time(source) for _ in range(60)]
    return cases + [_how_long(case) for case in cases[: len(cases) // 4] + cases[-10:]]


def _admits(limit: int, window_s: float, steps: list[tuple[str, float]]) -> Case:
    now, case = 0.0, [["limit", limit, window_s]]
    for user, pause in steps:
        now += pause
        case.append(["admit", user, int(now) if now == int(now) else now])
    return case


def _how_long(case: Case) -> Case:
    """The same, and the seconds count, too."""
    return [["how_long", *rest] if what == "admit" else [what, *rest] for what, *rest in case]


def _any_time(source: random.Random) -> Case:
    limit, window_s, users = source.randint(1, 5), source.choice([2, 6.5, 30]), source.sample(USERS, 3)
    start = source.randint(0, 10_000)
    pauses = [0, 0.25, window_s / limit, window_s / 2, window_s - 0.25, window_s]
    steps = [(source.choice(users), source.choice(pauses) // 0.25 * 0.25) for _ in range(source.randint(8, 40))]
    return _admits(limit, window_s, [(users[0], start), *steps])


def crowds(source: random.Random) -> list[Case]:
    """So many users that what is kept of them shows."""
    limit = source.randint(2, 4)
    return [
        [["limit", limit, 10], ["flood", source.randint(3000, 4000)]],
        [["limit", limit, 10], ["crowd", source.randint(80, 100), source.randint(50, 60)]],
        [["limit", limit, 0.5], ["crowd", source.randint(3, 5), source.randint(400, 500)]],
        [["fresh", source.randint(1, 9)], ["visitors", source.randint(80, 100), source.randint(50, 60)]],
    ]


def caching(source: random.Random) -> list[Case]:
    """Sizes around the limit, what is refused before anybody is asked, the cache, and all of it together."""
    ann, bob = source.sample(USERS, 2)
    return [*_sizes(source, ann, bob), *_refused(ann, bob), *_cached(source, bob), *_together(source)]


def _sizes(source: random.Random, ann: str, bob: str) -> list[Case]:
    texts = [letter * count for letter in ("a", "ü", "漢", "🙂") for count in (1, 2, 3)]
    sized = [(text, size_of(text) + more) for text in texts for more in (-1, 0, 1)]
    for _ in range(20):
        text = "".join(source.choice("aü漢🙂 ") for _ in range(source.randint(1, 12)))
        sized.append((text, size_of(text) + source.randint(-1, 1)))
    return [
        [["limit", 3, 60], ["max_bytes", most], ["lease", bob, 99], ["route", ann, bob, text, 1]]
        for text, most in sized
        if most > 0
    ]


def _refused(ann: str, bob: str) -> list[Case]:
    """What each of them costs: the large one nothing, the one over the limit no question."""
    start: Case = [["limit", 1, 60], ["max_bytes", 3]]
    texts = [("hello",), ("hi", "hi"), ("hello", "hi"), ("hello", "hello", "hi", "hi")]
    cases = []
    for lease, some in itertools.product(([], [["lease", bob, 99]]), texts):
        steps = [["route", ann, bob, text, 1 + number] for number, text in enumerate(some)]
        cases.append([*start, *lease, *steps])
        cases.append([*start, *lease, *steps[:-1], ["route", ann, "zoe", some[-1], 9]])
    return cases


def _cached(source: random.Random, bob: str) -> list[Case]:
    """Leases that begin, end and are renewed; questions at the edges; Redis away in between."""
    fresh_s = source.choice([4, 5, 10])
    letters: list[Any] = ["lease short", "lease long", "away", "back", 1, fresh_s - 1, fresh_s]
    words = [word for length in range(1, 5) for word in itertools.product(letters, repeat=length) if _tells(word)]
    return [[["fresh", fresh_s], *_spelled(word, bob, fresh_s)] for word in words]


def _tells(word: tuple[Any, ...]) -> bool:
    """It ends with a question, and only questions follow one of their kind."""
    if isinstance(word[-1], str) or word[0] == "back":
        return False
    kinds = ["ask" if isinstance(letter, int) else str(letter).split()[0] for letter in word]
    return all(first == "ask" or first != second for first, second in itertools.pairwise(kinds))


def _spelled(word: tuple[Any, ...], user: str, fresh_s: float) -> Case:
    now, case = 0, []
    for letter in word:
        match letter:
            case "lease short":
                case.append(["lease", user, now + 2])
            case "lease long":
                case.append(["lease", user, now + 9 * fresh_s])
            case "away" | "back":
                case.append([f"redis_{letter}"])
            case pause:
                now += pause
                case.append(["is_online", user, now])
    return case


def _together(source: random.Random) -> list[Case]:
    return [_conversation(source) for _ in range(60)]


def _conversation(source: random.Random) -> Case:
    users, now = source.sample(USERS, 3), float(source.randint(0, 100))
    case: Case = [["limit", source.randint(1, 4), 1000], ["max_bytes", source.randint(4, 9)], ["fresh", 3]]
    for _ in range(source.randint(6, 18)):
        now += source.choice([0, 0.5, 1, 3, 10])
        sender, to = source.sample(users, 2)
        if source.random() < 0.3:
            case.append(["lease", to, now + source.choice([1, 2.5, 30])])
        else:
            text = source.choice("aü漢🙂") * source.randint(1, 4)
            case.append(["route", sender, to, text, now])
    return case


def in_server(source: random.Random) -> list[Case]:
    """Two devices and the other door, around the edge of a window."""
    limit, window_s = source.randint(2, 4), source.choice([10, 30, 60])
    ann, cleo = source.sample([user for user in USERS if user != "bob"], 2)
    start = source.randint(100, 900) // window_s * window_s + window_s - 2  # around the full minute, too
    steps: Case = []
    for number in range(limit + 1):
        steps.append(["says", ann, ("phone", "laptop")[number % 2], f"m{number}", start + number / 4])
    steps.append(["posts", ann, "by post", start + 2])
    steps.append(["says", cleo, "phone", "hello", start + 2])
    steps += [["says", ann, "phone", f"later{number}", start + window_s - 0.25 + number / 4] for number in range(3)]
    steps += [["posts", ann, "the end", start + 2 * window_s + 2], ["bob_has"]]
    return [[["limit", limit, window_s], *steps]]
