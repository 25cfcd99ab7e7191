"""What a test wants to happen to which request. A rule is

    {"match": {"method": "CreateSIPParticipant", "to": "+1…", "room": "…", "identity": "…"},
     "times": 1, "skip": 0, "do": {…}}

a member that is not given matches everything; `skip`: let so many pass first; `times`: null is
for ever. `do` may hold

    before   seconds to wait before anything is done
    act      false: nothing is done at all (an answer has to be given then)
    life     what the telephone does: a name, or its members (phone.py)
    at       when the answer below is given: "joined", "ringing", "answered" or "end"
    after    seconds to wait before the answer
    answer   in place of the usual answer (errors.answer_of): {"kind": "close"} loses it
    never    true: no answer at all, the connection stays open
    pretend  true, for DeleteRoom and RemoveParticipant: answer as if it had been done

Once received, a request is carried out, whether or not the client still waits."""


class Rules:
    def __init__(self):
        self.rules = []

    def add(self, rule):
        unknown = set(rule) - {"match", "times", "skip", "do"}
        unknown |= set(rule["do"]) - {"before", "act", "life", "at", "after", "answer", "never", "pretend"}
        if unknown:
            raise ValueError(f"a rule has no {unknown}")
        self.rules.append({"match": rule.get("match", {}), "times": rule.get("times", 1),
                           "skip": rule.get("skip", 0), "do": rule["do"], "used": 0})

    def clear(self):
        self.rules = []

    def left(self):
        """Rules that were to be used so many times, and were not."""
        return [rule for rule in self.rules if rule["times"]]

    def take(self, about):
        for rule in self.rules:
            if rule["times"] == 0 or any(about.get(name) != value for name, value in rule["match"].items()):
                continue
            if rule["skip"]:
                rule["skip"] -= 1
                continue
            if rule["times"] is not None:
                rule["times"] -= 1
            rule["used"] += 1
            return rule["do"]
        return {}
