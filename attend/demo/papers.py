"""Certificates: two years each, mostly renewed in time, with the odd one forgotten, renewed early or taken away."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from attend.demo.cast import Member, new_id
from attend.demo.model import Certificate

_VALIDITY = timedelta(days=730)


@dataclass(frozen=True, slots=True)
class Papers:
    """Makes the certificates of one organisation's people."""

    rng: random.Random
    now: datetime
    basic: str
    first_aid: str

    def of(self, member: Member) -> Iterator[Certificate]:
        """A member's certificates; what replaces another comes before it."""
        traits = member.traits
        if traits.expires is None:
            if self.rng.random() < 0.7:
                yield self._certificate(member, self.basic, self.now + timedelta(days=self.rng.uniform(-120, 700)))
            return
        certificate = self._certificate(member, self.first_aid, self.now - traits.expires)
        lately = self.now - timedelta(days=self.rng.uniform(1, 20))
        if traits.certificate_is == "revoked":
            certificate = replace(certificate, revoked_at=lately)
        if traits.certificate_is == "renewed":
            renewal = self._certificate(member, self.first_aid, lately + _VALIDITY)
            yield renewal
            certificate = replace(certificate, replaced_by=renewal.id)
        yield certificate

    def _certificate(self, member: Member, name: str, expires_at: datetime) -> Certificate:
        issued_at = expires_at - _VALIDITY
        person = member.person
        return Certificate(person.organization_id, new_id(self.rng), person.id, name, issued_at, expires_at, issued_at)
