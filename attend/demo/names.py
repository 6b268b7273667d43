"""Names for generated people. Any likeness to a living person is chance."""

import random
from collections.abc import Callable

_NORWEGIAN_FIRST = """
Aksel Amalie Anders Andrea Anja Anne Arne Asbjørn Astrid Aud Berit Birgit Bjarne Bjørn Bodil Brage Camilla Dag
Ebba Eirik Eli Elin Emil Erlend Espen Eva Even Fredrik Frida Frode Geir Gerd Grete Gro Gunn Gunnar Guro Hanna
Hans Harald Hedda Hege Helge Helene Henrik Hilde Håkon Idunn Ingeborg Inger Ingrid Iselin Ivar Jan Jens Johanne
Jonas Jorunn Julie Jørgen Kaja Kari Karin Kjell Kjersti Knut Kristin Lars Leif Lise Liv Magne Magnus Mari Marit
Marte Mathias Mette Mona Morten Nils Nina Nora Odd Ola Olav Olea Oskar Per Petter Ragnhild Randi Rolf Roar Ruben
Rune Sara Selma Sigrid Silje Sindre Siri Sissel Solveig Stein Stian Sunniva Svein Synne Synnøve Terje Thea Tone
Tor Torbjørn Tore Toril Torunn Trine Trond Trygve Tuva Turid Ulrik Unni Vegard Vera Vidar Vilde Wenche Yngve
Øystein Øyvind Åse Åshild
"""
_NORWEGIAN_LAST = """
Aas Aasen Amundsen Andersen Bakke Bakken Berg Berge Bjerke Bjørnstad Brekke Bråten Bøe Dahl Dale Dyrnes Eide
Eikeland Engen Eriksen Evensen Fjeld Fossum Foss Fredriksen Gran Grønli Gulbrandsen Gundersen Hagen Halvorsen
Hansen Haugen Haugland Helland Henriksen Hermansen Hovland Isaksen Iversen Jacobsen Jensen Johannessen Karlsen
Knutsen Kristiansen Kvam Larsen Lien Lund Lunde Løken Martinsen Mathisen Moe Moen Mork Myhre Myklebust Ness
Nygård Nilsen Nordby Olsen Opdahl Paulsen Pettersen Rasmussen Rognli Rustad Rød Sagen Sandnes Sandvik Selnes
Skaar Skoglund Solbakken Solberg Solheim Stene Strand Strøm Sunde Sveen Sæther Sørensen Tangen Thorsen Tveit
Ulvestad Vatne Vik Viken Ødegård Østby Åsheim
"""
_ECUADORIAN_FIRST = """
Alba Andrés Belén Bolívar Camila Carlos Carmen Daniela Diego Doménica Elena Emilia Esteban Fernanda Francisco
Gabriela Galo Gustavo Hernán Inés Isabel Iván Javier Jorge José Juana Kléver Leonor Lorena Lucía Luis Manuel
Marcelo María Marisol Mateo Mercedes Mónica Nelson Noemí Óscar Pablo Patricia Paulina Ramiro Rosa Santiago Sofía
Tamara Valeria Wilson Ximena
"""
_ECUADORIAN_LAST = """
Aguirre Alvarado Andrade Arroyo Benítez Bravo Cabrera Caicedo Cárdenas Castro Cedeño Chávez Córdova Delgado
Espinoza Franco Guerrero Herrera Jaramillo Lara León Macías Mendoza Mora Moreira Muñoz Navarrete Ochoa Ordóñez
Paredes Pincay Quiroz Reyes Rivadeneira Salazar Solórzano Tapia Toala Valencia Vera Villacís Zambrano
"""
_COPTIC_FIRST = """
Abanoub Amir Andrew Anton Arsany Bishoy Boulos Boutros Demiana Ehab Fady George Girgis Hany Irene Karas Kyrillos
Lydia Maged Makarios Marcos Mariam Marina Martha Maryhan Mena Merna Mina Mira Monica Nader Nardine Nevine Peter
Rafik Ramy Samir Sandra Shenouda Tadros Verena Veronia Wafik Yostina Youstina Zakaria
"""
_COPTIC_LAST = """
Abdelmalak Awad Aziz Bassily Boktor Botros Fahmy Fanous Farag Gayed Ghali Girgis Guirguis Habib Hanna Ibrahim
Iskander Khalil Labib Makram Mikhail Morcos Naguib Nashed Rizk Saad Salama Shehata Sidhom Tawfik Wahba Wassef
Yacoub Zaki
"""
_NAMES = {
    "nb": (_NORWEGIAN_FIRST, _NORWEGIAN_LAST),
    "es": (_ECUADORIAN_FIRST, _ECUADORIAN_LAST),
    "ar": (_COPTIC_FIRST, _COPTIC_LAST),
}


class Names:
    """Full names, no two alike within one instance, so that a name tells a person in a list."""

    def __init__(self, rng: random.Random, language: str) -> None:
        """`language`: `nb` (Norwegian), `es` (Ecuadorian Spanish) or `ar` (Coptic names of Egypt)."""
        self._rng = rng
        first, last = _NAMES[language]
        self._first, self._last = first.split(), last.split()
        self._taken: set[str] = set()

    def full(self) -> str:
        """A first and a last name that were not given out before."""
        return self._new(lambda: f"{self._rng.choice(self._first)} {self._rng.choice(self._last)}")

    def last(self) -> str:
        """A last name that was not given out before, for a family."""
        return self._new(lambda: self._rng.choice(self._last))

    def of_family(self, last: str) -> str:
        """A full name of somebody of that family, given out once."""
        return self._new(lambda: f"{self._rng.choice(self._first)} {last}")

    def short(self) -> str:
        """A first name and an initial, as contacts are noted; may repeat."""
        return f"{self._rng.choice(self._first)} {self._rng.choice(self._last)[0]}."

    def _new(self, make: Callable[[], str]) -> str:
        while (name := make()) in self._taken:
            pass
        self._taken.add(name)
        return name
