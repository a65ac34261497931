"""is_firing looks at the last sample only, sample looks at more."""

CAUGHT_BY = "14.2"
MISCONCEPTION = "wrong_state"

class Monitor:
    def __init__(self, window_s, at_least, fire_above, clear_at, in_a_row):
        self.window_s = window_s
        self.at_least = at_least
        self.fire_above = fire_above
        self.clear_at = clear_at
        self.in_a_row = in_a_row
        self.error_rate = None
        self.is_firing = False
        self._samples = []  # the first one is the far edge of the window
        self._fires = False
        self._streak = 0  # samples in a row that speak for a change

    def sample(self, now, asked, errors):
        self._samples.append((now, asked, errors))
        while len(self._samples) > 2 and self._samples[1][0] <= now - self.window_s:
            self._samples.pop(0)
        self.error_rate = self._share()
        self.is_firing = self.error_rate is not None and self.error_rate > self.fire_above
        if self._fires:
            speaks_for_change = self.error_rate is None or self.error_rate <= self.clear_at
        else:
            speaks_for_change = self.error_rate is not None and self.error_rate > self.fire_above
        self._streak = self._streak + 1 if speaks_for_change else 0
        if self._streak < self.in_a_row:
            return None
        self._streak = 0
        self._fires = not self._fires
        return "fires" if self._fires else "over"

    def _share(self):
        (_, asked_then, errors_then), (_, asked, errors) = self._samples[0], self._samples[-1]
        if len(self._samples) < 2 or asked - asked_then < self.at_least:
            return None
        return (errors - errors_then) / (asked - asked_then)
